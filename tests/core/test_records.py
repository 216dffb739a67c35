"""Records: what a dataclass' annotations allow is read, and everything else is named."""

from dataclasses import dataclass
from typing import Any

import pytest

from engine.core.errors import Problem
from engine.core.records import Record


@dataclass(frozen=True)
class Point(Record):
    name: str
    count: int
    size: float
    ready: bool
    names: list[str]
    values: tuple[float | None, ...]
    table: dict[str, float]
    rows: list[dict[str, object]]
    anything: Any = None
    note: str | None = None


GOOD = {
    "name": "a",
    "count": 3,
    "size": 1,
    "ready": True,
    "names": ["a"],
    "values": [1.5, None],
    "table": {"a": 1.0},
    "rows": [{"a": [1]}],
}


def test_what_fits_is_read_as_it_is():
    assert Point.read(GOOD, "a point").to_dict() == {**GOOD, "anything": None, "note": None}


@pytest.mark.parametrize(
    ("field", "value", "must"),
    [
        ("name", 3, "a string"),
        ("count", True, "a whole number"),
        ("count", 1.0, "a whole number"),
        ("count", 2**63, "a whole number"),
        ("size", "1", "a number"),
        ("size", float("nan"), "a number"),
        ("size", float("inf"), "a number"),
        ("ready", 1, "true or false"),
        ("names", "abc", "a list of strings"),
        ("names", [1], "a list of strings"),
        ("values", [1.0, "x"], "a list of numbers or nulls"),
        ("table", {"a": None}, "an object of numbers"),
        ("rows", [[1]], "a list of objects"),
        ("note", 3, "a string or null"),
    ],
)
def test_what_does_not_fit_is_named_with_its_value(field, value, must):
    with pytest.raises(Problem) as refused:
        Point.read({**GOOD, field: value}, "a point")
    said = str(refused.value)
    assert said.startswith(f"Cannot read a point: its {field!r} is ") and said.endswith(f"must be {must}.")


def test_missing_and_unknown_fields_are_named():
    with pytest.raises(Problem, match="its 'size' is missing; it must be a number"):
        Point.read({name: value for name, value in GOOD.items() if name != "size"}, "a point")
    with pytest.raises(Problem, match="no field 'szie'"):
        Point.read({**GOOD, "szie": 1}, "a point")
    with pytest.raises(Problem, match=r"it is \[1\], and must be an object"):
        Point.read([1], "a point")


def test_a_long_value_is_shown_in_short():
    with pytest.raises(Problem) as refused:
        Point.read({**GOOD, "name": ["x" * 100_000]}, "a point")
    assert len(str(refused.value)) < 200


@dataclass(frozen=True)
class Path(Record):
    start: Point
    points: list[Point]
    named: dict[str, Point] | None = None
    best: Point | None = None


ROUTE = {"start": GOOD, "points": [GOOD, GOOD], "named": {"a": GOOD}, "best": None}


def test_records_hold_records_wherever_an_annotation_names_one():
    found = Path.read(ROUTE, "a path")
    assert {type(found.start), *map(type, found.points), type(found.named["a"])} == {Point} and found.best is None
    point = Point.read(GOOD, "a point").to_dict()
    assert found.to_dict() == {"start": point, "points": [point] * 2, "named": {"a": point}, "best": None}
    assert Path.read(found.to_dict(), "a path") == found


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"start": {**GOOD, "szie": 1}}, "Cannot read 'start' of a path: it has no field 'szie'"),
        ({"points": [GOOD, {**GOOD, "size": "1"}]}, "Cannot read item 2 of 'points' of a path: its 'size' is '1'"),
        ({"named": {"b": {}}}, "Cannot read item 'b' of 'named' of a path: its 'name' is missing"),
        ({"best": 3}, "Cannot read a path: its 'best' is 3, and must be an object or null"),
        ({"points": [3]}, "Cannot read a path: its 'points' is [3], and must be a list of objects"),
    ],
)
def test_what_does_not_fit_inside_is_named_with_its_place(change, where):
    with pytest.raises(Problem) as refused:
        Path.read({**ROUTE, **change}, "a path")
    assert str(refused.value).startswith(where)


def test_an_annotation_that_json_cannot_have_is_refused():
    @dataclass(frozen=True)
    class Odd(Record):
        value: set

    with pytest.raises(TypeError, match="no JSON value"):
        Odd.read({"value": []}, "it")
