"""What goes wrong in a worker: told for as long as it lasts and, where it is one job's, in nobody else's way."""

import errno
import time
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from engine.core.errors import Problem
from engine.core.short_names import listed

WAIT_SECONDS = 10.0  # until a job that could not be started is tried again
REST_SECONDS = 1.0  # of its backend, which may be what fails: then no more is asked of it than that
NAMED = 3  # jobs in a sentence
EVERYBODY = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


class Troubles:
    """Jobs that this worker cannot handle at the moment, and why."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, float]] = {}  # job -> what is wrong, when it was last tried (monotonic)
        self.resting: dict[str, float] = {}  # backend -> when it last started none (monotonic)

    @contextmanager
    def of(self, job: str) -> Iterator[None]:
        """Handle a job inside the block: what goes wrong is kept and printed. Raises what is refused to all jobs, such
        as room on a full disk."""
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.errno in EVERYBODY:
                raise
            said = words(error)
            if said not in {what for what, _ in self.known.values()}:
                tell(f"cannot handle job {job}: {said}. Other jobs go on, and it is tried again", error)
            self.known[job] = said, time.monotonic()
        else:
            self.known.pop(job, None)

    def waits(self, job: str) -> bool:
        """Whether a job failed so lately that others come first."""
        return job in self.known and time.monotonic() - self.known[job][1] < WAIT_SECONDS

    def rest(self, backend: str) -> None:
        """Ask nothing of a backend for a moment."""
        self.resting[backend] = time.monotonic()

    def rests(self, backend: str) -> bool:
        """Whether a backend has just failed to start a job."""
        return backend in self.resting and time.monotonic() - self.resting[backend] < REST_SECONDS

    def keep(self, jobs: Collection[str]) -> None:
        """Forget the troubles of all other jobs."""
        self.known = {job: what for job, what in self.known.items() if job in jobs}

    def told(self) -> list[str]:
        """A sentence for each thing that is wrong, for the page."""
        jobs: dict[str, list[str]] = {}
        for job, (said, _) in self.known.items():
            jobs.setdefault(said, []).append(job)
        return [f"Cannot handle {listed(names, NAMED)}: {said}. It is tried again." for said, names in jobs.items()]


def words(error: Exception) -> str:
    """What went wrong, without the end of its sentence."""
    known = isinstance(error, OSError | Problem)
    return (str(error) if known else f"{type(error).__name__}: {error}").rstrip(".")


def tell(sentence: str, error: Exception) -> None:
    """Print a sentence, and where the error is none that a worker expects, where it comes from."""
    if not isinstance(error, OSError | Problem):
        traceback.print_exception(error)
    print(f"worker: {sentence}.", flush=True)
