"""The job that measures merges, chosen by a strategy, until a budget is spent."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.core.records import Excerpt, Record
from engine.jobs.axes import Measured, Point, Weighed
from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.spec.kinds.search import KeptLimits, MetricLimit
from engine.spec.tasks import Merging


@dataclass(frozen=True, kw_only=True)
class MergeSearchSettings(Record):
    """strategy: of engine.search.strategies; evaluations: at most so many merges; minutes: 0 for no limit; surrogate:
    for guided rounds; spread: new weights of the metrics in every guided round; aggregate:
    engine.spec.objectives.Aggregate as a dict; priorities: as they were given, empty for the study's; limits: metric ->
    at most (a score: at least) so much, which the answer is to keep on other text, too (engine/search/limits.py)."""

    strategy: str
    evaluations: int
    minutes: float
    surrogate: str
    seed: int
    spread: bool
    aggregate: dict[str, Any]
    priorities: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; limits only where there are some: a request without them keeps the id that it had."""
        found = super().to_dict()
        if not self.limits:
            del found["limits"]
        return found


@dataclass(frozen=True, kw_only=True)
class KnownRuns(Record):
    """Runs that a search may learn from: weights [R][D], losses and their standard errors [R][M] with null."""

    weights: list[list[float]]
    losses: list[list[float | None]]
    losses_se: list[list[float | None]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class MergeSearchTask(Merging):
    """space: engine.space.box.Box as a dict; prior [D]: its centre; first: the number of its first run; limits: those
    of the settings."""

    kind = "merge_search"
    space: dict[str, Any]
    prior: list[float]
    settings: MergeSearchSettings
    first: int
    known: KnownRuns
    limits: list[MetricLimit] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SearchAsked(Excerpt):
    """What is read of a finished search's settings."""

    strategy: str
    surrogate: str
    spread: bool
    aggregate: Weighed
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class BestMerge(Excerpt):
    """run: the best one's id; trace: the aggregate of the best after each of its evaluations; known: runs it started
    from; kept: of the limits, null without any."""

    run: str
    weights: Point
    losses: Measured
    aggregate: float
    trace: list[float]
    evaluations: int
    seconds: float
    known: int = 0
    kept: KeptLimits | None = None


@dataclass(frozen=True, kw_only=True)
class MergeSearchFinished(Result):
    """settings: of the task; found: the best run, and the best aggregate after each evaluation."""

    kind = "merge_search.finished"
    taken: ClassVar = {"settings": SearchAsked, "found": BestMerge}


KIND = JobKind(MergeSearchTask, "engine.merging.measuring.search_job:run", (MergeSearchFinished,), chooses=True)
