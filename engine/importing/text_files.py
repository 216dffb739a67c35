"""Tables written as text: CSV with any usual separator, JSON and JSON lines."""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from itertools import combinations, islice
from typing import Any

from engine.core.checks import once_each
from engine.core.errors import Problem
from engine.core.json_lists import is_table, lists_in
from engine.core.short_names import counted, listed
from engine.core.shown import READS
from engine.importing.harness import is_results
from engine.importing.headers import MARK, refuse_commented, refuse_second_header, separator_of, uncommented
from engine.importing.limits import CELLS, COLUMNS, JSON_BYTES, ROWS, TEXT, bounded
from engine.importing.names import kind_of, measures
from engine.importing.tables import number_of, refuse_twice

NAMED = re.compile(r'^\s*"?sep=([^"])"?\s*$', re.I)  # a spreadsheet's first line

Columns = tuple[dict[str, list[Any]], list[int]]  # name -> cells, and what people call each row


def read_text(text: str, name: str) -> tuple[Columns, list[str]]:
    """The table of a text file, and notes on what of it was left out. Raises Problem where it is none."""
    if "\n" not in text:
        text = text.replace("\r", "\n")  # as old spreadsheets end their lines
    text, notes = uncommented(text, name)
    if text.lstrip()[:1] not in ("{", "["):
        return read_csv(text, name), notes
    if len(text) > JSON_BYTES:
        raise Problem(
            f"Cannot read {name}: it is larger than {JSON_BYTES >> 20} MiB of JSON. Give it as Parquet or CSV."
        )
    return read_json(text, name), notes


def read_csv(text: str, name: str) -> Columns:
    """A CSV file's columns. A first line `sep=;` names the separator, else the header's most frequent one is it."""
    before = text.count("\n", 0, len(text) - len(text.lstrip("\r\n")))  # empty lines
    first, _, rest = (text := text.lstrip("\r\n")).partition("\n")
    if named := NAMED.match(first):
        text, before = rest, before + 1
    csv.field_size_limit(TEXT)
    separator = named[1] if named else separator_of(first)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names: list[str] = []
    found, places = [], []
    try:
        names = [one.strip() for one in next(lines, [])]
        for line in lines:
            if any(line):
                found.append(line)
                places.append(lines.line_num + before)
                if len(found) * len(names) > CELLS or len(names) > COLUMNS:
                    break  # the caller says so
    except csv.Error as error:
        why = str(error)
        if "field limit" in why:
            why = f"a cell holds more than {TEXT:,} letters, which may be a quote that is never closed"
        raise Problem(f"Cannot read {name}, around line {lines.line_num + before}: {why}. Fix that line.") from error
    _check_header(names, found, places, name)
    for line, place in zip(found, places, strict=True):
        if len(line) != len(names):
            before = "".join(line).rstrip("\r\n").count("\n")  # lines that cells go over
            lines_of = f"lines {place - before} to {place}" if before else f"line {place}"
            quote = "Look for a quote that is never closed." if before else "Fix that line."
            if line[0].startswith(MARK):
                quote = f"It begins with '{MARK}': remove it if it is a comment."
            have = f"{'they have' if before else 'it has'} {counted(len(line), 'cell')}"
            raise Problem(
                f"Cannot import {lines_of} of {name}: {have}, and the header names {len(names)} columns. {quote}"
            )
    refuse_commented(found, places, name)
    return {one: [row[i] for row in found] for i, one in enumerate(names)}, places


def _check_header(names: list[str], rows: list[list[str]], places: list[int], name: str) -> None:
    """Raise Problem for a first line that names no columns, or two alike."""
    widths = {len(row) for row in rows}
    if rows and len(names) not in widths and len(widths) == 1:
        raise Problem(
            f"Cannot import {name}: its first line has {len(names)} cell{'s' * (len(names) != 1)}, and every other "
            f"{min(widths)}. The first line must name the columns: remove what is above it."
        )
    figures = [one for one in names if re.fullmatch(r"[+-]?\d*[.,]\d+(e[+-]?\d+)?%?", one, re.I)]
    if figures or (names and rows and all(math.isfinite(number_of(one)) for one in names) and _counts(names)):
        raise Problem(
            f"Cannot import {name}: its first line holds values ({(figures or names)[0]!r}), not the names of columns. "
            "Put a line of names above it."
        )
    refuse_second_header(names, rows, places, name)
    refuse_twice(name, [one for one in names if one])


def _counts(names: list[str]) -> bool:
    """Whether a header of numbers cannot be names of numbered domains: two are alike."""
    return len(set(names)) < len(names)


def read_json(text: str, name: str) -> Columns:
    """Columns of JSON: a list of objects, an object per line, or pandas' objects of columns, of rows, and split."""
    _check_json(text, name)
    try:
        found = parsed(text, name)
    except RecursionError as error:
        raise Problem(f"Cannot read {name}: its JSON is nested too deep. Give one object per run.") from error
    except ValueError as error:
        if "\n" not in text.strip() or text.lstrip().startswith("["):
            raise Problem(f"Cannot read {name}: {error}. It begins like JSON: fix it.") from error
        return _of_records(*_json_lines(text, name), name)
    if isinstance(found, dict):
        return _of_object(found, name)
    return _of_records(found, range(1, len(found) + 1), name)


