"""The job that takes a merge apart: merges of fewer experts, and the merge with single modules as the base has them."""

from dataclasses import dataclass
from typing import ClassVar

from engine.core.errors import Problem
from engine.core.records import Excerpt, Record
from engine.jobs.axes import Measured, MeasuredSpread, PerDomain, Point
from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.spec.tasks import Merging


@dataclass(frozen=True, kw_only=True)
class Ablation(Record):
    """at [D]: the merge whose modules are taken out; label: what it is called; subsets: how many sets of experts of
    each size, where there are as many; total: the sum of their equal coefficients; seed: of the drawn sets."""

    at: list[float]
    label: str
    subsets: int
    total: float
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class MergeAblationTask(Merging):
    """ablation: what is asked. The study's own method; tuned parameters are those of `at`."""

    kind = "merge_ablation"
    ablation: Ablation


@dataclass(frozen=True, kw_only=True)
class AblationAsked(Excerpt):
    """What is read of a task's `ablation`."""

    at: Point
    label: str
    total: float


@dataclass(frozen=True, kw_only=True)
class Subset(Excerpt):
    """The merge of some experts at equal coefficients; its losses are null where the method refuses it."""

    experts: list[str]
    losses: Measured
    losses_se: MeasuredSpread


@dataclass(frozen=True, kw_only=True)
class ModuleOut(Excerpt):
    """The merge with one module as the base has it. rise: its loss of each domain minus the whole merge's, in bits per
    byte; rise_se: of that difference, over the same windows of text."""

    module: str
    rise: PerDomain
    rise_se: PerDomain

    def __post_init__(self) -> None:
        """Raises Problem for a standard error below 0."""
        if min(self.rise_se, default=0.0) < 0:
            raise Problem(f"Cannot read the module {self.module!r}: a standard error is below 0.")


@dataclass(frozen=True, kw_only=True)
class Ablated(Excerpt):
    """What was found, as in MergeAblated."""

    subsets: list[Subset]
    modules: list[ModuleOut]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class MergeAblated(Result):
    """settings: the task's `ablation`; found: {"subsets": [Subset], "modules": [ModuleOut], "seconds"}."""

    kind = "merge.ablated"
    taken: ClassVar = {"settings": AblationAsked, "found": Ablated}


KIND = JobKind(MergeAblationTask, "engine.merging.measuring.ablation:run", (MergeAblated,))
