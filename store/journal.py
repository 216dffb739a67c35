"""Journals: append-only files of JSON lines. Everything in the database has been a line in one of them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.core.errors import Problem
from engine.jobs.events import Event, Line, line_of
from engine.jobs.journal import FILE, append, cut_torn_tail, open_journal, parse
from engine.jobs.kinds import event_kinds

SHOWN = 2000  # characters of a line that is set aside
READ_BYTES = 16 << 20  # at once, so that a job that prints gigabytes into its journal costs no memory


@dataclass(frozen=True)
class SetAside:
    """A line that was not applied: where it begins, its text, and why."""

    begins: int
    text: str
    reason: str


@dataclass(frozen=True)
class Chunk:
    """What has been appended to a journal since the last look."""

    name: str
    lines: list[Line]
    spans: list[tuple[int, int]]  # where each line begins and ends
    corrupt: list[SetAside]
    read_to: int  # offset after the last whole line

    def apart(self) -> Iterator["Chunk"]:
        """The same lines, one event at a time."""
        corrupt = list(self.corrupt)
        for line, span in zip(self.lines, self.spans, strict=True):
            before = [one for one in corrupt if one.begins < span[0]]
            corrupt = corrupt[len(before) :]
            yield Chunk(self.name, [line], [span], before, span[1])
        yield Chunk(self.name, [], [], corrupt, self.read_to)

    def set_aside(self, reason: str) -> "Chunk":
        """The same lines, none of them to be applied."""
        aside = [
            SetAside(start, json.dumps({"kind": line.event.kind, **line.event.to_dict()})[:SHOWN], reason)
            for line, (start, _) in zip(self.lines, self.spans, strict=True)
        ]
        return Chunk(self.name, [], [], sorted(self.corrupt + aside, key=lambda one: one.begins), self.read_to)


class OwnerJournal:
    """The journal of what people and the owner decided: `<workspace>/journal/owner/events.jsonl`."""

    name = "owner"

    def __init__(self, workspace: Path):
        self.folder = workspace / "journal" / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        cut_torn_tail(self.folder)
        self._descriptor = open_journal(self.folder, 0o600)

    def append(self, event: Event, by: str) -> None:
        """Write one line and wait until it is on the disk."""
        append(self._descriptor, event, by)
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_on(folder: Path, name: str, offset: int) -> Chunk | None:
    """The whole lines of `folder/events.jsonl` from `offset` on; None where there is nothing new.

    A torn last line waits for its end. A line that holds no event of a known kind is set aside with the reason.
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
        return None  # moved between places while we looked, or not begun
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
    """The line of a journal. Raises Problem for bytes that hold no event of a known kind."""
    values = parse(raw)
    if values is None:
        raise Problem("Cannot read the line: it is not a JSON object.")
    return line_of(values, event_kinds())
