"""What stands around the line that names the columns: comments are read over, all else is named with its cure."""

import json

import pytest

from engine.core.errors import Problem
from engine.importing import read_runs
from tests.importing.made import LOSS, PLAIN, records, text
from tests.importing.reading import reading, runs_of, written

HEADER, _, BODY = text(PLAIN).partition("\n")
COMMENTED = {
    "above": ("# by us\n# seed 1\n" + HEADER + "\n" + BODY, "Lines 1 to 2 of a.csv begin with '#': left out"),
    "with a separator": ("# a, b, c\n" + HEADER + "\n" + BODY, "Line 1 of a.csv begins with '#': left out"),
    "among empty lines": ("\n# by us\n\n" + HEADER + "\n" + BODY, "Line 2 of a.csv begins with '#': left out"),
    "the header": ("# " + HEADER + "\n" + BODY, "Line 1 of a.csv begins with '#', and names the columns"),
    "the last one": ("# by us\n#" + HEADER + "\n" + BODY, "Line 2 of a.csv begins with '#', and names the columns"),
    "old ends of lines": (("# by us\n" + HEADER + "\n" + BODY).replace("\n", "\r"), "Line 1 of a.csv begins with '#'"),
    "JSON lines": (
        "# by us\n" + "\n".join(map(json.dumps, records(**PLAIN))),
        "Line 1 of a.csv begins with '#': left out as comments",
    ),
}


@pytest.mark.parametrize("name", COMMENTED)
def test_comments_are_read_over_and_told(tmp_path, name):
    content, said = COMMENTED[name]
    found = reading(written(tmp_path / "a.csv", content))
    assert list(found.mapping.weights) == ["web", "code", "books"] and not found.questions
    assert read_runs(found).values[:, 0].tolist() == LOSS.tolist() and any(said in note for note in found.notes)
    damaged = content.replace(str(LOSS[3]), "oops")
    line = damaged.replace("\r", "\n")[: damaged.index("oops")].count("\n") + 1
    with pytest.raises(Problem, match=f"row {4 if name == 'JSON lines' and not line else line} of a.csv"):
        runs_of(written(tmp_path / "a.csv", damaged if name != "JSON lines" else damaged.replace("oops", '"oops"')))


def test_a_column_called_by_a_mark_stays_one(tmp_path):
    found = reading(written(tmp_path / "a.csv", "#" + text(PLAIN).removeprefix("run")))
    assert "#" in [one.column for one in found.columns] and not found.notes


UNITS = ",fraction,fraction,fraction,nats\n"
NAMED = {
    "units": (HEADER + "\n" + UNITS + BODY, "line 2 holds no numbers .'fraction', .*nats.*Remove it if it holds units"),
    "one unit": (HEADER + "\n,,,,nats\n" + BODY, "line 2 holds no numbers .'nats'.*Remove it if it holds units"),
    "two headers": (
        "run,share,share,share,eval\n" + HEADER + "\n" + BODY,
        "line 2 holds no numbers .'run', 'web', .*write one that names each by itself, such as 'share/web'",
    ),
    "merged cells": (",share,,,eval\n" + HEADER + "\n" + BODY, "such as 'share/code'"),
    "three headers": ("a,share,share,share,eval\nb,x,x,x,y\n" + HEADER + "\n" + BODY, "lines 2 to 3 hold no numbers"),
    "a title": ("Runs of May,,,,\n" + HEADER + "\n" + BODY, "Line 1 looks like a title: remove what is above line 2"),
    "units under comments": ("# us\n" + HEADER + "\n" + UNITS + BODY, "line 3 holds no numbers"),
    "a comment at the end": (HEADER + "\n" + BODY + "# the end\n", "line 18 of a.csv: it has 1 cell.*begins with '#'"),
    "comments and values": ("# us\n# May\n" + BODY, "first 2 lines with text begin with '#', and line 3 holds values"),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_no_row_of_values_is_named(tmp_path, name):
    content, said = NAMED[name]
    with pytest.raises(Problem, match=said):
        runs_of(written(tmp_path / "a.csv", content))


def test_a_first_run_without_values_is_no_header(tmp_path):
    first = {name: ["nan" if name in ("web", "code", "books") else "", *cells] for name, cells in PLAIN.items()}
    first |= {"run": ["r", *PLAIN["run"]], "note": ["crashed", *["" for _ in PLAIN["run"]]]}
    with pytest.raises(Problem, match=r"row 2 of a\.csv"):
        runs_of(written(tmp_path / "a.csv", first))


RUNS = records(**PLAIN)
PLACES = {
    "one list": ({"data": {"train": RUNS}}, "'data' .an object of 'train'.*listed under 'data.train': give"),
    "two lists": ({"data": {"train": RUNS, "test": RUNS}}, "listed under 'data.train', 'data.test'"),
    "beside an object": ({"meta": {"by": "us"}, "runs": RUNS}, "'runs' .a list of 16 objects.*listed under 'runs'"),
    "deep": ({"a": {"b": {"c": RUNS}}}, "listed under 'a.b.c'"),
    "none": ({"a": {"b": [1, 2]}, "c": [1]}, "'c' .a list of 1 value.*Give a list of objects, one per run"),
    "two tables": ({"train": RUNS, "test": RUNS}, "'train' and 'test' hold lists of objects with the same names"),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_refused_object_is_told_by_what_stands_where(tmp_path, name):
    value, said = PLACES[name]
    with pytest.raises(Problem, match=said):
        runs_of(written(tmp_path / "a.json", json.dumps(value)))


def test_columns_of_objects_are_one_table(tmp_path):
    shares = [{one: run[one] for one in ("web", "code", "books")} for run in RUNS]
    value = {"weights": shares, "losses": [{"web": loss} for loss in LOSS.tolist()]}
    assert len(runs_of(written(tmp_path / "a.json", json.dumps(value))).keys) == len(RUNS)


@pytest.mark.parametrize("mark", ["#", " # "])
def test_a_run_that_was_commented_out_is_none_called_so(tmp_path, mark):
    lines = BODY.splitlines()
    lines[3] = mark + lines[3]
    with pytest.raises(Problem, match=r"Cannot import line 5 of a\.csv: '#' stands in front of the first cell"):
        reading(written(tmp_path / "a.csv", "\n".join([HEADER, *lines])))


def test_runs_that_are_numbered_so_are_read(tmp_path):
    path = written(tmp_path / "a.csv", "\n".join([HEADER, *(f"#{line}" for line in BODY.splitlines())]))
    assert all(key.startswith("#") for key in runs_of(path).keys)
