"""The job that proposes the next runs, and estimates which domains the metrics depend on."""

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.core.errors import Problem
from engine.core.records import Excerpt
from engine.jobs.axes import PerCoordinate, PerMetric, Point, Question, Spread
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
class Relevance(Excerpt):
    """engine.search.acquisition.Relevance as a dict."""

    strength: list[PerMetric]
    support: list[PerMetric]
    effort: PerCoordinate
    idle: list[bool]

    def __post_init__(self) -> None:
        """Raises Problem unless all of it is of as many domains."""
        if len({len(self.strength), len(self.support), len(self.effort), len(self.idle)}) > 1:
            raise Problem("Cannot read which domains matter: its lists are not of as many domains.")


@dataclass(frozen=True, kw_only=True)
class Proposed(Excerpt):
    """What a proposal found, as in ProposalFinished."""

    points: list[Point]
    mean: list[PerMetric]
    std: list[Spread]
    noise: float
    gain: list[float] | None = None
    relevance: Relevance | None = None
    problem: str | None = None

    def __post_init__(self) -> None:
        """Raises Problem unless everything is told of each point."""
        told = {len(self.mean), len(self.std), len(self.points if self.gain is None else self.gain)}
        if not self.points or told != {len(self.points)}:
            raise Problem(f"Cannot read the proposal: it does not tell of each of its {len(self.points)} points.")


@dataclass(frozen=True, kw_only=True)
class ProposalAsked(Question):
    """What is read of a proposal's settings."""

    proposer: str
    count: int


@dataclass(frozen=True, kw_only=True)
class ProposalFinished(Result):
    """settings: of the task; found: {"points": [B][D], "mean", "std": [B][M] predicted there, "gain": [B] or null,
    "noise": of the aggregate, "relevance": {"strength", "support": [D][M], "effort": [D], "idle": [D]} or null,
    "problem": why there is none}."""

    kind = "proposal.finished"
    taken: ClassVar = {"settings": ProposalAsked, "found": Proposed}


KIND = JobKind(ProposeTask, "engine.search.proposal_job:run", (ProposalFinished,))
