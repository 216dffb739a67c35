"""The job that finds a rival of the leaderboard's answer: a mixture, by a method that takes few runs."""

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.core.errors import Problem
from engine.core.records import Excerpt
from engine.jobs.axes import PerCoordinate, Point
from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class RivalTask(Task):
    """method: of engine.spec.rivals; domains [D] of a corpus; fidelity: of what is trained for it
    (engine.spec.fidelity.Fidelity as a dict), from this seed.

    weights [D]: how much each domain's loss counts, of sum 1; prior [D]: the natural shares; space: the mixtures that
    the study allows (engine.space.simplex.Space as a dict); keep: as of a TrainTask; experts: files with the weights of
    one model a domain, null where they are to be trained; made_by: the merge study that has trained them.
    """

    kind = "rival"
    study: str
    method: str
    corpus: str
    domains: list[str]
    fidelity: dict[str, Any]
    seed: int
    weights: list[float]
    prior: list[float]
    space: dict[str, Any]
    keep: float | list[float] = 1.0
    experts: list[str] | None = None
    made_by: str | None = None
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class RivalAsked(Excerpt):
    """What is read of a rival's settings."""

    method: str
    weights: PerCoordinate
    fidelity: dict[str, Any]
    seed: int
    made_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class RivalStep(Excerpt):
    """The shares at a step on the way."""

    step: int
    shares: Point


@dataclass(frozen=True, kw_only=True)
class RivalMixture(Excerpt):
    """What a method found, as in RivalFound."""

    shares: Point
    moved: float
    trained_tokens: int
    read_tokens: int
    path: list[RivalStep]

    def __post_init__(self) -> None:
        """Raises Problem for a cost below 0."""
        if min(self.trained_tokens, self.read_tokens) < 0:
            raise Problem("Cannot read what a rival found: its cost is below 0.")


@dataclass(frozen=True, kw_only=True)
class RivalFound(Result):
    """settings: of the task; found: {"shares" [D], "moved": how far the study's constraints moved them at most,
    "trained_tokens", "read_tokens": what it took, "path": [{"step", "shares"}]}."""

    kind = "rival.found"
    taken: ClassVar = {"settings": RivalAsked, "found": RivalMixture}


KIND = JobKind(RivalTask, "engine.proxies.rivals.job:run", (RivalFound,), on_cluster=True)
