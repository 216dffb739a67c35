"""The job of the fidelity lab: it trains proxies of one fidelity on spread mixtures, with several seeds."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from engine.core.errors import Problem
from engine.core.records import Excerpt
from engine.jobs.axes import DOMAIN, Axis, Point
from engine.jobs.events import Result
from engine.jobs.kinds import JobKind
from engine.jobs.spec import Task

Losses = Annotated[list[float | None], Axis(DOMAIN)]  # (D,), null where a proxy diverged


@dataclass(frozen=True, kw_only=True)
class LabTask(Task):
    """name: of the fidelity (engine.spec.fidelity.Fidelity as a dict); lab: of the mixtures [N][D], seeds [S] and text,
    so that results of one lab compare; reference: whether others are compared with it; keep: as of a TrainTask;
    group: proxies in one stack."""

    kind = "lab"
    study: str
    name: str
    lab: str
    reference: bool
    corpus: str
    domains: list[str]
    fidelity: dict[str, Any]
    mixtures: list[list[float]]
    seeds: list[int]
    keep: float | list[float] = 1.0
    group: int = 8
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class LabAsked(Excerpt):
    """What is read of a lab's settings."""

    name: str
    lab: str
    reference: bool
    fidelity: dict[str, Any]
    mixtures: list[Point]
    seeds: list[int]


@dataclass(frozen=True, kw_only=True)
class LabLosses(Excerpt):
    """What a fidelity measured, as in LabMeasured."""

    losses: list[list[Losses]]
    flops: float
    seconds: float

    def __post_init__(self) -> None:
        """Raises Problem for mixtures of unequal seeds, or a cost below 0."""
        if len({len(one) for one in self.losses}) != 1 or min(self.flops, self.seconds) < 0:
            raise Problem("Cannot read what the fidelity lab measured: its mixtures have unequal numbers of seeds.")


@dataclass(frozen=True, kw_only=True)
class LabMeasured(Result):
    """settings: of the task; found: {"losses" [N][S][D] in bits per byte, null of a proxy that diverged, "flops",
    "seconds": of all of it}."""

    kind = "lab.measured"
    taken: ClassVar = {"settings": LabAsked, "found": LabLosses}


KIND = JobKind(LabTask, "engine.proxies.lab:run", (LabMeasured,), on_cluster=True)
