"""The job that searches: many simulated points on a fitted surrogate."""

from dataclasses import dataclass
from typing import Any

from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class SearchTask(Task):
    """file: the surrogate's path in the workspace; settings: {"surrogate": name, "priorities": {metric: weight},
    "points": draws, "seed", "fingerprint", "method", "prices": {domain: price}, "aggregate":
    engine.spec.objectives.Aggregate as a dict}; space: engine.space.simplex.Space as a dict; prior [D]; baselines: name
    -> [D]; available [D] tokens, null where unknown (of a domain, or of all); budget: tokens, 0 where unknown."""

    kind = "search"
    study: str
    file: str
    settings: dict[str, Any]
    space: dict[str, Any]
    prior: list[float]
    baselines: dict[str, list[float]]
    available: list[float | None] | None
    budget: float


@dataclass(frozen=True, kw_only=True)
class SearchFinished(Result):
    """found: engine.search.Found as a dict."""

    kind = "search.finished"


KIND = JobKind(SearchTask, "engine.search.job:run", (SearchFinished,))