def parsed(text: str, what: str) -> Any:
    """The value of JSON. Raises Problem for an object that names a field twice, as for a header that does."""
    return json.loads(text, object_pairs_hook=lambda pairs: once_each(pairs, what), **READS)


def _check_json(text: str, name: str) -> None:
    """Raise Problem, before it is read, for JSON of more values than a table can have: `{},{},...` is small as text."""
    if text.count("{") + text.count("[") > 4 * ROWS or text.count(",") > 2 * CELLS:
        raise Problem(
            f"Cannot import {name}: it holds more values than {CELLS:,} cells in {ROWS:,} rows, which can be read. "
            "Keep one row per run, or fewer columns."
        )


def _json_lines(text: str, name: str) -> tuple[list[Any], list[int]]:
    records, places = [], []
    for place, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                records.append(parsed(line, f"line {place} of {name}"))
            except (ValueError, RecursionError) as error:
                raise Problem(
                    f"Cannot read line {place} of {name}: {error}. Each line must be a JSON object."
                ) from error
            places.append(place)
    return records, places


def _of_records(records: list[Any], places: Sequence[int], name: str) -> Columns:
    for place, record in zip(places, records, strict=True):
        if not isinstance(record, dict):
            raise Problem(
                f"Cannot import row {place} of {name}: it is {json.dumps(record)[:40]}, and a run is an object of "
                "names and values. Write it so."
            )
    names = dict.fromkeys(key for record in records for key in record)
    bounded(name, len(records), len(names))
    return {key: [record.get(key) for record in records] for key in names}, list(places)


def _of_split(columns: object, rows: list[Any], name: str) -> Columns:
    """Names of columns, and rows of cells; a name of several levels (a list) as a path."""
    names = [".".join(str(part) for part in (_list(one) or [one]) if part != "") for one in _list(columns)]
    for place, row in enumerate(rows, 1):
        if len(_list(row)) != len(names) or not names:
            raise Problem(
                f"Cannot import row {place} of {name}: its data is {str(row)[:60]!r}, and {len(names)} columns have "
                "names. Write a list of as many cells."
            )
    records = [once_each(zip(names, row, strict=True), f"{name}, row {place}") for place, row in enumerate(rows, 1)]
    return _of_records(records, range(1, len(records) + 1), name)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _of_object(found: dict[str, Any], name: str) -> Columns:
    """A table in one JSON object, as pandas writes it; or the one list of objects in it; or results of a harness."""
    if is_results(found):
        return _of_records([found], [1], name)
    inner = list(found.values())
    if set(found) >= {"columns", "data"} and isinstance(found["data"], list):
        return _of_split(found["columns"], found["data"], name)
    tables = [key for key, one in found.items() if is_table(one)]
    beside = {key: one for key, one in found.items() if key not in tables and key != "schema"}  # as pandas calls it
    if len(tables) == 1 and not any(isinstance(one, (dict, list)) for one in beside.values()):
        rows = found[tables[0]]  # what stands beside the list holds for each of its rows
        return _of_records(
            [beside | one if isinstance(one, dict) else one for one in rows], range(1, len(rows) + 1), name
        )
    if len(inner) == 1 and isinstance(inner[0], list):
        return _of_records(inner[0], range(1, len(inner[0]) + 1), name)
    _refuse_tables(found, name)
    if inner and all(isinstance(one, list) and len(one) == len(inner[0]) for one in inner):
        return found, list(range(1, len(inner[0]) + 1))
    if inner and all(isinstance(one, dict) for one in inner):
        if all(key.isdigit() for one in inner for key in one):
            rows = list(dict.fromkeys(key for one in inner for key in one))
            bounded(name, len(rows), len(found))
            return {key: [one.get(row) for row in rows] for key, one in found.items()}, list(range(1, len(rows) + 1))
        if len(inner) > 1 and "results" not in found:
            return _of_records([{"run": key, **one} for key, one in found.items()], range(1, len(inner) + 1), name)
    if all(not isinstance(one, (dict, list)) for one in inner) or {"weights", "mixture", "loss", "losses"} & set(found):
        return _of_records([found], [1], name)
    held = listed([f"{key!r:.60} ({_called(one)})" for key, one in found.items()], 6)
    if places := list(islice(lists_in(found), 6)):
        cure = f"Objects are listed under {listed(list(map(repr, places)))}: give such a list alone."
    else:
        cure = "Give a list of objects, one per run, or one object per line."
    raise Problem(f"Cannot import {name}: it is one JSON object of {held}, and no table of runs. {cure}")


def _refuse_tables(found: dict[str, Any], name: str) -> None:
    """Raise Problem for several lists of objects of the same names: tables of their own, and no columns of one."""
    tables = {key: set(one[0]) for key, one in found.items() if is_table(one)}
    for (first, its), (second, other) in combinations(islice(tables.items(), 40), 2):
        if 2 * len(its & other) > len(its | other) and any(kind_of(one) or measures(one) for one in its & other):
            raise Problem(
                f"Cannot import {name}: {first!r:.60} and {second!r:.60} hold lists of objects with the same names, so "
                "each is a table of its own. Give one of them alone."
            )


def _called(value: Any) -> str:
    """What a JSON value is, and how much of it."""
    if isinstance(value, dict):
        return f"an object of {listed([f'{key!r:.40}' for key in value], 3)}" if value else "an empty object"
    if isinstance(value, list):
        return "a list of " + counted(len(value), "object" if is_table(value) else "value")
    return "a value"
