"""Events: the lines of journals, one dataclass per kind. States of jobs, and their results.

A line is a JSON object: the event's `kind`, the time `t` (seconds since 1970), who wrote it (`by`, in the owner's
journal), and the fields of the dataclass. What people and the owner decide is in engine/jobs/decisions.py; events of
only one kind of job are in that kind's own file (engine/jobs/kinds.py lists them).
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self

from engine.core.errors import Problem
from engine.core.records import Record, check_amounts, read_as
from engine.core.shown import shown
from engine.jobs.axes import PerDomain, SeenShares, Shape, walk_of, walks
from engine.jobs.runs import ComparedRun, MeasuredRun

FRAME = ("kind", "t", "by")  # of every line, beside the event's own fields
LARGEST_STEP = 2**31  # steps are stored in 32 bits
LATEST = 2.5e11  # seconds since 1970: no calendar goes beyond the year 9999


@dataclass(frozen=True)
class Row:
    """The row of a table (store/schema.sql) that an event becomes.

    columns: column -> the event's attribute that stands there; objects stand there as JSON. Beside its attributes an
    event has `t`, the line's time, and `job`, the job whose journal it stands in. where: the same for the columns that
    name a row which is there already, to change it; without them a row is added, in place of one with the same key.
    """

    table: str
    columns: dict[str, str]
    where: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Event(Record):
    """The content of a journal's line. kind: as in the line; lands: the row that it becomes, None if store/events/ has
    a function for it; taken: of fields that are kept as they were written, what readers take of them, as annotations.
    """

    kind: ClassVar[str]
    lands: ClassVar[Row | None] = None
    taken: ClassVar[dict[str, Any]] = {}

    @classmethod
    def read(cls, values: object, what: str) -> Self:
        """As `Record.read`. Raises Problem also where readers would not find what they take."""
        made = super().read(values, what)
        made.parts(what)
        return made

    def parts(self, what: str) -> dict[str, Any]:
        """What readers take of the fields that are kept as they were written. Raises Problem."""
        return {name: read_as(hint, getattr(self, name), f"{name!r} of {what}") for name, hint in self.taken.items()}

    @classmethod
    @cache
    def is_shaped(cls) -> bool:
        """Whether any list of it goes along its study."""
        own = walks(cls)  # type: ignore[arg-type]  # a class is hashable
        return bool(own) or any(walk_of(hint) is not None for hint in cls.taken.values())

    def check_shape(self, shape: Shape) -> None:
        """Raise Problem unless its lists are as long as its study has coordinates and metrics."""
        what = f"the event {self.kind}"
        shape.check(self, what)
        for name, value in self.parts(what).items():
            if (walk := walk_of(self.taken[name])) is not None:
                walk(value, shape, f"{name!r} of {what}")


@dataclass(frozen=True)
class Line:
    """An event, when it was written (seconds since 1970), and by whom, in the owner's journal."""

    event: Event
    t: float
    by: str | None = None


def line_of(values: dict[str, Any], kinds: dict[str, type[Event]]) -> Line:
    """A line from its JSON object. Raises Problem, with the reason, if it is not an event of these kinds."""
    kind, by = values.get("kind"), values.get("by")
    t: Any = values.get("t")
    if not isinstance(kind, str) or kind not in kinds:
        raise Problem(f"Cannot read an event of kind {kind!r}: this version does not know it.")
    if type(t) not in (int, float) or not 0 <= t < LATEST or not (by is None or isinstance(by, str)):
        raise Problem(f"Cannot read the event {kind}: its time is {t!r}, written by {by!r}.")
    own = dict(values)
    for name in FRAME:
        own.pop(name, None)
    return Line(kinds[kind].read(own, f"the event {kind}"), float(t), by)


# States of a job ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobStarted(Event):
    """An attempt at the job began. pid, host: of its process."""

    kind = "job.started"
    pid: int | None = None
    host: str | None = None


@dataclass(frozen=True)
class JobProgress(Event):
    """Progress of the job, in its own unit."""

    kind = "job.progress"
    done: float
    total: float
    note: str = ""

    def __post_init__(self) -> None:
        """Raises Problem for what no page could show."""
        check_amounts(self, "done", "total")


@dataclass(frozen=True)
class JobNote(Event):
    """A message about the job for the user."""

    kind = "job.note"
    text: str


@dataclass(frozen=True)
class JobFinished(Event):
    """The job completed its task."""

    kind = "job.finished"


@dataclass(frozen=True)
class JobFailed(Event):
    """The job failed. message: why, and what to do."""

    kind = "job.failed"
    message: str


@dataclass(frozen=True)
class JobCancelled(Event):
    """The job was cancelled. note: its progress."""

    kind = "job.cancelled"
    note: str | None = None


@dataclass(frozen=True)
class JobDied(Event):
    """The attempt died; the job is tried again. message: the cause, as far as it is known."""

    kind = "job.died"
    message: str | None = None


