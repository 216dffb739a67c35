"""The one owner of the DuckDB file: opens it, reads with cursors, writes journals in whole transactions."""

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import duckdb
import pyarrow as pa

from engine.core.errors import Problem, Unavailable
from engine.core.files import check_room
from engine.core.people import acting
from engine.core.workspace import Workspace
from engine.jobs.decisions import JobPlanned, JobRetryAsked
from engine.jobs.events import Event
from engine.jobs.spool import Spool
from store.events import apply
from store.journal import JOB, SHOWN, Chunk, OwnerJournal, read_on
from store.offsets import remember
from store.opening import connect, gather_results, key_by_kind
from store.rights import CHANGING, OWNER, UNPLANNED, Rights, rights_of

SCHEMA = Path(__file__).with_name("schema.sql")
# Errors of `apply` for a malformed event. A full disk is not among them: that is retried.
UNUSABLE = (
    Problem,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.ProgrammingError,
    ArithmeticError,
    RecursionError,
    pa.ArrowException,
)
Answer = TypeVar("Answer")
Given = ParamSpec("Given")
Parameters = list[Any] | dict[str, Any] | None  # of a query: by position, or by name
# Work (`apply.weight`), bytes, and journals looked at, per transaction: others write in between.
AT_ONCE, BYTES_AT_ONCE, FOLDERS_AT_ONCE = 1000, 8 << 20, 256
LINES_READ = AT_ONCE // apply.ONE_BY_ONE  # at once, of one journal
PATIENCE_SECONDS = 0.25  # with malformed events, before others may write
TURN_SECONDS = 0.0005


