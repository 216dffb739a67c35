"""What goes wrong in a worker: told for as long as it lasts and, where it is one job's, in nobody else's way."""

import errno
import time
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from engine.core.errors import Problem

WAIT_SECONDS = 10.0  # until a job that could not be started is tried again
EVERYBODY = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


class Troubles:
    """Jobs that this worker cannot handle at the moment, and why."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, float]] = {}  # job -> what is wrong, when it was last tried (monotonic)

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
            if self.known.get(job, ("",))[0] != said:
                tell(f"cannot handle job {job}: {said}. Other jobs go on, and it is tried again", error)
            self.known[job] = said, time.monotonic()
        else:
            self.known.pop(job, None)

    def waits(self, job: str) -> bool:
        """Whether a job failed so lately that others come first."""
        return job in self.known and time.monotonic() - self.known[job][1] < WAIT_SECONDS

    def keep(self, jobs: Collection[str]) -> None:
        """Forget the troubles of all other jobs."""
        self.known = {job: what for job, what in self.known.items() if job in jobs}

    def told(self) -> list[str]:
        """A sentence for each job, for the page."""
        return [f"Job {job} cannot be handled: {said}. It is tried again." for job, (said, _) in self.known.items()]


def words(error: Exception) -> str:
    """What went wrong, without the end of its sentence."""
    known = isinstance(error, OSError | Problem)
    return (str(error) if known else f"{type(error).__name__}: {error}").rstrip(".")


def tell(sentence: str, error: Exception) -> None:
    """Print a sentence, and where the error is none that a worker expects, where it comes from."""
    if not isinstance(error, OSError | Problem):
        traceback.print_exception(error)
    print(f"worker: {sentence}.", flush=True)