@dataclass(frozen=True)
class JobPaused(Event):
    """The attempt stopped at a checkpoint; the job waits in the queue."""

    kind = "job.paused"
    message: str | None = None


@dataclass(frozen=True)
class JobRequeued(Event):
    """The ended job was queued again."""

    kind = "job.requeued"
    reason: str | None = None


# Results of runs -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunsStarted(Event):
    """The job began to train or merge these runs. parameters: of one model."""

    kind = "runs.started"
    runs: list[str]
    device: str
    parameters: int


def check_as_many(event: "RunsProgress | RunsEvaluated", values: list[Any]) -> None:
    """Raise Problem unless an event tells one thing of each of its runs."""
    if len(values) != len(event.runs):
        raise Problem(f"Cannot read the event {event.kind}: it tells {len(values)} results of {len(event.runs)} runs.")


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

    def __post_init__(self) -> None:
        """Raises Problem for a report that no table could hold."""
        check_as_many(self, self.loss)
        check_amounts(self, "tokens", "tokens_per_second")
        if not 0 <= self.step < LARGEST_STEP or not 0 <= self.steps < LARGEST_STEP:
            raise Problem(f"Cannot read the event {self.kind}: step {self.step} of {self.steps} is invalid.")


@dataclass(frozen=True)
class RunsEvaluated(Event):
    """Validation losses of runs during training, (G, D) bits per byte of D domains."""

    kind = "runs.evaluated"
    runs: list[str]
    tokens: int
    losses: list[PerDomain]

    def __post_init__(self) -> None:
        """Raises Problem if it does not tell of each run."""
        check_as_many(self, self.losses)


@dataclass(frozen=True)
class RunFinished(Event):
    """A run's results: metric -> value, and its standard error. shares (D,): realised shares of a proxy's tokens;
    tokens: its training tokens; both null for a merge. message: why some metrics lack, such as those of a task that
    could not be scored."""

    kind = "run.finished"
    run: str
    losses: dict[str, float]
    losses_se: dict[str, float | None]
    tokens: int | None
    shares: SeenShares | None
    seconds: float
    cpu_seconds: float
    device: str
    parameters: int
    message: str | None = None

    def __post_init__(self) -> None:
        """Raises Problem for what no page could add up, and a standard error below 0."""
        check_amounts(self, "tokens", "seconds", "cpu_seconds", "parameters")
        if odd := [name for name, value in self.losses_se.items() if value is not None and value < 0]:
            raise Problem(f"Cannot read the event {self.kind}: the standard error of {shown(odd[0])} is below 0.")


@dataclass(frozen=True)
class RunDiverged(Event):
    """A run whose loss exploded or was not a number. step: of the training; null for a merge (0 before 0.2)."""

    kind = "run.diverged"
    run: str
    step: int | None
    loss: float | None = None
    message: str | None = None  # of journals before 0.2: why a merge was refused


@dataclass(frozen=True)
class RunStopped(Event):
    """A run that ended early, as its final aggregate was predicted to be worse than the best. step, tokens: that it was
    trained for, of `steps`; seconds, cpu_seconds: its part of the training's cost until then; message: why."""

    kind = "run.stopped"
    run: str
    step: int
    steps: int
    tokens: int
    seconds: float
    cpu_seconds: float
    message: str

    def __post_init__(self) -> None:
        """Raises Problem for what no table or page could hold."""
        check_amounts(self, "tokens", "seconds", "cpu_seconds")
        if not 0 < self.step <= self.steps < LARGEST_STEP:
            raise Problem(f"Cannot read the event {self.kind}: step {self.step} of {self.steps} is invalid.")


@dataclass(frozen=True)
class RunRefused(Event):
    """A merge that its method refuses. message: why."""

    kind = "run.refused"
    run: str
    message: str


@dataclass(frozen=True)
class RunsMeasured(Event):
    """Runs chosen and measured by a job."""

    kind = "runs.measured"
    study: str
    runs: list[MeasuredRun]


@dataclass(frozen=True)
class RunsCompared(Event):
    """What runs that were measured before are compared with a reference: it is added to their other metrics."""

    kind = "runs.compared"
    study: str
    runs: list[ComparedRun]


@dataclass(frozen=True)
class Result(Event):
    """The result of a job of one kind: its `settings` and the answer `found`, as JSON objects.

    Kinds of jobs subclass it, and say in `taken` what is read of both.
    """

    lands = Row("results", {name: name for name in ("job", "kind", "study", "settings", "found", "t")})
    study: str
    settings: dict[str, object]
    found: dict[str, object]


OUTCOMES = (JobFinished, JobFailed, JobCancelled)  # how a job ends
ENDINGS = (*OUTCOMES, JobDied, JobPaused)  # how an attempt ends
OVER = (RunFinished, RunDiverged, RunRefused, RunStopped)  # how a run ends
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
    RunStopped,
    RunsMeasured,
    RunsCompared,
)
