"""Own data: records out of CSV and tab-separated text, and what all readers of records share.

What is wrong with one record costs that record; `Faults` counts it by reason.
"""

import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

from engine.core.short_names import listed
from engine.corpus.document import Tally, Written
from engine.corpus.fields import Fields, conversation_fields
from engine.corpus.labels import Labels, is_label

MOST_LINE = 16_000_000  # bytes of a line, characters of a field or of a record in an array
NOT_UTF8 = "not UTF-8"
BINARY = "zero bytes: binary data, or UTF-16 without its mark"
NO_TEXT = re.compile("[\0\udc80-\udcff]")  # the latter: bytes that were not UTF-8
DELIMITERS = ",;\t|"
SEPARATOR = re.compile(r'"?sep=([^"])"?', re.I)  # a spreadsheet's first line


class Unreadable(Exception):
    """A file cannot be read any further; the message says why."""


class Faults:
    """What is wrong with single lines (or rows, or records) of a file: how many for each reason, and the first.

    labels: the domains that its records name.
    """

    def __init__(self, unit: str):
        self.unit = unit
        self.counts: Counter[str] = Counter()
        self.first: dict[str, int] = {}
        self.labels = Labels()

    def add(self, reason: str, number: int, count: int = 1) -> None:
        """Count the line `number`, or `count` lines from there on."""
        self.counts[reason] += count
        self.first.setdefault(reason, number)

    def tell(self, name: str, tally: Tally) -> None:
        """Say it in the tally, a reason at a time."""
        for reason, count in self.counts.items():
            where = f"{count:,} of its {self.unit}s: {reason} (first: {self.unit} {self.first[reason]:,})"
            tally.skip(name, where, count)
        for sentence in self.labels.sentences():
            tally.notice(name, sentence)


def lines(stream: io.BufferedReader) -> Iterator[bytes | None]:
    """Lines with their ends; None in place of a line that is too long."""
    while line := stream.readline(MOST_LINE):
        if len(line) < MOST_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (more := stream.readline(MOST_LINE)) and not more.endswith(b"\n"):
            pass
        yield None


def csv_texts(stream: io.BufferedReader, fields: Fields, delimiter: str, faults: Faults) -> Iterator[Written]:
    """The text of each row, by the header's names of the columns; delimiter: where neither a first line `sep=;` nor the
    header tells another. Raises Unreadable if the column is missing."""
    csv.field_size_limit(MOST_LINE)

    def decoded() -> Iterator[str]:
        for number, line in enumerate(lines(stream), 1):
            if line is None:
                faults.add(f"longer than {MOST_LINE:,} bytes", number)
            yield "" if line is None else line.decode("utf-8", "surrogateescape")

    source = decoded()
    first = next(source, "")
    named = SEPARATOR.fullmatch(first.rstrip("\r\n"))
    before = int(named is not None)  # lines above the header
    first = next(source, "") if named else first
    delimiter = named[1] if named else delimiter_of(first, fields.column, delimiter)
    rows = csv.reader(chain([first], source), delimiter=delimiter, strict=True)
    yield from rows_texts(rows, fields, before, faults)


def rows_texts(rows: Any, fields: Fields, before: int, faults: Faults) -> Iterator[Written]:
    """The same of a reader of rows; before: how many lines stand above its header."""
    try:
        names = next(rows, [])
        places = columns_of(names, fields)
        labelled = [(name, at) for at, name in enumerate(names) if at not in places and is_label(name)]
    except csv.Error as error:
        raise Unreadable(f"its header cannot be read: {error}") from error
    while True:
        began = before + rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            faults.add(f"no row of a table ({error})", began, before + rows.line_num - began + 1)
            continue
        if row is None:
            return
        if not row:
            continue
        text, fault = Written(""), row_fault(row, places[0] if names[places[0]] == fields.column else max(places))
        if not fault:
            for name, at in labelled:
                if at < len(row):
                    faults.labels.count(name, row[at])
            text, fault = fields.written({names[at]: row[at] for at in places if at < len(row)})
        if fault:
            faults.add(fault, began)
        else:
            yield text


def delimiter_of(header: str, column: str, usual: str) -> str:
    """The delimiter that makes a cell of a header the column's name: the usual one, unless only another does."""
    for one in (usual, *DELIMITERS):
        with contextlib.suppress(csv.Error):  # of a damaged header, which whoever reads it names
            if column in next(csv.reader([header], delimiter=one), []):
                return one
    return usual


def row_fault(row: list[str], place: int) -> str:
    """Why the cells of a row up to a place cannot be read; "" if they can."""
    if len(row) <= place:
        return "too few columns"
    if not all(map(is_text, row)):
        return BINARY if any("\0" in cell for cell in row) else NOT_UTF8
    return ""


def is_text(cell: str) -> bool:
    """Whether text came from UTF-8 without zero bytes."""
    return not NO_TEXT.search(cell)


def columns_of(names: list[str], fields: Fields) -> list[int]:
    """The places of the columns that are read. Raises Unreadable."""
    return [column_place(names, one) for one in columns_wanted(names, fields)]


def columns_wanted(names: list[str], fields: Fields) -> list[str]:
    """The columns of a table that are read: of the text, if there is one, and of conversations, which rows without a
    text may have. Raises Unreadable where one that is needed stands there twice."""
    others = [one for one in conversation_fields(names) if one != fields.column]
    if fields.column in names:
        return [fields.column, *(one for one in others if names.count(one) == 1)]
    for one in others:
        column_place(names, one)
    return others or [fields.column]


def column_place(names: list[str], column: str) -> int:
    """A column's index. Raises Unreadable, naming the existing ones, if it is missing or stands there twice."""
    if names.count(column) > 1:
        raise Unreadable(f"it has {names.count(column)} columns {column!r}")
    if column not in names:
        there = listed([repr(name[:40]) for name in names], 8) or "none"
        raise Unreadable(f"it has no column {column!r}; its columns: {there}")
    return names.index(column)
