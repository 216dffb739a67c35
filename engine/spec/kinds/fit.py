"""The job that fits the leaderboard: cross-validated surrogates of a study's runs, each fitted to all of them."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from engine.core.errors import Problem
from engine.core.records import Excerpt, Record
from engine.jobs.axes import METRIC, Axis, Measured, PerMetric
from engine.jobs.events import Event, Row
from engine.jobs.kinds import JobKind
from engine.jobs.runs import MOST
from engine.jobs.spec import Task

Ends = Annotated[list[list[float] | None], Axis(METRIC)]  # of each metric's interval


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


@dataclass(frozen=True)
class Standing(Excerpt):
    """The cross-validation results of one surrogate. Rank correlations are Spearman's, -1 to 1.

    spearman, rmse, scale (M,): per metric (rmse in the metric's unit; scale multiplies the standard
    deviation). A metric that does not vary has no rank correlation: None. mean_spearman: their mean, with its 95%
    interval `interval`; aggregate_spearman: of the metrics' weighted mean, None where no run has all that count.
    score: the mean of the two, the leaderboard's sort key. margin: score above the trivial baseline's, and its 95%
    interval (None for the baseline itself). coverage: nominal percent -> fraction of measured losses inside, before and
    after calibration (by other folds' widths). widths: nominal percent -> half the interval of a metric, in calibrated
    standard deviations (scores.py; None in earlier versions). regret: how much worse the run it would have picked is
    than the best run, in the aggregate's unit. stability: mean L1 between the mixtures that its refits on 80% of the
    runs recommend, 0 to 2. seconds: CPU seconds of all its `fits`; repeats: of cross-validation. raced: why it was not
    held out from all folds (racing.py); its numbers are of those that it had, and it is neither tied nor the default.
    tied: with the best, by engine.league.standing.WORTH or within noise. correlation (M, M): of the metrics'
    standardised errors. members: name -> weight, of a stack. problem: why it could not be fitted, instead of all the
    rest. spearman_intervals (M,), aggregate_interval, regret_interval: their 95% (None in earlier versions).
    """

    name: str
    spearman: Measured | None = None
    mean_spearman: float | None = None
    interval: list[float] | None = None
    aggregate_spearman: float | None = None
    score: float | None = None
    margin: list[float] | None = None
    rmse: PerMetric | None = None
    coverage: dict[str, float] | None = None
    calibrated_coverage: dict[str, float] | None = None
    widths: dict[str, float] | None = None
    regret: float | None = None
    stability: float | None = None
    seconds: float = 0.0
    repeats: int = 1
    fits: int | None = None
    raced: str | None = None
    tied: bool = False
    scale: PerMetric | None = None
    correlation: list[PerMetric] | None = None
    members: dict[str, float] | None = None
    problem: str | None = None
    spearman_intervals: Ends | None = None
    aggregate_interval: list[float] | None = None
    regret_interval: list[float] | None = None


@dataclass(frozen=True)
class StandingTold(Standing):
    """One that a journal tells: whole, or with a problem and that alone."""

    level: bool = False  # tied, as journals of before 0.4 call it

    def __post_init__(self) -> None:
        """Raises Problem for a standing that lacks what every one has that was fitted."""
        needed = (self.spearman, self.mean_spearman, self.interval, self.score, self.rmse, self.coverage, self.scale)
        if self.problem is None and None in needed:
            raise Problem(f"Cannot read the standing of {self.name[:80]!r}: it has neither its scores nor a problem.")
        ends = [one for one in self.spearman_intervals or [] if one is not None]
        if any(len(one) != 2 for one in ends):
            raise Problem(f"Cannot read the standing of {self.name[:80]!r}: an interval of it is not 2 numbers.")
        lengths = {"interval": 2, "margin": 3, "aggregate_interval": 2, "regret_interval": 2}
        for name, length in lengths.items():
            if (told := getattr(self, name)) is not None and len(told) != length:
                raise Problem(f"Cannot read the standing of {self.name[:80]!r}: its {name} is not {length} numbers.")


@dataclass(frozen=True, kw_only=True)
class CurveTold(Excerpt):
    """engine.league.curve.Curve as a dict."""

    of: str
    runs: int
    sizes: list[int]
    scores: dict[str, list[list[float] | None]]
    state: str
    enough: int | None = None
    between: list[int] | None = None

    def __post_init__(self) -> None:
        """Raises Problem unless it has a score for each size, and what its state needs."""
        fine = all(len(row) == len(self.sizes) for row in self.scores.values()) and self.of in self.scores
        fine = fine and all(len(one) == 3 for row in self.scores.values() for one in row if one is not None)
        needed = self.state in ("enough", "more")
        if not fine or not self.sizes or (needed and (self.enough is None or len(self.between or ()) != 2)):
            raise Problem("Cannot read the learning curve: it lacks scores of its sizes, or what it concludes.")


@dataclass(frozen=True, kw_only=True)
class OptimismTold(Excerpt):
    """engine.league.optimism.Optimism as a dict."""

    of: str
    refits: int
    bias: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class LeagueTold(Excerpt):
    """engine.league.standing.League as a dict."""

    standings: list[StandingTold]
    default: str
    runs: int
    folds: int
    repeats: int
    seed: int
    curve: CurveTold | None = None
    why: str | None = None
    optimism: OptimismTold | None = None

    def __post_init__(self) -> None:
        """Raises Problem unless its default is one of those that were fitted, and each is there once."""
        names = [one.name for one in self.standings]
        fitted = [one.name for one in self.standings if one.problem is None]
        if self.default not in fitted or len(set(names)) < len(names):
            raise Problem(f"Cannot read the leaderboard: {self.default[:80]!r} was not fitted, or one is there twice.")


@dataclass(frozen=True, kw_only=True)
class LeagueFinished(Event):
    """league: engine.league.standing.League as a dict; runs: how many it was fitted to."""

    kind = "league.finished"
    lands = Row("leagues", {name: name for name in ("study", "fingerprint", "runs", "league", "t")})
    study: str
    fingerprint: str
    runs: int
    league: dict[str, object]
    taken: ClassVar = {"league": LeagueTold}

    def __post_init__(self) -> None:
        """Raises Problem for a number of runs that no table could hold."""
        if not 0 <= self.runs <= MOST:
            raise Problem(f"Cannot read the event {self.kind}: the number of runs, {self.runs}, is invalid.")


KIND = JobKind(FitTask, "engine.league:run", (LeagueFinished,))
