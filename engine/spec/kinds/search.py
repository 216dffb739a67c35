"""The job that searches: many simulated points on a fitted surrogate."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.core.records import Excerpt, Record
from engine.jobs.axes import PerCoordinate, PredictedGap, PredictedPoint, Question
from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task
from engine.spec.tasks import FitSettings


@dataclass(frozen=True, kw_only=True)
class SearchSettings(FitSettings):
    """points: draws; seed: of them; method: of engine.search.methods; prices: domain -> price, 1 where absent; limits:
    metric -> at most (a score: at least) so much, which a run at the answer is to keep (engine/search/limits.py)."""

    points: int
    seed: int
    method: str
    prices: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; limits only where there are some: a request without them keeps the id that it had."""
        return {name: value for name, value in super().to_dict().items() if value or name != "limits"}


@dataclass(frozen=True, kw_only=True)
class MetricLimit(Record):
    """place: of the metric among the study's; value: at most (at_most) or at least so much; others: the standard
    deviation between its value on what was measured and on all of its kind, where it is to hold for those."""

    place: int
    value: float
    at_most: bool
    others: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SearchTask(Task):
    """file: the surrogate's path in the workspace; space: engine.space.simplex.Space as a dict; prior [D]; baselines:
    name -> [D]; available [D] tokens, null where unknown (of a domain, or of all); budget: tokens, 0 where unknown;
    limits: those of the settings."""

    kind = "search"
    study: str
    file: str
    settings: SearchSettings
    space: dict[str, Any]
    prior: list[float]
    baselines: dict[str, list[float]]
    available: list[float | None] | None
    budget: float
    limits: list[MetricLimit] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class NearOptimal(Excerpt):
    """engine.search.NearOptimal as a dict."""

    threshold: float
    count: int
    fraction: float
    lowest: PerCoordinate
    highest: PerCoordinate
    nearest_prior: PredictedPoint
    cheapest: PredictedPoint | None = None
    cheapest_price: float | None = None


@dataclass(frozen=True, kw_only=True)
class Difference(PredictedGap):
    """engine.surrogates.prediction.Difference as a dict."""

    baseline: PredictedPoint


@dataclass(frozen=True, kw_only=True)
class KeptLimits(Excerpt):
    """engine.search.limits.Kept as a dict."""

    chance: float
    wanted: float
    binding: int
    inside: int


@dataclass(frozen=True, kw_only=True)
class Found(Excerpt):
    """engine.search.Found as a dict."""

    found: PredictedPoint
    best: PredictedPoint
    near_optimal: NearOptimal
    differences: dict[str, Difference]
    method: str
    draws: int
    seconds: float
    price: float | None = None
    kept: KeptLimits | None = None


@dataclass(frozen=True, kw_only=True)
class SearchAsked(Question):
    """What is read of a search's settings. Version 0.1 knew one method."""

    points: int
    method: str = "simulate"
    prices: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchFinished(Result):
    """settings: of the task; found: engine.search.Found as a dict."""

    kind = "search.finished"
    taken: ClassVar = {"settings": SearchAsked, "found": Found}


KIND = JobKind(SearchTask, "engine.search.job:run", (SearchFinished,))
