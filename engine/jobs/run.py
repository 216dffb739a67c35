"""The process of one job: `python -m engine.jobs.run FOLDER WORKSPACE ATTEMPT`, started by the worker.

One table says which function a kind of job is. The function raises Problem for what the user can mend;
anything else that escapes is a bug, and its traceback goes into the job's log.
"""

import fcntl
import importlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

from engine.core.errors import Problem, Stopped, Transient
from engine.jobs import logs
from engine.jobs.spec import JobSpec, check_fields
from engine.jobs.spool import Job

KINDS = {
    "corpus": "engine.corpus.build:run",
    "train": "engine.proxies.train:run",
    "merge": "engine.merging.measuring.job:run",
    "preflight": "engine.merging.write_job:check",
    "merge_write": "engine.merging.write_job:write",
    "merge_learn": "engine.merging.learning.job:run",
    "merge_search": "engine.merging.measuring.search_job:run",
    "fit": "engine.league:run",
    "search": "engine.search.job:run",
    "propose": "engine.search.proposal_job:run",
}

# For people who read logs of clusters: what became of the job is in its journal.
DONE, FAILED, STOPPED, TWIN = 0, 1, 75, 76
LOCK_TRIES = 100


def main(folder: Path, workspace: Path, attempt: str, locked: bool) -> int:
    """Run one attempt at the job of a folder. Returns the exit code.

    locked: whether this process has inherited the job's lock; on a node of a cluster it takes the lock itself.
    """
    if not locked and take_lock(folder) is None:
        return TWIN
    if attempt_of(folder) != attempt:
        return TWIN  # the worker has given this attempt up and begun another
    if not locked:
        print_into(folder / "log.txt")
    job = Job(folder, workspace, {})
    return perform(job)


def perform(job: Job) -> int:
    """Do what the job's spec says, and write into its journal what became of it."""
    signal.signal(signal.SIGTERM, lambda *_: setattr(job, "stopping", True))
    logs.keep_short(job.folder / "log.txt")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the worker, which stops its jobs in order
    job.emit("job.started", pid=os.getpid(), host=socket.gethostname())
    try:
        job.spec = spec_of(job.folder)
        function_of(job.spec)(job)
    except Exception as error:
        return failed(job, error)
    job.emit("job.finished")
    return DONE


def failed(job: Job, error: Exception) -> int:
    """Say why a job did not come to its end; returns the exit code."""
    if isinstance(error, Stopped):
        job.emit("job.paused")
        return STOPPED
    if isinstance(error, Transient) or is_device_error(error):
        traceback.print_exc()
        job.emit("job.died", message=transient_cause(error))
        return FAILED
    if not isinstance(error, Problem):
        traceback.print_exc()
    job.emit("job.failed", message=message_of(error))
    return FAILED


def message_of(error: Exception) -> str:
    """What people are told."""
    if isinstance(error, Problem):
        return str(error)
    if isinstance(error, MemoryError):
        return "The machine ran out of memory. Choose a smaller model or fewer members a group."
    if "No space left on device" in str(error):  # of safetensors, whose errors are no OSErrors
        return "The disk is full. Free disk space, then retry: it goes on from its last checkpoint."
    if isinstance(error, OSError):
        return f"Reading or writing failed: {error}. Free disk space or check the path, then retry."
    return f"Unexpected {type(error).__name__}: {error}. The log has the traceback."


def is_device_error(error: Exception) -> bool:
    """Whether a GPU failed under the job: torch raises RuntimeErrors that begin with these words."""
    return isinstance(error, RuntimeError) and str(error).startswith(("CUDA error", "CUDA driver", "No CUDA GPUs"))


def transient_cause(error: Exception) -> str:
    """Why an attempt died, so that the next one may do better."""
    if isinstance(error, Transient):
        return str(error)
    first = str(error).split("\n")[0]
    return f"its GPU failed or vanished ({first})"


def take_lock(folder: Path) -> int | None:
    """The job's lock, for as long as this process lives; None where another process runs the job."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(LOCK_TRIES):  # the worker may only be looking whether it is held
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            time.sleep(0.05)
    os.close(descriptor)
    return None


def print_into(log: Path) -> None:
    """Let this process and its children print into the job's log, where the page looks, not the cluster's."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def attempt_of(folder: Path) -> str | None:
    """Which attempt the worker is at."""
    try:
        return json.loads((folder / "lease.json").read_text())["attempt"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def spec_of(folder: Path) -> dict:
    """The job's spec. Raises Problem for one that is damaged."""
    try:
        spec = json.loads((folder / "spec.json").read_text())
    except (OSError, ValueError) as error:
        raise Problem(f"Cannot read the job's spec.json: {error}. Cancel the job and submit it again.") from error
    JobSpec.read(spec)
    return spec


def function_of(spec: dict):
    """The function that does a spec's kind of job. Raises Problem for a kind that this version lacks."""
    try:
        module, function = KINDS[spec.get("kind")].split(":")
    except KeyError:
        known = ", ".join(KINDS)
        raise Problem(
            f"Cannot run a job of kind {spec.get('kind')!r}: this version knows {known}. "
            "Update Mixdesk, or cancel the job."
        ) from None
    check_fields(spec)
    return getattr(importlib.import_module(module), function)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], "--locked" in sys.argv[4:]))
