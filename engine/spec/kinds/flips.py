"""The job that counts negative flips: what runs do worse than the study's reference, window by window, item by item."""

from dataclasses import dataclass

from engine.core.records import Record
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class PlacedRun(Record):
    """A run and where it stands: its id and number, its weights (D,)."""

    id: str
    number: int
    weights: list[float]


@dataclass(frozen=True, kw_only=True)
class FlipsTask(Task):
    """runs: of one size, of which those of equal weights tell the noise; asked: ids of those whose flips are counted,
    which may be dose runs, too; reference: ids of the runs that they are compared with; tasks: whose items are
    compared, by name."""

    kind = "flips"
    study: str
    runs: list[PlacedRun]
    asked: list[str]
    reference: list[str]
    tasks: list[str]


KIND = JobKind(FlipsTask, "engine.tasks.flips:run", compares=True)