class Store:
    """A workspace's database. Exactly one process may have it open; threads share one `Store`.

    `version` counts commits: the key for caches of what was read from the store. What was read in several queries is of
    one state of the tables where `is_still` says so of the version before the first.
    """

    def __init__(self, workspace: Workspace, file: Path | None = None):
        """Open or create the database; raises Problem if another process owns it or the file is damaged."""
        self.workspace, self.version = workspace, 0
        self.file = file or workspace.root / "mixdesk.duckdb"
        self._writing, self._closing = threading.RLock(), False
        self._asked = set[duckdb.DuckDBPyConnection]()  # cursors of queries that run
        self._committing = False  # a commit is seen by others before `version` tells of it
        self._inside, self._begun = 0, False  # blocks of `alone` in each other, and whether the outermost has written
        self._connection, self._lost = connect(self.file), False
        self.journal = OwnerJournal(workspace.root)
        self.spool = Spool(workspace.root)
        with self._refusing(), self.transaction() as cursor:
            for statement in SCHEMA.read_text().split(";\n"):
                cursor.execute(statement)
            gather_results(cursor)
            key_by_kind(cursor)
        self._read_to = dict(self.rows("SELECT name, read_to FROM journals"))
        self._rights: dict[str, Rights] = {}  # of jobs
        self._torn: dict[str, int] = {}  # journal -> how far its last line, long and without end, was read
        self._remembered: tuple[int, dict[Hashable, Any]] = (-1, {})  # the version it is valid for, key -> answer

    def remembered(self, key: Hashable, ask: Callable[[], Answer]) -> Answer:
        """An answer shared by many sessions, computed once per state of the tables. It must not be modified."""
        version, known = self._remembered
        if version != self.version:
            version, known = self._remembered = (self.version, {})
        if key not in known:
            answer = ask()
            if not self.is_still(version):  # something was written meanwhile: valid for this call, not cached
                return answer
            known[key] = answer
        found: Answer = known[key]
        return found

    def is_still(self, version: int) -> bool:
        """Whether nothing was written since the store had this version, and nothing is about to be seen."""
        return not self._committing and self.version == version  # in this order: a commit counts before it is over

    def rows(self, sql: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """Rows of a query, on a cursor of its own: safe from any thread."""
        with self._asking() as cursor:
            return cursor.execute(sql, parameters).fetchall()

    def arrow(self, sql: str, parameters: Parameters = None) -> pa.Table:
        """A query's result as a pyarrow.Table."""
        with self._asking() as cursor:
            return cursor.sql(sql, params=parameters).to_arrow_table()

    @contextmanager
    def _asking(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one query, which `interrupt` ends. Raises Unavailable then."""
        cursor = self._cursor()
        self._asked.add(cursor)
        try:
            yield cursor
        except duckdb.InterruptException as error:
            raise Unavailable("Cannot answer: Mixdesk is being stopped. Ask again once it runs.") from error
        finally:
            self._asked.discard(cursor)

    def interrupt(self) -> None:
        """End the queries that run. Transactions go on: they are short, and whole."""
        for cursor in list(self._asked):
            cursor.interrupt()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor. DuckDB gives a file up that it could not write, until it is opened again: that is done here."""
        if self._lost:
            with self._writing:
                if self._lost:
                    self._connection.close()
                    self._connection, self._lost = connect(self.file), False
        return self._connection.cursor()

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One writer at a time; the block's writes are atomic."""
        with self._writing:
            cursor = self._cursor()
            try:
                cursor.begin()
                try:
                    yield cursor
                except BaseException:
                    cursor.rollback()
                    raise
                self._committing = True
                cursor.commit()
                self.version += 1
            except duckdb.FatalException:
                self._lost = True
                raise
            finally:
                self._committing = False
                cursor.close()

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Raise Unavailable for what the disk or the database refuses inside the block."""
        try:
            yield
        except (OSError, duckdb.Error) as error:
            reason = str(error).rstrip(".")
            raise Unavailable(
                f"Cannot write {self.file}: {reason}. Nothing was lost. Free disk space, then try again."
            ) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Exclusive writing inside the block: what is read in it is still valid when it writes, and a disk that was
        not too full for its first decision takes what follows from that."""
        with self._writing:
            self._inside += 1
            try:
                yield
            finally:
                self._inside -= 1
                self._begun = self._begun and self._inside > 0

    def write(self, decision: Event, by: str | None = None) -> None:
        """Record a decision (engine/jobs/decisions.py): into the owner's journal first, then into the tables.

        by: who decided; by default the acting user. Raises Unavailable, and has decided nothing, on a full disk.
        """
        with self.alone():
            if not self._begun:
                check_room(self.workspace.root)
            before = self.journal.end()
            self.journal.append(decision, by or acting().name)
            try:
                if not self._begun:  # the tables take as much again as the line
                    check_room(self.workspace.root, self.journal.end() - before)
                waiting = [self.journal.folder]
                while waiting:
                    self._take_some(waiting)
            except Unavailable:
                self.journal.cut(before)
                raise
            except (OSError, duckdb.Error) as error:  # a full disk: what is refused has not happened
                self.journal.cut(before)
                raise Unavailable(f"Cannot write {self.file}: {error}. Nothing was done. Try again later.") from error
            unfit = "SELECT reason FROM corrupt_lines WHERE journal = ? AND read_from = ?"
            for (reason,) in self.rows(unfit, [self.journal.name, before]):
                raise Problem(f"Cannot record {decision.kind}: {reason}")
            self._begun = True

    def submit(self, job_id: str, spec: dict[str, Any], study: str | None = None) -> None:
        """Plan a job and put it into the spool; the same id twice is one job."""
        with self._writing:
            self.write(JobPlanned(job_id, spec, study))
            self.spool.submit(spec, job_id)

    def retry(self, job_id: str) -> None:
        """Queue an ended job again. Raises Problem if it has not ended."""
        self.spool.retry(job_id)
        self.write(JobRetryAsked(job_id))
        self.ingest()

    def ingest(self) -> int:
        """Read new lines of every journal that may have grown; returns the number of new events.

        A job that has ended and is read to its end is sealed: its journal is never looked at again. Raises Unavailable
        on a full disk: the rest is read the next time.
        """
        with self._refusing():
            taken = self._take([self.journal.folder])
            for place in ("queued", "active"):
                taken += self._take(self.spool.folders(place))
            ended = self.spool.folders("ended")
            taken += self._take(ended)
        with self._writing:
            for folder in ended if not self._closing else []:
                self.spool.move(folder, "sealed")
                self._rights.pop(folder.name, None)
        return taken

    def forget(self, jobs: list[str]) -> None:
        """Remove the folders of jobs whose study was deleted: another job may be called so later."""
        with self._writing:
            for job in jobs:
                self._read_to.pop(JOB + job, None)
                self._rights.pop(job, None)
                self.spool.remove(job)

    def take_sealed(self) -> int:
        """Read the journals of sealed jobs: needed only for a rebuild."""
        return self._take(self.spool.folders("sealed"))

    def _take(self, folders: Iterable[Path]) -> int:
        """Apply the journals' new lines to the tables, many in one transaction; others may write between two."""
        waiting, taken = list(folders)[::-1], 0
        while waiting and not self._closing:
            with self._writing:
                taken += self._take_some(waiting)
            if waiting:
                time.sleep(TURN_SECONDS)  # who takes the lock again at once leaves no turn to others
        return taken

    def _take_some(self, waiting: list[Path]) -> int:
        """Apply some lines of the last of these journals; those read to their end are taken off the list."""
        part, batch, ended, work, size = waiting[-FOLDERS_AT_ONCE:], list[Chunk](), list[Path](), 0, 0
        self._learn_rights([folder.name for folder in part if folder != self.journal.folder])
        for folder in reversed(part):
            own = folder == self.journal.folder
            key = folder.name if own else JOB + folder.name
            rights = OWNER if own else self._rights.get(folder.name, UNPLANNED)
            read_to = self._read_to.get(key, 0)
            while work < AT_ONCE and size < BYTES_AT_ONCE:
                if (chunk := read_on(folder, key, read_to, rights, self._torn, LINES_READ)) is None:
                    break
                batch.append(chunk)
                size += chunk.read_to - read_to
                read_to, work = chunk.read_to, work + apply.weight(chunk)
            if work >= AT_ONCE or size >= BYTES_AT_ONCE:  # the rest of this journal waits
                break
            ended.append(waiting.pop())
        if left := self._land_all(batch):
            waiting += ended[::-1]  # some of their lines are read again
        return sum(len(chunk.lines) for chunk in batch) - sum(len(chunk.lines) for chunk in left)

    def _learn_rights(self, jobs: list[str]) -> None:
        """Look up what the journals of these jobs may hold."""
        if unknown := [job for job in jobs if job not in self._rights]:
            self._rights |= rights_of(self._cursor(), unknown)

    def _land_all(self, batch: list[Chunk]) -> list[Chunk]:
        """Apply chunks together. An event that the database refuses must not block the others: it is found by
        bisection, and set aside with the next that land. Returns what is left, to be read again, where there are so
        many that others would wait."""
        parts, aside, began, landed = [batch], list[Chunk](), time.monotonic(), False
        while parts and not ((landed or aside) and time.monotonic() - began > PATIENCE_SECONDS):
            part = parts.pop()
            try:
                self._land([*aside, *part])
                aside, landed = [], True
            except UNUSABLE as error:
                if len(part) == 1 and len(part[0].lines) <= 1:
                    aside.append(part[0].without({0: why(error)}))
                    continue
                ones = part if len(part) > 1 else list(part[0].apart())
                half = (len(ones) + 1) // 2
                parts += [ones[half:], ones[:half]]
        self._land(aside)
        return [chunk for part in parts for chunk in part]

    def _land(self, chunks: list[Chunk]) -> None:
        """Write rows and offsets atomically."""
        if not chunks:
            return
        with self.transaction() as cursor:
            remember(cursor, apply.apply(cursor, chunks))
        self._read_to |= {chunk.key: chunk.read_to for chunk in chunks}
        if any(isinstance(line.event, CHANGING) for chunk in chunks for line in chunk.lines):
            self._rights.clear()

    def stop_reading(self) -> None:
        """Let a read of the journals end after the part that it is at; the next start reads on."""
        self._closing = True

    def close(self) -> None:
        """Close the database, once what is being written stands."""
        self.stop_reading()
        with self._writing:
            self._connection.close()
            self.journal.close()


def in_turn(function: Callable[Concatenate[Store, Given], Answer]) -> Callable[Concatenate[Store, Given], Answer]:
    """A function that is carried out while nobody else writes: what it reads is still valid when it writes, so what is
    asked twice at once is done once."""

    @wraps(function)
    def alone(store: Store, /, *args: Given.args, **kwargs: Given.kwargs) -> Answer:
        with store.alone():
            return function(store, *args, **kwargs)

    return alone


def why(error: Exception) -> str:
    """Why an event could not be applied."""
    reason = str(error) if isinstance(error, Problem) else f"Cannot apply it: {type(error).__name__}: {error}"
    return reason[:SHOWN]
