"""Records: dataclasses read from JSON. Their annotations are the contract; what breaks it is named.

    @dataclass(frozen=True)
    class RunFinished(Record):
        run: str
        tokens: int | None = None

    RunFinished.read({"run": 3}, "the event run.finished")
    # Problem: Cannot read the event run.finished: its 'run' is 3, and must be a string.

Records hold records: `runs: list[PlannedRun]` reads each of them, and names the one that does not fit.

`Excerpt` is read from an object that also holds what is not its own.

Annotations may be bool, int, float, str, None, dict, list, object, a Record, and list[...], tuple[..., ...],
dict[str, ...] and unions of these. A float may be written as a whole number; infinities and NaN are not numbers.
"""

import types
import typing
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, Self

from engine.core.checks import LARGEST as LARGEST_NUMBER
from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.shown import shown

LARGEST = 2**63  # whole numbers are stored in 64 bits
MOST = 1e18  # of whatever a job counts
LISTS = (list, tuple)


@dataclass(frozen=True)
class Check:
    """fits(value): whether a value is of a kind; one, many: what one and several of that kind are called.

    read(value, what): what becomes of a value that fits, where it holds records; `what` names it in messages. whole:
    types all of whose values fit, so that `fits` need not be asked: journals have millions of lines.
    """

    fits: Callable[[Any], bool]
    one: str
    many: str
    read: Callable[[Any, str], Any] | None = None
    whole: frozenset[type] = frozenset()


class Record:
    """A dataclass whose fields are JSON values. Subclasses are frozen dataclasses."""

    @classmethod
    def read(cls, values: object, what: str) -> Self:
        """The record that a JSON object holds. what: what it is called, for the message.

        Raises Problem for a field that is missing, unknown, or not what its annotation says.
        """
        if not isinstance(values, dict):
            raise Problem(f"Cannot read {what}: it is {shown(values)}, and must be an object.")
        made: dict[str, Any] = values
        checks, required = contract(cls)  # type: ignore[arg-type]  # a class is hashable, whatever mypy says of Self
        for name, value in values.items():
            if (check := checks.get(name)) is None:
                raise Problem(f"Cannot read {what}: it has no field {shown(name)}. Its fields: {', '.join(checks)}.")
            if type(value) not in check.whole and not check.fits(value):
                raise Problem(f"Cannot read {what}: its {name!r} is {shown(value)}, and must be {check.one}.")
            if check.read is not None:
                made = {**made, name: check.read(value, f"{name!r} of {what}")}
        for name in required:
            if name not in values:
                raise Problem(f"Cannot read {what}: its {name!r} is missing; it must be {checks[name].one}.")
        return cls(**made)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON values, not copied."""
        checks, _ = contract(type(self))  # type: ignore[arg-type]
        own = {name: getattr(self, name) for name in checks}
        return own | {name: plain(own[name]) for name, check in checks.items() if check.read is not None}


class Excerpt(Record):
    """What readers take of an object that is kept as it was written: fields that it does not name are not read."""

    @classmethod
    def read(cls, values: object, what: str) -> Self:
        """As `Record.read`, without what it does not name."""
        if isinstance(values, dict):
            checks, _ = contract(cls)  # type: ignore[arg-type]
            values = {name: value for name, value in values.items() if name in checks}
        return super().read(values, what)


def read_as(hint: Any, value: object, what: str) -> Any:
    """A JSON value as an annotation says, with the records that it holds. Raises Problem for anything else."""
    check = check_of(hint)
    if not check.fits(value):
        raise Problem(f"Cannot read {what}: it is {shown(value)}, and must be {check.one}.")
    return check.read(value, what) if check.read else value


def plain(value: Any) -> Any:
    """A record, or a list or table of them, as JSON values."""
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return {name: plain(one) for name, one in value.items()} if isinstance(value, dict) else value


@cache
def contract(record: Any) -> tuple[dict[str, Check], tuple[str, ...]]:
    """The check of each field of a record, and the fields that have no default."""
    hints = typing.get_type_hints(record)
    needed = [one.name for one in fields(record) if one.default is MISSING and one.default_factory is MISSING]
    return {one.name: check_of(hints[one.name]) for one in fields(record)}, tuple(needed)


def check_plain(made: Any, what: str) -> None:
    """Raise Problem if a field of a dataclass is not what its annotation says. what: owns the fields, in the message.

    For settings that are no records: those of their fields that hold other classes check themselves.
    """
    for name, check in plain_fields(type(made)).items():  # type: ignore[arg-type]  # a class is hashable
        if not check.fits(value := getattr(made, name)):
            raise Problem(f"Cannot use {shown(value)} as {what} {name}: it must be {check.one}.")


@cache
def plain_fields(kind: Any) -> dict[str, Check]:
    """The checks of those fields of a dataclass whose annotation is of JSON values."""
    found = {}
    for name, hint in typing.get_type_hints(kind).items():
        with suppress(TypeError):
            found[name] = check_of(hint)
    return found


def check_of(hint: Any) -> Check:
    """The check of an annotation. Raises TypeError for one that no JSON value can have."""
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, type) and issubclass(hint, Record):
        return Check(PLAIN[dict].fits, "an object", "objects", hint.read, PLAIN[dict].whole)
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        first, *others = [check_of(one) for one in inside]
        for other in others:
            first = either(first, other)
        return first
    if origin in (list, tuple):
        item = check_of(inside[0])
        return Check(
            lambda value: isinstance(value, LISTS) and all_fit(item, value),
            f"a list of {item.many}",
            f"lists of {item.many}",
            item.read and (lambda value, what: each(item, enumerate(value, 1), what)),
        )
    if origin is dict and inside[1] in (object, Any):
        return PLAIN[dict]
    if origin is dict:
        item = check_of(inside[1])
        return Check(
            lambda value: isinstance(value, dict) and all_fit(item, value.values()),
            f"an object of {item.many}",
            f"objects of {item.many}",
            item.read and (lambda value, what: dict(zip(value, each(item, value.items(), what), strict=True))),
        )
    raise TypeError(f"Cannot check {hint!r}: no JSON value is of that type.")


def all_fit(item: Check, values: Iterable[Any]) -> bool:
    """Whether every one of the values is of the item's kind."""
    return item.whole.issuperset(map(type, values)) or all(map(item.fits, values))


