"""The job that searches: many simulated points on a fitted surrogate."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task
from engine.spec.tasks import FitSettings


@dataclass(frozen=True, kw_only=True)
class SearchSettings(FitSettings):
    """points: draws; seed: of them; method: of engine.search.methods; prices: domain -> price, 1 where absent."""

    points: int
    seed: int
    method: str
    prices: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SearchTask(Task):
    """file: the surrogate's path in the workspace; space: engine.space.simplex.Space as a dict; prior [D]; baselines:
    name -> [D]; available [D] tokens, null where unknown (of a domain, or of all); budget: tokens, 0 where unknown."""

    kind = "search"
    study: str
    file: str
    settings: SearchSettings
    space: dict[str, Any]
    prior: list[float]
    baselines: dict[str, list[float]]
    available: list[float | None] | None
    budget: float


@dataclass(frozen=True, kw_only=True)
class SearchFinished(Result):
    """settings: of the task; found: engine.search.Found as a dict."""

    kind = "search.finished"
    holds: ClassVar = {
        ("settings", "surrogate"): str,
        ("settings", "priorities"): dict,
        ("found", "found", "shares"): list,
    }


KIND = JobKind(SearchTask, "engine.search.job:run", (SearchFinished,))
