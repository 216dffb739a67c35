"""Own data: records out of JSON: a record per line, an array of them, objects over several lines, or one object around
a list of records, as its text says and not its name."""

import codecs
import io
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from engine.core.json_lists import is_table, lists_in
from engine.core.short_names import listed
from engine.corpus.document import Written
from engine.corpus.fields import Fields, conversation_columns
from engine.corpus.labels import Labels
from engine.corpus.records import BINARY, MOST_LINE, NOT_UTF8, Faults, Unreadable, is_text, lines

BLOCK = 1_000_000  # bytes of an array or object read at a time
SPACE = re.compile(r"[ \t\r\n]*")
LINE, RECORD = "line", "record"
BY_COLUMNS = "an object of objects, as where pandas writes a table by its columns: write it with a record per line"


class Found(NamedTuple):
    """A value, or why it cannot be read; unit, number: which line or record of the file it is, from 1 on."""

    unit: str
    number: int
    value: Any
    fault: str = ""


def json_texts(stream: io.BufferedReader, fields: Fields, faults: Faults, kind: str) -> Iterator[Written]:
    """The texts of a file of JSON."""
    for one in records_of(stream, kind, {fields.column, *fields.domain}):
        faults.unit = one.unit
        text, fault = (Written(""), one.fault) if one.fault else field_text(one.value, fields, faults.labels)
        if fault:
            faults.add(fault, one.number)
        else:
            yield text


def records_of(stream: io.BufferedReader, kind: str, columns: set[str]) -> Iterator[Found]:
    """The records of a file of JSON, also those of a list that an object holds. columns: what records have.

    Raises Unreadable where it cannot be read on.
    """
    done = 0
    for one in values_of(stream, kind, columns):
        inner, fault = (None, "") if one.fault else inside(one.value, columns)
        if inner is None:
            yield one._replace(fault=one.fault or fault)
        else:
            for record in inner:
                done += 1
                yield Found(RECORD, done, record)


def inside(value: Any, columns: set[str]) -> tuple[list[dict[str, Any]] | None, str]:
    """(the records that an object holds in its one list of them, "") where it is none itself; (None, why not) where it
    holds several such lists, or a table by its columns; (None, "") for all else."""
    if isinstance(value, dict) and value and all(isinstance(one, dict) and one for one in value.values()):
        if further := [f"{name}.{column}"[:40] for name, one in value.items() for column in columns & one.keys()]:
            return (
                None,
                f"its text stands further in, under {listed(sorted(further), 6)}: write it as a field of its own",
            )
        cells = [cell for one in value.values() for cell in one.values()]
        rows = {tuple(one) for one in value.values()}  # of a table by its columns all have the same ones
        by_columns = len(rows) == 1 and (len(value) > 1 or all(name.isdigit() for name in next(iter(rows))))
        if by_columns and not any(isinstance(cell, (dict, list)) for cell in cells):
            return None, BY_COLUMNS
    if not isinstance(value, dict) or _is_record(value, columns):
        return None, ""
    lists = [name for name, one in value.items() if _are_records(one, columns)]
    if len(lists) > 1:
        names = listed([repr(one[:40]) for one in lists], 6)
        return None, f"an object with several lists of records ({names}): write each into a file of its own"
    if lists:
        return value[lists[0]], ""
    places = [repr(one) for one in islice(lists_in(value, lambda one: _are_records(one, columns)), 6)]
    return None, f"records stand further in, under {listed(places)}: write each such list alone" if places else ""


def _are_records(value: Any, columns: set[str]) -> bool:
    return is_table(value) and _is_record(value[0], columns)


def _is_record(value: Any, columns: set[str]) -> bool:
    return isinstance(value, dict) and bool(columns & value.keys() or conversation_columns(value))


def field_text(value: Any, fields: Fields, labels: Labels) -> tuple[Written, str]:
    """(text, "") of a record that was parsed, or (nothing, why not)."""
    if isinstance(value, dict) and not fields.only:
        labels.see(value)
    return fields.written(value)


def values_of(stream: io.BufferedReader, kind: str, columns: set[str]) -> Iterator[Found]:
    """The values of a file: of an array, of lines, or of objects that go over several lines.

    An array in the first line of a file of lines (`kind` says so) is a line; of an object that is too long to be held,
    its list of records comes record by record. columns: what records have. Raises Unreadable where it cannot be read
    on.
    """
    blank, first = 0, stream.readline(MOST_LINE)
    while first and not first.strip(b" \t\r\n"):
        blank, first = blank + 1, stream.readline(MOST_LINE)
    begins = first.lstrip()[:1]
    alone = begins in (b"[", b"{") and not (begins == b"[" and kind == ".json") and not line_value(first)[1]
    if begins in (b"[", b"{") and not alone:
        text = Text(first, stream)
        if begins == b"[":
            number = 0
            for number, (value, sound) in enumerate(array_values(text), 1):
                yield Found(RECORD, number, value, "" if sound else NOT_UTF8)
            if text.ahead():
                raise Unreadable(f"after its array of {number:,} records more text follows, which is not read")
            return
        yield from objects(text, columns)
        first = text.source()
    rest = io.BufferedReader(Again(first, stream), BLOCK)
    for number, line in enumerate(lines(rest), blank + 1):
        if line is None or line.strip(b" \t\r\n"):
            yield Found(LINE, number, *line_value(line))


