"""Journals: append-only files of JSON lines. Everything in the database comes from a line in one of them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import Problem
from engine.jobs.events import Event, Line, line_of
from engine.jobs.journal import FILE, append, cut_torn_tail, open_journal, parse
from engine.jobs.kinds import event_kinds

SHOWN = 2000  # characters kept of a corrupt line
READ_BYTES = 16 << 20  # read at once, so that a journal of gigabytes costs no memory


@dataclass(frozen=True)
class SetAside:
    """A line that was not applied: its offset, text, and why."""

    begins: int
    text: str
    reason: str


@dataclass(frozen=True)
class Chunk:
    """New lines of a journal since the last read."""

    name: str
    lines: list[Line]
    spans: list[tuple[int, int]]  # begin and end of each line
    corrupt: list[SetAside]
    read_to: int  # offset after the last complete line

    def apart(self) -> Iterator["Chunk"]:
        """The same lines, one event at a time."""
        corrupt = list(self.corrupt)
        for line, span in zip(self.lines, self.spans, strict=True):
            before = [one for one in corrupt if one.begins < span[0]]
            corrupt = corrupt[len(before) :]
            yield Chunk(self.name, [line], [span], before, span[1])
        yield Chunk(self.name, [], [], corrupt, self.read_to)

    def set_aside(self, reason: str) -> "Chunk":
        """The same lines, all set aside as corrupt."""
        aside = [
            SetAside(start, json.dumps({"kind": line.event.kind, **line.event.to_dict()})[:SHOWN], reason)
            for line, (start, _) in zip(self.lines, self.spans, strict=True)
        ]
        return Chunk(self.name, [], [], sorted(self.corrupt + aside, key=lambda one: one.begins), self.read_to)


class OwnerJournal:
    """The journal of decisions by people and the owner: `<workspace>/journal/owner/events.jsonl`."""

    name = "owner"

    def __init__(self, workspace: Path):
        self.folder = workspace / "journal" / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        cut_torn_tail(self.folder)
        self._descriptor = open_journal(self.folder, 0o600)

    def append(self, event: Event, by: str) -> None:
        """Write one line and sync it to disk."""
        append(self._descriptor, event, by)
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_on(folder: Path, name: str, offset: int) -> Chunk | None:
    """The complete lines of `folder/events.jsonl` from `offset` on; None if there is nothing new.

    A torn last line is left for later. A line without an event of a known kind is set aside with the reason.
    """
    try:
        with open(folder / FILE, "rb") as journal:
            if os.fstat(journal.fileno()).st_size <= offset:
                return None
            journal.seek(offset)
            data = journal.read(READ_BYTES)
            while b"\n" not in data and (more := journal.read(READ_BYTES)):
                data += more
    except FileNotFoundError:
        return None  # moved between folders meanwhile, or not begun
    end = data.rfind(b"\n") + 1
    if end == 0:
        return None
    lines, spans, corrupt, position = [], [], [], offset
    for raw in data[:end].split(b"\n")[:-1]:
        if raw.strip():
            try:
                lines.append(line_in(raw))
                spans.append((position, position + len(raw) + 1))
            except Problem as problem:
                corrupt.append(SetAside(position, raw.decode(errors="replace")[:SHOWN], str(problem)))
        position += len(raw) + 1
    return Chunk(name, lines, spans, corrupt, offset + end)


def line_in(raw: bytes) -> Line:
    """The line of a journal. Raises Problem if the bytes are not an event of a known kind."""
    values = parse(raw)
    if values is None:
        raise Problem("Cannot read the line: it is not a JSON object.")
    return line_of(values, event_kinds())
