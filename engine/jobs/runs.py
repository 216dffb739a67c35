"""Runs as decisions and tasks hold them: one record per way that a run comes into a study, or is to be measured.

Fields that not every run has are null. D coordinates, M metrics.
"""

from dataclasses import dataclass

from engine.core.errors import Problem
from engine.core.records import Record, check_amounts
from engine.core.shown import shown
from engine.jobs.axes import Doses, Measured, MeasuredSpread, Point

MOST = 2**31 - 1  # runs are numbered and counted in 32 bits


def run_id(study: str, number: int) -> str:
    """The id of a study's run: a job may tell of runs of its own study alone (store/rights.py)."""
    return f"{study}-{number:05d}"


@dataclass(frozen=True, kw_only=True)
class TaskRun(Record):
    """A run as the job that measures it gets it: its id, its weights (D,), its seed; doses (D,): the part of each
    domain's text that it sees of what others see, null for all; phases (F, D): the shares of each phase, null for the
    same in all; trunk: the run of the same job whose weights and moments it copies at the start of the last phase."""

    id: str
    weights: list[float]
    seed: int
    doses: list[float] | None = None
    phases: list[list[float]] | None = None
    trunk: str | None = None


@dataclass(frozen=True, kw_only=True)
class NumberedRun(Record):
    """A run of a study at weights (D,). number: 1, 2, ... within its study."""

    id: str
    number: int
    weights: Point

    def __post_init__(self) -> None:
        """Raises Problem for a number that no table could hold."""
        if not 0 <= self.number <= MOST:
            raise Problem(f"Cannot read the run {self.id[:80]!r}: its number {self.number} is invalid.")


@dataclass(frozen=True, kw_only=True)
class PlannedRun(NumberedRun):
    """A run that is to be measured. role: as in store/schema.sql; job: that measures it; fidelity:
    engine.spec.fidelity.Fidelity as a dict, null for the study's own; doses (D,): the part of each domain's text that
    it sees of what others see, null for all; phases (F, D): the shares of each phase, null for the same in all; trunk:
    the run that it is a copy of until the last phase, null for none."""

    role: str
    seed: int
    label: str | None = None
    job: str | None = None
    fidelity: dict[str, object] | None = None
    doses: Doses | None = None
    phases: list[Point] | None = None
    trunk: str | None = None


@dataclass(frozen=True, kw_only=True)
class CarriedRun(NumberedRun):
    """A run of the study that this one continues, at its weights here; losses (M,), null where they do not carry
    over."""

    role: str
    label: str
    seed: int
    losses: Measured


@dataclass(frozen=True, kw_only=True)
class ImportedRun(NumberedRun):
    """A run that was trained elsewhere. losses, losses_se (M,): values and standard errors; label: its key in the
    file; phases (F, D): the shares of each phase, null where no file tells."""

    losses: Measured
    label: str | None = None
    seed: int | None = None
    parameters: int | None = None
    tokens: int | None = None
    losses_se: MeasuredSpread | None = None
    phases: list[Point] | None = None


@dataclass(frozen=True, kw_only=True)
class SubmittedRun(Record):
    """A finished run that a client posted. weights (D,), losses, losses_se (M,): values and standard errors; label: the
    client's own id of it."""

    id: str
    label: str
    weights: Point
    losses: Measured
    seed: int | None = None
    parameters: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    device: str | None = None
    losses_se: MeasuredSpread | None = None


@dataclass(frozen=True, kw_only=True)
class MeasuredRun(NumberedRun):
    """A run that its job chose and measured. losses, losses_se (M,): null where one is not a number; refused: why the
    method refuses the merge, null if it does not; parameters: of the model; missing: why some losses are null that
    are no sign of a bad merge, such as scores of a task whose verifier fails."""

    role: str
    label: str | None
    seed: int
    losses: Measured
    losses_se: MeasuredSpread
    seconds: float
    cpu_seconds: float
    device: str
    parameters: int
    refused: str | None = None
    missing: str | None = None

    def __post_init__(self) -> None:
        """Raises Problem for a number, or an amount, that no table or page could hold."""
        super().__post_init__()
        check_amounts(self, "seconds", "cpu_seconds", "parameters")

    @property
    def state(self) -> str:
        """done | refused | diverged."""
        return "refused" if self.refused else "diverged" if None in self.losses and not self.missing else "done"


@dataclass(frozen=True, kw_only=True)
class ComparedRun(Record):
    """A run of the study, by its id and number, and what it is compared with others: metric -> value, and its standard
    error."""

    id: str
    number: int
    losses: dict[str, float]
    losses_se: dict[str, float]

    def __post_init__(self) -> None:
        """Raises Problem for a standard error below 0."""
        if odd := [name for name, value in self.losses_se.items() if value < 0]:
            raise Problem(f"Cannot read the run {self.id[:80]!r}: the standard error of {shown(odd[0])} is below 0.")