def each(item: Check, named: Iterable[tuple[object, Any]], what: str) -> list[Any]:
    """The items of a list or an object, read; they are named by their places or names."""
    assert item.read is not None
    return [item.read(value, f"item {name!r} of {what}") for name, value in named]


def either(one: Check, other: Check) -> Check:
    """The check of a union: a value that fits one of two."""

    def read(value: Any, what: str) -> Any:
        fitting = one if one.fits(value) else other
        return fitting.read(value, what) if fitting.read else value

    return Check(
        lambda value: one.fits(value) or other.fits(value),
        f"{one.one} or {other.one}",
        f"{one.many} or {other.many}",
        read if one.read or other.read else None,
        one.whole | other.whole,
    )


NULL = Check(lambda value: value is None, "null", "nulls", whole=frozenset({type(None)}))
LIST = Check(lambda value: isinstance(value, LISTS), "a list", "lists", whole=frozenset(LISTS))
ANYTHING = Check(lambda value: True, "anything", "values")
PLAIN: dict[Any, Check] = {
    bool: Check(lambda value: type(value) is bool, "true or false", "booleans", whole=frozenset({bool})),
    int: Check(lambda value: type(value) is int and -LARGEST <= value < LARGEST, "a whole number", "whole numbers"),
    float: Check(
        lambda value: (type(value) is float and -LARGEST_NUMBER <= value <= LARGEST_NUMBER) or is_number(value),
        "a number",
        "numbers",
    ),
    str: Check(lambda value: isinstance(value, str), "a string", "strings", whole=frozenset({str})),
    dict: Check(lambda value: isinstance(value, dict), "an object", "objects", whole=frozenset({dict})),
    None: NULL,
    type(None): NULL,
    list: LIST,
    tuple: LIST,
    object: ANYTHING,
    Any: ANYTHING,
}


def check_amounts(record: Record, *names: str) -> None:
    """Raise Problem for an amount below 0 or beyond MOST: pages add them up, and turn them into shares and times."""
    for name in names:
        if not 0 <= (getattr(record, name) or 0) <= MOST:
            raise Problem(
                f"Cannot read {type(record).__name__}: its {name!r} is {getattr(record, name)}, which is invalid."
            )
