"""Journals: append-only files of JSON lines. Everything in the database comes from a line in one of them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.core.errors import Problem, Unavailable
from engine.core.workspace import OWNER_JOURNAL
from engine.jobs.events import Event, Line, line_of
from engine.jobs.journal import FILE, append, cut_torn_tail, open_journal, parse
from engine.jobs.kinds import event_kinds
from store.rights import Rights

DEEPEST = 64  # lists and objects within each other; pages read what is stored from deep inside their own calls
SHOWN = 2000  # characters kept of a corrupt line
READ_BYTES = 1 << 20  # read at once, so that a journal of gigabytes costs neither memory nor patience


@dataclass(frozen=True)
class SetAside:
    """A line that was not applied: its offset, text, and why."""

    begins: int
    text: str
    reason: str


@dataclass(frozen=True)
class Chunk:
    """New lines of a journal since the last read. key: of the journal among all; name: of its job, or "owner"."""

    key: str
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
            yield Chunk(self.key, self.name, [line], [span], before, span[1])
        yield Chunk(self.key, self.name, [], [], corrupt, self.read_to)

    def set_aside(self, reason: str) -> "Chunk":
        """The same lines, all set aside as corrupt."""
        aside = [
            SetAside(start, text_of(line.event), reason)
            for line, (start, _) in zip(self.lines, self.spans, strict=True)
        ]
        aside = sorted(self.corrupt + aside, key=lambda one: one.begins)
        return Chunk(self.key, self.name, [], [], aside, self.read_to)


def text_of(event: Event) -> str:
    """An event as the beginning of its line."""
    try:
        return json.dumps({"kind": event.kind, **event.to_dict()})[:SHOWN]
    except (ValueError, TypeError, RecursionError):
        return json.dumps({"kind": event.kind})


class OwnerJournal:
    """The journal of decisions by people and the owner: `<workspace>/journal/owner/events.jsonl`."""

    name = "owner"

    def __init__(self, workspace: Path):
        self.folder = workspace / OWNER_JOURNAL.parent
        self.folder.mkdir(parents=True, exist_ok=True)
        cut_torn_tail(self.folder)
        self._descriptor = open_journal(self.folder, 0o600)

    def append(self, event: Event, by: str) -> None:
        """Write one line and sync it to disk. Raises Unavailable, and has written nothing, where it cannot."""
        before = self.end()
        try:
            append(self._descriptor, event, by)
            os.fsync(self._descriptor)
        except OSError as error:
            self.cut(before)
            raise Unavailable(
                f"Cannot write {self.folder / FILE}: {error.strerror}. Nothing was done. Free disk space, or try again."
            ) from error

    def end(self) -> int:
        """Where the journal ends, in bytes."""
        return os.fstat(self._descriptor).st_size

    def cut(self, end: int) -> None:
        """Take back what was written after `end`."""
        os.ftruncate(self._descriptor, end)
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_on(folder: Path, key: str, offset: int, rights: Rights, torn: dict[str, int]) -> Chunk | None:
    """The complete lines of `folder/events.jsonl` from `offset` on; None if there is nothing new.

    A torn last line is left for later; torn: key -> how far a long one was looked through, so that nothing of it is
    read again, or held, until its end is there. A line that is no event of a kind and about things that this journal
    may tell of is set aside with the reason.
    """
    try:
        with open(folder / FILE, "rb") as journal:
            size = os.fstat(journal.fileno()).st_size
            if size < torn.get(key, 0):  # it was cut off
                del torn[key]
            if size <= offset:
                return None
            journal.seek(offset)
            data = journal.read(READ_BYTES)
            if len(data) == READ_BYTES and b"\n" not in data:
                ends = line_end(journal, max(offset + READ_BYTES, torn.get(key, 0)))
                torn[key] = journal.tell()
                if ends is None:
                    return None
                journal.seek(offset)
                data = journal.read(ends - offset)
    except FileNotFoundError:
        return None  # moved between folders meanwhile, or not begun
    end = data.rfind(b"\n") + 1
    if end == 0:
        return None
    lines, spans, corrupt, position = [], [], [], offset
    for raw in data[:end].split(b"\n")[:-1]:
        if raw.strip():
            try:
                lines.append(line_in(raw, rights))
                spans.append((position, position + len(raw) + 1))
            except Problem as problem:
                corrupt.append(SetAside(position, raw.decode(errors="replace")[:SHOWN], str(problem)))
        position += len(raw) + 1
    return Chunk(key, folder.name, lines, spans, corrupt, offset + end)


def line_end(journal: BinaryIO, start: int) -> int | None:
    """Where the first line that ends after `start` ends; None where none does. Holds no more than READ_BYTES."""
    journal.seek(start)
    while block := journal.read(READ_BYTES):
        if (place := block.find(b"\n")) >= 0:
            return journal.tell() - len(block) + place + 1
    return None


def line_in(raw: bytes, rights: Rights) -> Line:
    """The line of a journal. Raises Problem if the bytes are not an event that this journal may hold."""
    values = parse(raw)
    if values is None:
        raise Problem("Cannot read the line: it is not a JSON object.")
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and is_deeper(values, DEEPEST):
        raise Problem(f"Cannot read the line: its lists and objects are nested more than {DEEPEST} deep.")
    kind = values.get("kind")
    if isinstance(kind, str) and kind not in rights.kinds and kind in event_kinds():
        raise Problem(f"Cannot take an event of kind {kind!r} from this journal: it is not its writer's to say.")
    line = line_of(values, rights.kinds)
    rights.check(line.event)
    return line


def is_deeper(value: object, levels: int) -> bool:
    """Whether lists and objects are nested more than so many levels deep. Without recursion: that is what it guards."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for one in level
            if isinstance(one, list | dict)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, list | dict)
        ]
    return bool(level)
