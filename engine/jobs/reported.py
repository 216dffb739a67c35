"""Events of runs that somebody else's trainer trains: what it reports of planned runs, and which of these are given up.

They stand in the owner's journal: no job here writes them. M metrics, D domains.
"""

from dataclasses import dataclass, field

from engine.core.errors import Problem
from engine.core.records import Record, check_amounts
from engine.jobs.axes import Measured, MeasuredSpread, PerDomain
from engine.jobs.events import LARGEST_STEP, Event

STATES = ("running", "done", "diverged", "failed")  # of a reported run


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Record):
    """A point of a training curve: the loss after a step, and the tokens until then; null where it was not a number."""

    step: int
    tokens: int
    loss: float | None

    def __post_init__(self) -> None:
        """Raises Problem for a point that no table could hold."""
        check_amounts(self, "tokens")
        if not 0 <= self.step < LARGEST_STEP:
            raise Problem(f"Cannot read a point of a curve: its step {self.step} is invalid.")


@dataclass(frozen=True, kw_only=True)
class EvaluatedPoint(Record):
    """Validation losses (D,) during the training, after so many tokens."""

    tokens: int
    losses: PerDomain

    def __post_init__(self) -> None:
        """Raises Problem for a count that no table could hold."""
        check_amounts(self, "tokens")


@dataclass(frozen=True, kw_only=True)
class ReportedRun(Record):
    """What is known of a planned run now. state: of STATES; losses, losses_se (M,): of a run that is done, null where
    one is missing; message: why it has none; curve, evaluations: points that were not reported before."""

    id: str
    state: str
    losses: Measured | None = None
    losses_se: MeasuredSpread | None = None
    parameters: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    device: str | None = None
    message: str | None = None
    curve: list[CurvePoint] = field(default_factory=list)
    evaluations: list[EvaluatedPoint] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises Problem for an unknown state, and amounts that no table could hold."""
        if self.state not in STATES:
            raise Problem(f"Cannot read the run {self.id[:80]!r}: its state is {self.state!r:.80}.")
        check_amounts(self, "parameters", "tokens", "seconds")


@dataclass(frozen=True)
class RunsReported(Event):
    """What an external trainer reported of planned runs of a study."""

    kind = "runs.reported"
    study: str
    runs: list[ReportedRun]


@dataclass(frozen=True)
class RunsGivenUp(Event):
    """Planned runs that nobody will train: results of them are refused, until the study is resumed."""

    kind = "runs.given_up"
    study: str
    runs: list[str]


REPORTED: tuple[type[Event], ...] = (RunsReported, RunsGivenUp)
