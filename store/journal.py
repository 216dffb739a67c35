"""Journals: append-only files of JSON lines. Everything in the database has been a line in one of them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.jobs.spool import append_event, mend_journal, parse_event

READ_BYTES = 16 << 20  # at once, so that a job that prints gigabytes into its journal costs no memory


@dataclass(frozen=True)
class Chunk:
    """What has been appended to a journal since the last look."""

    name: str
    events: list[dict]
    spans: list[tuple[int, int]]  # where each event's line begins and ends
    corrupt: list[tuple[int, str]]  # (offset, text) of lines that are no events
    read_to: int  # offset after the last whole line

    def apart(self) -> Iterator["Chunk"]:
        """The same lines, one event at a time."""
        corrupt = list(self.corrupt)
        for event, span in zip(self.events, self.spans, strict=True):
            before = [line for line in corrupt if line[0] < span[0]]
            corrupt = corrupt[len(before) :]
            yield Chunk(self.name, [event], [span], before, span[1])
        yield Chunk(self.name, [], [], corrupt, self.read_to)

    def set_aside(self) -> "Chunk":
        """The same lines, their events counted as corrupt."""
        lines = [(start, json.dumps(event)[:2000]) for event, (start, _) in zip(self.events, self.spans, strict=True)]
        return Chunk(self.name, [], [], sorted(self.corrupt + lines), self.read_to)


class OwnerJournal:
    """The journal of what people and the owner decided: `<workspace>/journal/owner/events.jsonl`."""

    name = "owner"

    def __init__(self, workspace: Path):
        self.folder = workspace / "journal" / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        mend_journal(self.folder)
        self._descriptor = os.open(self.folder / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, kind: str, fields: dict) -> None:
        """Write one line and wait until it is on the disk."""
        append_event(self._descriptor, kind, fields)
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_on(folder: Path, name: str, offset: int) -> Chunk | None:
    """The whole lines of `folder/events.jsonl` from `offset` on; None where there is nothing new.

    A torn last line waits for its end. A line that is not an event is set aside, not dropped.
    """
    try:
        with open(folder / "events.jsonl", "rb") as journal:
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
    events, spans, corrupt, position = [], [], [], offset
    for line in data[:end].split(b"\n")[:-1]:
        event = parse_event(line)
        if event is not None:
            events.append(event)
            spans.append((position, position + len(line) + 1))
        elif line.strip():
            corrupt.append((position, line.decode(errors="replace")[:2000]))
        position += len(line) + 1
    return Chunk(name, events, spans, corrupt, offset + end)
