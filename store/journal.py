"""Journals: append-only files of JSON lines. Everything in the database comes from a line in one of them."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.core.errors import Problem, Unavailable
from engine.core.workspace import OWNER_JOURNAL
from engine.jobs.events import Event, Line, line_of
from engine.jobs.journal import FILE, READ_BYTES, append, cut_torn_tail, line_end, open_journal, parse
from engine.jobs.kinds import event_kinds
from store.rights import Rights

DEEPEST = 64  # lists and objects within each other; pages read what is stored from deep inside their own calls
JOB = "job/"  # begins the key of a job's journal
SAID = 10_000  # characters kept of a text that a job says, which every page about it may show
WHOLE = "template"  # of a corpus, which its manifest repeats as it was given
SHOWN = 2000  # characters kept of a corrupt line


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

    def without(self, unfit: dict[int, str]) -> "Chunk":
        """The same lines, some of them set aside. unfit: their places among `lines`, and why."""
        corrupt, lines, spans = list(self.corrupt), list[Line](), list[tuple[int, int]]()
        for place, (line, span) in enumerate(zip(self.lines, self.spans, strict=True)):
            if place in unfit:
                corrupt.append(SetAside(span[0], text_of(line.event), unfit[place][:SHOWN]))
            else:
                lines.append(line)
                spans.append(span)
        return replace(self, lines=lines, spans=spans, corrupt=sorted(corrupt, key=lambda one: one.begins))


def beginning(raw: bytes) -> str:
    """The first characters of a line."""
    return raw[: 4 * SHOWN].decode(errors="replace")[:SHOWN]


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


def read_on(folder: Path, key: str, offset: int, rights: Rights, torn: dict[str, int], most: int) -> Chunk | None:
    """The complete lines of `folder/events.jsonl` from `offset` on, at most so many; None if there is nothing new.

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
                if (length := ends - offset) > rights.longest:
                    reason = f"Cannot read the line: it has {length:,} bytes, and at most {rights.longest:,} are read."
                    return Chunk(key, folder.name, [], [], [SetAside(offset, beginning(data), reason)], ends)
                journal.seek(offset)
                data = journal.read(ends - offset)
    except FileNotFoundError:
        return None  # moved between folders meanwhile, or not begun
    if not (complete := data.split(b"\n", most)[:-1]):
        return None
    lines, spans, corrupt, position = [], [], [], offset
    for raw in complete:
        if raw.strip():
            try:
                lines.append(line_in(raw, rights))
                spans.append((position, position + len(raw) + 1))
            except Problem as problem:
                corrupt.append(SetAside(position, beginning(raw), str(problem)))
        position += len(raw) + 1
    return Chunk(key, folder.name, lines, spans, corrupt, position)


def line_in(raw: bytes, rights: Rights) -> Line:
    """The line of a journal. Raises Problem if the bytes are not an event that this journal may hold."""
    values = parse(raw)
    if values is None:
        raise Problem("Cannot read the line: it is not a JSON object.")
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and is_deeper(values, DEEPEST):
        raise Problem(f"Cannot read the line: its lists and objects are nested more than {DEEPEST} deep.")
    if b"\\ud" in raw or b"\\uD" in raw:
        check_letters(values)
    kind = values.get("kind")
    if isinstance(kind, str) and kind not in rights.kinds and kind in event_kinds():
        raise Problem(f"Cannot take an event of kind {kind!r} from this journal: it is not its writer's to say.")
    if rights.runs is not None and len(raw) > SAID:
        values = shortened(values)
    line = line_of(values, rights.kinds)
    rights.check(line.event)
    return line


def shortened(value: Any) -> Any:
    """What a job says as it is, or, of texts that are too long, at any depth, the beginning and how long it is."""
    if isinstance(value, str) and len(value) > SAID:
        return f"{value[:SAID]} [cut off: it has {len(value):,} characters]"
    if isinstance(value, dict):
        return {name: one if name == WHOLE else shortened(one) for name, one in value.items()}
    if isinstance(value, list):
        return [shortened(one) if isinstance(one, str | dict | list) else one for one in value]
    return value


def check_letters(values: dict[str, Any]) -> None:
    """Raise Problem for texts with half of a surrogate pair, which no table can hold."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Problem("Cannot read the line: it holds half of a letter (a surrogate), which is invalid.") from error


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
