"""The job that proposes the next runs, and estimates which domains the metrics depend on."""

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task
from engine.spec.tasks import FitSettings


@dataclass(frozen=True, kw_only=True)
class ProposalSettings(FitSettings):
    """proposer: of engine.search.acquisition; count: of runs to propose; rounds_done: of proposed runs before; seed."""

    proposer: str
    count: int
    rounds_done: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class ProposeTask(Task):
    """file: the surrogate's path in the workspace; space: engine.space.simplex.Space as a dict; prior [D]; weights
    [R][D] and losses [R][M], with null, of the runs so far."""

    kind = "propose"
    study: str
    file: str
    settings: ProposalSettings
    space: dict[str, Any]
    prior: list[float]
    weights: list[list[float]]
    losses: list[list[float | None]]


@dataclass(frozen=True, kw_only=True)
class ProposalFinished(Result):
    """settings: of the task; found: {"points": [B][D], "mean", "std": [B][M] predicted there, "gain": [B] or null,
    "noise": of the aggregate, "relevance": {"strength", "support": [D][M], "effort": [D], "idle": [D]} or null,
    "problem": why there is none}."""

    kind = "proposal.finished"
    holds: ClassVar = {("settings", "surrogate"): str, ("settings", "priorities"): dict, ("found", "points"): list}


KIND = JobKind(ProposeTask, "engine.search.proposal_job:run", (ProposalFinished,))
