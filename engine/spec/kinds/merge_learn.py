"""The job that learns a merge from training text, measures it, and saves it."""

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.core.records import Excerpt, Record
from engine.jobs.axes import Measured, MeasuredSpread
from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.spec.merge_learners import learner_of
from engine.spec.tasks import Merging


@dataclass(frozen=True, kw_only=True)
class Learning(Record):
    """method, knobs: of engine/spec/merge_learners.py; weight [K]: coefficients of the experts; large: the name of a
    checkpoint that is steered, or ""."""

    method: str
    knobs: dict[str, float]
    weight: list[float]
    large: str = ""


@dataclass(frozen=True, kw_only=True)
class MergeLearnTask(Merging):
    """out: its place in exports/, without an ending; first: the number of its run."""

    kind = "merge_learn"
    learn: Learning
    out: str
    first: int
    settings: dict[str, Any] | None = None  # version 0.1 wrote it; nothing reads it


@dataclass(frozen=True, kw_only=True)
class Learned(Excerpt):
    """What was learned. run: of the study, or file: in exports/, that the result is; coefficients: where they are few
    enough to be told."""

    method: str
    losses: Measured
    losses_se: MeasuredSpread
    seconds: float
    run: str | None = None
    file: str | None = None
    note: str = ""
    coefficients: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Raises Problem for a method that this version does not know."""
        learner_of(self.method)


@dataclass(frozen=True, kw_only=True)
class MergeLearned(Result):
    """settings: the task's `learn`; found: losses, and the run or the file that the result is."""

    kind = "merge.learned"
    taken: ClassVar = {"found": Learned}


KIND = JobKind(MergeLearnTask, "engine.merging.learning.job:run", (MergeLearned,), chooses=True)
