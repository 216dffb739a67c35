"""The process of one job: `python -m engine.run_job FOLDER WORKSPACE`, started by the worker with the job's lock.

One table says which function a kind of job is. The function raises Problem for what the user can mend;
anything else that escapes is a bug, and its traceback goes into the job's log.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

from engine.errors import Problem, Stopped
from engine.jobs import Job

KINDS = {
    "corpus": "engine.corpus.build:run",
    "train": "engine.train:run",
    "fit": "engine.league:run",
    "search": "engine.search_job:run",
    "propose": "engine.propose_job:run",
}

# What the worker learns from the exit code; everything else is in the journal.
DONE, FAILED, STOPPED = 0, 1, 75


def main(folder: Path, workspace: Path) -> int:
    """Run the job of a folder whose lock this process inherited. Returns the exit code."""
    job = Job(folder, workspace, {})
    signal.signal(signal.SIGTERM, lambda *_: setattr(job, "stopping", True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the worker, which stops its jobs in order
    job.emit("job.started", pid=os.getpid())
    try:
        job.spec = spec_of(folder)
        function_of(job.spec)(job)
    except Stopped:
        return STOPPED
    except Problem as problem:
        job.emit("job.failed", message=str(problem))
        return FAILED
    except MemoryError:
        job.emit(
            "job.failed",
            message="The machine ran out of memory. Choose a smaller model or fewer members a group.",
        )
        return FAILED
    except OSError as error:
        traceback.print_exc()
        job.emit(
            "job.failed",
            message=f"Reading or writing failed: {error}. Free disk space or check the path, then retry.",
        )
        return FAILED
    except Exception as error:
        traceback.print_exc()
        job.emit("job.failed", message=f"Unexpected {type(error).__name__}: {error}. The log has the traceback.")
        return FAILED
    job.emit("job.finished")
    return DONE


def spec_of(folder: Path) -> dict:
    """The job's spec. Raises Problem for one that is damaged."""
    try:
        spec = json.loads((folder / "spec.json").read_text())
    except (OSError, ValueError) as error:
        raise Problem(f"Cannot read the job's spec.json: {error}. Cancel the job and submit it again.") from error
    if not isinstance(spec, dict):
        raise Problem(f"Cannot read the job's spec.json: it holds {spec!r}. Cancel the job and submit it again.")
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
    return getattr(importlib.import_module(module), function)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
