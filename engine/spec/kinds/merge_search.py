"""The job that measures merges, chosen by a strategy, until a budget is spent."""

from dataclasses import dataclass
from typing import Any

from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.spec.tasks import Merging


@dataclass(frozen=True, kw_only=True)
class MergeSearchTask(Merging):
    """space: engine.space.box.Box as a dict; prior [D]: its centre; settings: {"strategy", "evaluations", "minutes": 0
    for no limit, "surrogate", "seed", "spread", "aggregate": engine.spec.objectives.Aggregate as a dict}; first: the
    number of its first run; known: {"weights" [R][D], "losses" [R][M]} of runs that it may learn from."""

    kind = "merge_search"
    space: dict[str, Any]
    prior: list[float]
    settings: dict[str, Any]
    first: int
    known: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MergeSearchFinished(Result):
    """found: the best run, and the best aggregate after each evaluation."""

    kind = "merge_search.finished"


KIND = JobKind(MergeSearchTask, "engine.merging.measuring.search_job:run", (MergeSearchFinished,))
