"""The spool: background jobs as folders. Submit, claim, events, cancel, retry. Standard library only.

A job is a folder that moves between four places of `<workspace>/jobs/`; the rename is the transition:

    queued/<id>  --claim-->  active/<id>  --ends-->  ended/<id>  --its journal is in DuckDB-->  sealed/<id>

Inside: `spec.json` (complete before the folder appears), `events.jsonl` (append-only journal of the job's
states and results), `log.txt` (its output), `lock` (held with flock by the running process: if it is free,
nobody runs the job), `beat` (the heartbeat: touched while the job makes progress), `lease.json` (the attempt,
its backend and its resources), `priority` (its changed priority in the queue), `cancel` (it was cancelled), and
whatever the job keeps between attempts. A file `paused/<study>` pauses all jobs of a study. Workers know
nothing of the database and go on without its owner.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from engine.core.errors import Problem, Stopped
from engine.core.files import write_text
from engine.jobs.events import OUTCOMES, Event, JobCancelled, JobProgress, JobRequeued, JobStarted
from engine.jobs.journal import append, last_event, open_journal, write_event
from engine.jobs.spec import LONGEST_ID, VERSION, JobSpec, Task, names_a_folder

PLACES = ("queued", "active", "ended", "sealed")
PROGRESS_SECONDS = 0.5  # at most two progress lines per second: the page polls every two seconds
OWNER = "owner"  # the owner's journal; no job is called so
ENDS_WITHIN = 2.0  # seconds that a job's process is given to end once it has told its outcome
HEARTBEAT = "beat"  # the heartbeat file, touched while a job makes progress


AnyTask = TypeVar("AnyTask", bound=Task)


class Job:
    """One attempt at a job, as its own process sees it.

    spec: its settings and task; folder: persists between attempts (checkpoints, partial output);
    workspace: the root that every other path is relative to.
    """

    def __init__(self, folder: Path, workspace: Path, spec: dict[str, Any]):
        self.id, self.folder, self.workspace, self.spec = folder.name, folder, workspace, spec
        self.stopping = False
        self._journal = open_journal(folder)
        self._last_progress = 0.0

    def emit(self, event: Event) -> None:
        """Append one event to the journal, in one write. Raises ValueError for NaN and infinity."""
        append(self._journal, event)

    def task(self, kind: type[AnyTask]) -> AnyTask:
        """The job's task. Raises Problem if the spec lacks a field of it."""
        return kind.of(self.spec)

    def beat(self) -> None:
        """Say that the job is alive, where it has no progress to tell. Raises Stopped if it should stop."""
        if self.stopping:
            raise Stopped
        (self.folder / HEARTBEAT).touch()

    def progress(self, done: float, total: float, note: str = "") -> None:
        """Report progress (in any unit), which is also the heartbeat. Cheap: lines are thinned out.

        Raises Stopped if the job should stop.
        """
        if self.stopping:
            raise Stopped
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_SECONDS or done >= total:
            self._last_progress = now
            (self.folder / HEARTBEAT).touch()
            self.emit(JobProgress(done, total, note))


def is_reserved(job_id: str) -> bool:
    """Whether a job's id reads, or is on some systems, the name of the owner's journal."""
    return unicodedata.normalize("NFKC", job_id).casefold().strip(". ") == OWNER


def check_id(job_id: str, free: bool = True) -> None:
    """Raise Problem if a job's id is invalid. free: for a new job, not only to look one up."""
    if not names_a_folder(job_id):
        raise Problem(f"Cannot use {job_id[:80]!r}: that is not a job's id, a name of up to {LONGEST_ID} bytes.")
    if free and is_reserved(job_id):
        raise Problem(f"Cannot call a job {job_id!r}: {OWNER!r} is the name of the owner's journal. Choose another id.")


