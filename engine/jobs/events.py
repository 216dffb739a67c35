"""Events: the lines of journals, one dataclass per kind. What jobs become and what they measure.

A line is a JSON object: the event's `kind`, the time `t` (seconds since 1970), who wrote it (`by`, in the owner's
journal), and the fields of the dataclass. What people and the owner decide is in engine/jobs/decisions.py; what only
one kind of job tells is in that kind's own file (engine/jobs/kinds.py lists them).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.core.errors import Problem
from engine.core.records import Record

FRAME = ("kind", "t", "by")  # of every line, beside the event's own fields


@dataclass(frozen=True)
class Event(Record):
    """What a line of a journal says. kind: as the line has it."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Line:
    """An event, when it was written (seconds since 1970), and by whom, where the owner wrote it."""

    event: Event
    t: float
    by: str | None = None


def line_of(values: dict[str, Any], kinds: dict[str, type[Event]]) -> Line:
    """The line that a JSON object is. Raises Problem, with the reason, for one that is no event of these kinds."""
    kind, t, by = values.get("kind"), values.get("t"), values.get("by")
    if not isinstance(kind, str) or kind not in kinds:
        raise Problem(f"Cannot read an event of kind {kind!r}: this version does not know it.")
    if not isinstance(t, int | float) or not -1e12 < t < 1e12 or not isinstance(by, str | None):
        raise Problem(f"Cannot read the event {kind}: its time is {t!r}, written by {by!r}.")
    own = {name: value for name, value in values.items() if name not in FRAME}
    return Line(kinds[kind].read(own, f"the event {kind}"), float(t), by)


# What becomes of a job ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobStarted(Event):
    """An attempt at the job began. pid, host: of its process."""

    kind = "job.started"
    pid: int | None = None
    host: str | None = None


@dataclass(frozen=True)
class JobProgress(Event):
    """How far the job is, in a unit of its own."""

    kind = "job.progress"
    done: float
    total: float
    note: str = ""


@dataclass(frozen=True)
class JobNote(Event):
    """Something that people should read about the job."""

    kind = "job.note"
    text: str


@dataclass(frozen=True)
class JobFinished(Event):
    """The job did what it was asked."""

    kind = "job.finished"


@dataclass(frozen=True)
class JobFailed(Event):
    """The job was given up. message: why, and what to do."""

    kind = "job.failed"
    message: str


@dataclass(frozen=True)
class JobCancelled(Event):
    """The job ended because somebody asked for it. note: how far it had come."""

    kind = "job.cancelled"
    note: str | None = None


@dataclass(frozen=True)
class JobDied(Event):
    """The attempt ended without a word; the job is tried again. message: what is known of the cause."""

    kind = "job.died"
    message: str | None = None


@dataclass(frozen=True)
class JobPaused(Event):
    """The attempt stopped at a checkpoint; the job waits in the queue."""

    kind = "job.paused"
    message: str | None = None


@dataclass(frozen=True)
class JobRequeued(Event):
    """Somebody put the ended job into the queue again."""

    kind = "job.requeued"
    reason: str | None = None


# What runs measure -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunsStarted(Event):
    """The job began to train or merge these runs. parameters: of one model."""

    kind = "runs.started"
    runs: list[str]
    device: str
    parameters: int


@dataclass(frozen=True)
class RunsProgress(Event):
    """Training losses (bits per byte) of runs since the last report; null where a loss is not a number."""

    kind = "runs.progress"
    runs: list[str]
    step: int
    steps: int
    tokens: int
    loss: list[float | None]
    tokens_per_second: float


@dataclass(frozen=True)
class RunsEvaluated(Event):
    """Validation losses of runs on the way, (G, D) bits per byte."""

    kind = "runs.evaluated"
    runs: list[str]
    tokens: int
    losses: list[list[float]]


@dataclass(frozen=True)
class RunFinished(Event):
    """What a run measured: metric -> value, and its standard error. shares (D,): what a proxy really saw; tokens: that
    it was trained on; both null for a merge."""

    kind = "run.finished"
    run: str
    losses: dict[str, float]
    losses_se: dict[str, float | None]
    tokens: int | None
    shares: list[float] | None
    seconds: float
    cpu_seconds: float
    device: str
    parameters: int


@dataclass(frozen=True)
class RunDiverged(Event):
    """A run whose loss exploded or was not a number. step: of the training; null for a merge."""

    kind = "run.diverged"
    run: str
    step: int | None
    loss: float | None = None
    message: str | None = None  # of journals before 0.2: why a merge was refused


@dataclass(frozen=True)
class RunRefused(Event):
    """A merge that its method refuses. message: why."""

    kind = "run.refused"
    run: str
    message: str


@dataclass(frozen=True)
class RunsMeasured(Event):
    """Runs that a job chose and measured by itself: {"id", "number", "role", "label", "weights", "seed", "losses",
    "losses_se", "seconds", "cpu_seconds", "device", "parameters"}."""

    kind = "runs.measured"
    study: str
    runs: list[dict[str, object]]


@dataclass(frozen=True)
class Result(Event):
    """What a job of one kind found out: the question's `settings` and the answer, as JSON objects.

    Kinds of jobs subclass it; it lands in the table `results` as it is, so a new kind needs no SQL.
    """

    study: str
    settings: dict[str, object]
    found: dict[str, object]


OUTCOMES = (JobFinished, JobFailed, JobCancelled)  # how a job ends
ENDINGS = (*OUTCOMES, JobDied, JobPaused)  # how an attempt ends
OVER = (RunFinished, RunDiverged, RunRefused)  # how a run ends
SHARED: tuple[type[Event], ...] = (
    JobStarted,
    JobProgress,
    JobNote,
    *ENDINGS,
    JobRequeued,
    RunsStarted,
    RunsProgress,
    RunsEvaluated,
    RunFinished,
    RunDiverged,
    RunRefused,
    RunsMeasured,
)
