"""Journals: append-only files of events, one JSON object per line. Standard library only.

A line is written at once, so a reader sees all of it or a torn tail, never a mixture of two. Readers never go beyond
the last newline; a torn tail is cut off before the next line is written.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from engine.core.errors import Problem
from engine.jobs.events import Event, line_of

FILE = "events.jsonl"
TAIL_BYTES = 65536
LONGEST = 32 << 20  # bytes of a job's line: results take a few megabytes, and once parsed many times as much
READ_BYTES = 1 << 20  # read at once, so that a journal of gigabytes costs neither memory nor patience


def open_journal(folder: Path, mode: int = 0o644) -> int:
    """A descriptor that appends to a folder's journal."""
    return os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)


def append(descriptor: int, event: Event, by: str | None = None) -> None:
    """Write one line. Raises OSError if it cannot be written (a full disk), and then leaves the journal unchanged.

    Raises ValueError for NaN and infinity.
    """
    frame: dict[str, Any] = {"kind": event.kind, "t": time.time()} | ({} if by is None else {"by": by})
    line = json.dumps({**frame, **event.to_dict()}, ensure_ascii=False, allow_nan=False)
    data, before = memoryview(line.encode() + b"\n"), os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        os.ftruncate(descriptor, before)  # else the next line would be glued to half of this one
        raise


def write_event(folder: Path, event: Event) -> None:
    """Append to a job's journal from outside the job. Only for the holder of its lock, or before it ever ran."""
    cut_torn_tail(folder)
    descriptor = open_journal(folder)
    try:
        append(descriptor, event)
    finally:
        os.close(descriptor)


def parse(line: bytes) -> dict[str, Any] | None:
    """The JSON object on one line; None if there is none (torn by a kill, or damaged)."""
    try:
        values = json.loads(line.decode())  # UTF-8 alone: of bytes, json guesses other encodings too
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def event_of(line: bytes, kinds: dict[str, type[Event]]) -> Event | None:
    """The event on one line, if it is of one of these kinds; None for other kinds and damaged lines."""
    values = parse(line)
    kind = None if values is None else values.get("kind")
    if values is None or not isinstance(kind, str) or kind not in kinds:  # a list has no hash
        return None
    try:
        return line_of(values, kinds).event
    except Problem:
        return None


def read_events(folder: Path, *kinds: type[Event], begins: int = 0) -> list[Event]:
    """The events of these kinds in a job's journal, from a byte offset; damaged lines are left out."""
    wanted = {kind.kind: kind for kind in kinds}
    try:
        with open(folder / FILE, "rb") as journal:
            journal.seek(begins)
            return [event for line in complete_lines(journal) if (event := event_of(line, wanted)) is not None]
    except FileNotFoundError:
        return []


def complete_lines(journal: BinaryIO) -> Iterator[bytes]:
    """The lines from where a journal stands on, without a torn last one, and those that are longer than LONGEST."""
    while line := journal.readline(LONGEST):
        if line.endswith(b"\n"):
            yield line
        elif line_end(journal, journal.tell()) is None:
            return


def line_end(journal: BinaryIO, start: int) -> int | None:
    """Where the line that stands at `start` ends, and leaves the journal there; None where it has no end yet. Holds no
    more than READ_BYTES."""
    journal.seek(start)
    while block := journal.read(READ_BYTES):
        if (place := block.find(b"\n")) >= 0:
            return journal.seek(place + 1 - len(block), os.SEEK_CUR)
    return None


def last_event(folder: Path, *kinds: type[Event]) -> Event | None:
    """The last event of these kinds, read off the journal's tail, which holds its last line whole."""
    wanted, length = {kind.kind: kind for kind in kinds}, TAIL_BYTES
    try:
        with open(folder / FILE, "rb") as journal:
            size = journal.seek(0, os.SEEK_END)
            journal.seek(max(0, size - length))
            while (tail := journal.read()).count(b"\n") < 2 and length < min(size, LONGEST):
                length *= 8
                journal.seek(max(0, size - length))
    except FileNotFoundError:
        return None
    lines = tail.split(b"\n")[:-1]
    return next((event for line in reversed(lines) if (event := event_of(line, wanted)) is not None), None)


def cut_torn_tail(folder: Path) -> None:
    """Cut a torn last line off a journal whose writer was killed, so that the next line starts clean.

    Nothing acknowledged is lost: readers never go beyond the last newline.
    """
    path = folder / FILE
    if not path.exists():
        return
    with open(path, "rb+") as journal:
        end = journal.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - TAIL_BYTES)
            journal.seek(start)
            newline = journal.read(end - start).rfind(b"\n")
            if newline >= 0 or start == 0:
                journal.truncate(start + newline + 1)
                return
            end = start