class Spool:
    """The jobs of one workspace."""

    def __init__(self, workspace: Path):
        self.workspace, self.root = workspace, workspace / "jobs"
        for place in (*PLACES, "incoming", "paused"):
            (self.root / place).mkdir(parents=True, exist_ok=True)

    def submit(self, spec: dict[str, Any], job_id: str | None = None) -> str:
        """Queue a job and return its id. The same id twice is one job, so a repeated submit is harmless.

        spec: {"kind": one of engine/jobs/kinds.py, the settings of JobSpec, and the task of its kind}. Raises Problem
        for an invalid setting.
        """
        spec = {"version": VERSION, **spec}
        JobSpec.read(spec)
        job_id = job_id or f"{spec['kind']}-{uuid.uuid4().hex[:8]}"
        check_id(job_id)
        if self.find(job_id):
            return job_id
        folder = self.root / "incoming" / f"{job_id}.{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        (folder / "spec.json").write_text(json.dumps(spec, allow_nan=False))
        try:
            folder.rename(self.root / "queued" / job_id)
        except OSError:  # the same job was submitted between our check and our rename
            shutil.rmtree(folder)
        return job_id

    def find(self, job_id: str) -> Path | None:
        """The job's folder, wherever it is now. None if there is no such job."""
        check_id(job_id, free=False)
        for _ in range(3):  # a job may move meanwhile
            for place in PLACES:
                if (folder := self.root / place / job_id).is_dir():
                    return folder
        return None

    def folders(self, place: str) -> list[Path]:
        """The job folders in one place, oldest name first."""
        with os.scandir(self.root / place) as entries:
            return [Path(entry.path) for entry in sorted(entries, key=lambda entry: entry.name) if entry.is_dir()]

    def move(self, folder: Path, place: str) -> Path | None:
        """Rename a job into another place. None if another process moved it first."""
        target = self.root / place / folder.name
        try:
            folder.rename(target)
        except FileNotFoundError:
            return None
        return target

    def remove(self, job_id: str) -> None:
        """Remove a job that has ended, with all that it kept."""
        if (folder := self.find(job_id)) is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def cancel(self, job_id: str) -> None:
        """Cancel a job. A queued one ends at once; a running one is stopped by the supervisor."""
        while (folder := self.find(job_id)) is not None and folder.parent.name in ("queued", "active"):
            try:
                (folder / "cancel").touch()
            except FileNotFoundError:
                continue  # a worker claimed or sealed it meanwhile
            if folder.parent.name == "queued" and (ended := self.move(folder, "ended")):
                write_event(ended, JobCancelled("before it started"))
            return

    def reprioritise(self, job_id: str, priority: float) -> None:
        """Move a queued job to another place in the queue (lower runs sooner). It has no effect on one that runs."""
        JobSpec.read({"kind": "any", "priority": priority})
        folder = self.find(job_id)
        if folder is None or folder.parent.name in ("ended", "sealed"):
            raise Problem(f"Cannot move job {job_id!r} in the queue: it is no longer queued.")
        try:
            write_text(folder / "priority", str(priority))
            os.utime(self.root / "queued")  # workers reread the queue when it has changed
        except FileNotFoundError as error:
            raise Problem(f"Cannot move job {job_id!r} in the queue: a worker has just taken it.") from error

    def pause(self, study: str) -> None:
        """Pause all jobs of a study: none starts, and running ones stop at a checkpoint."""
        (self.root / "paused" / study).touch()
        os.utime(self.root / "queued")

    def unpause(self, study: str) -> None:
        (self.root / "paused" / study).unlink(missing_ok=True)
        os.utime(self.root / "queued")

    def paused(self) -> set[str]:
        """The studies whose jobs are paused."""
        return set(os.listdir(self.root / "paused"))

    def retry(self, job_id: str, reason: str = "somebody asked for it") -> None:
        """Queue an ended job again; it resumes from its folder. Raises Problem if it has not ended."""
        patience = time.monotonic() + ENDS_WITHIN
        while (folder := self.find(job_id)) is not None and has_ended(folder):
            with contextlib.suppress(FileNotFoundError), try_lock(folder) as free:  # else it has just been moved
                if free is not None:
                    (folder / "cancel").unlink(missing_ok=True)
                    write_event(folder, JobRequeued(reason))
                    while folder and self.move(folder, "queued") is None:  # its owner sealed it meanwhile
                        folder = self.find(job_id)
                    return
            if time.monotonic() > patience:
                raise Problem(f"Cannot retry job {job_id!r}: its process still runs. Wait a few seconds.")
            time.sleep(0.05)
        raise Problem(f"Cannot retry job {job_id!r}: it has not ended. Cancel it first, or wait.")


def has_ended(folder: Path) -> bool:
    """Whether a job is over: where it lies says so, or its journal does, before its worker has filed it away."""
    if folder.parent.name == "active":
        return isinstance(last_event(folder, JobStarted, JobRequeued, *OUTCOMES), OUTCOMES)
    return folder.parent.name in ("ended", "sealed")


@contextlib.contextmanager
def try_lock(folder: Path) -> Iterator[int | None]:
    """Hold a job's lock inside the block; yields its descriptor, or None while a process runs the job."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)
