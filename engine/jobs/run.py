"""The process of one job: `python -m engine.jobs.run FOLDER WORKSPACE ATTEMPT`, started by the worker.

The table of engine/jobs/kinds.py names the function of a kind of job. It raises Problem if the user can fix the error;
any other exception is a bug, and its traceback goes into the job's log.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from engine.core.errors import Problem, Stopped, Transient
from engine.jobs import logs
from engine.jobs.events import JobDied, JobFailed, JobFinished, JobPaused, JobStarted
from engine.jobs.kinds import kind_of
from engine.jobs.spec import JobSpec
from engine.jobs.spool import Job

# For readers of cluster logs: the job's outcome is in its journal.
DONE, FAILED, STOPPED, DUPLICATE = 0, 1, 75, 76
LOCK_TRIES = 100


def main(folder: Path, workspace: Path, attempt: str, locked: bool) -> int:
    """Run one attempt at the job of a folder. Returns the exit code.

    locked: whether this process inherited the job's lock; on a cluster's node it takes the lock itself.
    """
    if not locked and take_lock(folder) is None:
        return DUPLICATE
    if attempt_of(folder) != attempt:
        return DUPLICATE  # the worker gave this attempt up and began another
    if not locked:
        print_into(folder / "log.txt")
    job = Job(folder, workspace, {})
    return perform(job)


def perform(job: Job) -> int:
    """Run the job's spec, and write its outcome into its journal."""
    signal.signal(signal.SIGTERM, lambda *_: setattr(job, "stopping", True))
    logs.keep_short(job.folder / "log.txt")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the worker, which stops its jobs in order
    job.emit(JobStarted(os.getpid(), socket.gethostname()))
    try:
        job.spec = spec_of(job.folder)
        kind = kind_of(job.spec["kind"])
        kind.task.of(job.spec)  # raises if the task is invalid
        kind.function()(job)
    except Exception as error:
        return failed(job, error)
    job.emit(JobFinished())
    return DONE


def failed(job: Job, error: Exception) -> int:
    """Record why a job did not finish; returns the exit code."""
    if isinstance(error, Stopped):
        job.emit(JobPaused())
        return STOPPED
    if isinstance(error, Transient) or is_device_error(error):
        traceback.print_exc()
        job.emit(JobDied(transient_cause(error)))
        return FAILED
    if not isinstance(error, Problem):
        traceback.print_exc()
    job.emit(JobFailed(message_of(error)))
    return FAILED


def message_of(error: Exception) -> str:
    """The message for the user."""
    if isinstance(error, Problem):
        return str(error)
    if isinstance(error, MemoryError):
        return "The machine ran out of memory. Choose a smaller model or fewer members per group."
    if "No space left on device" in str(error):  # from safetensors, whose errors are not OSErrors
        return "The disk is full. Free disk space, then retry: it goes on from its last checkpoint."
    if isinstance(error, OSError):
        return f"Reading or writing failed: {error}. Free disk space or check the path, then retry."
    return f"Unexpected {type(error).__name__}: {error}. The log has the traceback."


def is_device_error(error: Exception) -> bool:
    """Whether a GPU failed under the job: torch raises RuntimeErrors that begin with these words."""
    return isinstance(error, RuntimeError) and str(error).startswith(("CUDA error", "CUDA driver", "No CUDA GPUs"))


def transient_cause(error: Exception) -> str:
    """Why an attempt died, for the next one."""
    if isinstance(error, Transient):
        return str(error)
    first = str(error).split("\n")[0]
    return f"its GPU failed or vanished ({first})"


def take_lock(folder: Path) -> int | None:
    """The job's lock, for as long as this process lives; None where another process runs the job."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(LOCK_TRIES):  # the worker may hold it briefly to check whether the job lives
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            time.sleep(0.05)
    os.close(descriptor)
    return None


def print_into(log: Path) -> None:
    """Redirect the output of this process and its children into the job's log, for the page."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def attempt_of(folder: Path) -> str | None:
    """The number of the worker's current attempt."""
    try:
        attempt = json.loads((folder / "lease.json").read_text())["attempt"]
        return attempt if isinstance(attempt, str) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def spec_of(folder: Path) -> dict[str, Any]:
    """The job's spec. Raises Problem if it is damaged."""
    try:
        spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    except (OSError, ValueError) as error:
        raise Problem(f"Cannot read the job's spec.json: {error}. Cancel the job and submit it again.") from error
    JobSpec.read(spec)
    return spec


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], "--locked" in sys.argv[4:]))
