"""The job that fits the leaderboard: cross-validated surrogates of a study's runs, each fitted to all of them."""

from dataclasses import dataclass, field
from typing import Any

from engine.core.errors import Problem
from engine.core.records import Record
from engine.jobs.events import Event, Row
from engine.jobs.kinds import JobKind
from engine.jobs.runs import MOST
from engine.jobs.spec import Task


@dataclass(frozen=True, kw_only=True)
class DosedRun(Record):
    """A run of cut text: weights [D], doses [D]: the part of each domain's text that was left, losses [M] with null."""

    weights: list[float]
    doses: list[float]
    losses: list[float | None]


@dataclass(frozen=True, kw_only=True)
class FitTask(Task):
    """R runs at weights [R][D] with losses [R][M], null where one is missing; domains [D]: the coordinates' names.

    fingerprint: of these runs; metrics [M]; surrogates: names, all if null; folds, repeats, seed: of the
    cross-validation; priorities [M]: signed weights of the metrics, equal if null; space: engine.space.simplex.Space
    as a dict, prior [D]: its centre, if known. passes [D]: over each domain's text that a share of one makes in the
    real run, null where its text is unknown; null where proxies do not see the real run's repetition. dosed: runs of
    cut text.
    """

    kind = "fit"
    study: str
    fingerprint: str
    domains: list[str]
    runs: list[str]
    weights: list[list[float]]
    losses: list[list[float | None]]
    metrics: list[str] | None = None
    surrogates: list[str] | None = None
    folds: int = 5
    repeats: int = 3
    seed: int = 0
    priorities: list[float] | None = None
    space: dict[str, Any] | None = None
    prior: list[float] | None = None
    passes: list[float | None] | None = None
    dosed: list[DosedRun] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LeagueFinished(Event):
    """league: engine.league.standing.League as a dict; runs: how many it was fitted to."""

    kind = "league.finished"
    lands = Row("leagues", {name: name for name in ("study", "fingerprint", "runs", "league", "t")})
    study: str
    fingerprint: str
    runs: int
    league: dict[str, object]

    def __post_init__(self) -> None:
        """Raises Problem for a number of runs that no table could hold."""
        if not 0 <= self.runs <= MOST:
            raise Problem(f"Cannot read the event {self.kind}: a fit to {self.runs} runs cannot be.")


KIND = JobKind(FitTask, "engine.league:run", (LeagueFinished,))