def objects(text: "Text", columns: set[str]) -> Iterator[Found]:
    """Values one behind the other, with or without commas; none where not even the first one can be read.

    Raises Unreadable where a later one cannot.
    """
    done = 0
    while text.ahead():
        try:
            value, source = text.value(after=done)
        except Unreadable:
            if done:
                raise
            if text.is_long():
                yield from within_object(text, columns)
            return
        done += 1
        yield Found(RECORD, done, value, "" if is_text(source) else NOT_UTF8)
        if text.ahead() == ",":
            text.skip(",")


def within_object(text: "Text", columns: set[str]) -> Iterator[Found]:
    """The records of the list that an object holds, one in memory at a time; none where it begins as no object does.

    Raises Unreadable where it cannot be read on, is a record itself, or holds several such lists.
    """
    number, start, buffer = 0, text.place, text.buffer
    try:
        text.skip("{")
        while text.ahead() != "}":
            name, _ = text.value(after=number)
            text.skip(":", after=number)
            if name in columns:
                raise Unreadable(f"its record is longer than {MOST_LINE:,} characters")
            before = number
            for value, sound in array_values(text) if text.ahead() == "[" else [text.value(after=number)]:
                if not _is_record(value, columns):
                    continue
                if before:
                    raise Unreadable(f"an object with several lists of records, of which {name!r:.40} is not read")
                number += 1
                yield Found(RECORD, number, value, "" if sound else NOT_UTF8)
            if text.ahead() != "}":
                text.skip(",", after=number)
        text.skip("}")
    except Unreadable:
        if number or text.buffer is not buffer:
            raise
        text.place = start  # as it was: its lines may be read


class Again(io.RawIOBase):
    """A stream with bytes that were read of it in front."""

    def __init__(self, head: bytes, stream: io.BufferedReader):
        self.head, self.stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block, self.head = self.head[: len(buffer)], self.head[len(buffer) :]
        block = block or self.stream.read1(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def line_value(line: bytes | None) -> tuple[Any, str]:
    """(what a line of JSON holds, "") or (nothing, why not)."""
    if line is None:
        return None, f"longer than {MOST_LINE:,} bytes"
    if b"\0" in line:
        return None, BINARY
    try:
        return json.loads(line.decode("utf-8")), ""
    except UnicodeDecodeError:
        return None, NOT_UTF8
    except (ValueError, RecursionError):
        return None, "not JSON"


def array_values(text: "Text") -> Iterator[tuple[Any, bool]]:
    """(value, whether its bytes are UTF-8) of each element of a JSON array, one in memory at a time.

    Raises Unreadable where it goes on as no JSON does.
    """
    text.skip("[")
    done = 0
    while text.ahead() != "]":
        if done:
            text.skip(",", after=done)
        value, source = text.value(after=done)
        done += 1
        yield value, is_text(source)
    text.skip("]")


class Text:
    """Text of a stream with a place in it, read as it is needed. Bytes that are not UTF-8 become half surrogates."""

    def __init__(self, head: bytes, stream: io.BufferedReader):
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.json = json.JSONDecoder()
        self.buffer, self.place, self.ended = self.decoder.decode(head), 0, False

    def source(self) -> bytes:
        """The bytes from this place on that were read."""
        return self.buffer[self.place :].encode("utf-8", "surrogateescape") + self.decoder.getstate()[0]

    def more(self) -> bool:
        """Read on, twice as far each time: a record that is parsed again and again costs no more than twice."""
        block = b"" if self.ended else self.stream.read(max(BLOCK, len(self.buffer) - self.place))
        self.buffer, self.place = self.buffer[self.place :] + self.decoder.decode(block, not block), 0
        self.ended = not block
        return not self.ended

    def ahead(self) -> str:
        """The next character that is no blank; "" at the end."""
        while True:
            self.place = SPACE.match(self.buffer, self.place).end()
            if self.place < len(self.buffer):
                return self.buffer[self.place]
            if not self.more():
                return ""

    def is_long(self) -> bool:
        """Whether more was read from here on than one value may have."""
        return len(self.buffer) - self.place > MOST_LINE

    def skip(self, mark: str, after: int = 0) -> None:
        """Pass a mark. Raises Unreadable if another one stands there."""
        if self.ahead() != mark:
            raise self.wrong(after)
        self.place += 1

    def value(self, after: int) -> tuple[Any, str]:
        """(the value at this place, its source)."""
        if not self.ahead():
            raise self.wrong(after)
        while True:
            try:
                value, end = self.json.raw_decode(self.buffer, self.place)
                length = end - self.place
                if end < len(self.buffer) or not self.more():  # at the very end a number may go on
                    source = self.buffer[self.place : self.place + length]
                    self.place += length
                    return value, source
            except (ValueError, RecursionError):
                if self.is_long() or not self.more():
                    raise self.wrong(after) from None

    def wrong(self, after: int) -> Unreadable:
        """The error where the array cannot be followed any more."""
        why = f"not JSON, or longer than {MOST_LINE:,} characters," if self.is_long() else "not JSON"
        return Unreadable(f"{why} after its first {after:,} records, which are kept; the rest is not read")
