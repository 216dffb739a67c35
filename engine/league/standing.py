"""The leaderboard's content: one standing per surrogate, and the choice of the default."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from engine.spec.statistics import ordered
from engine.surrogates import SURROGATES

BASELINE = "own_share"  # the baseline of every surrogate
WORTH = 0.002  # of rank correlation: a smaller gain, however certain, is not worth a rougher or slower surrogate


@dataclass(frozen=True)
class Standing:
    """The cross-validation results of one surrogate. Rank correlations are Spearman's, -1 to 1.

    spearman, rmse, scale (M,): per metric (rmse in the metric's unit; scale multiplies the standard
    deviation). A metric that does not vary has no rank correlation: None. mean_spearman: their mean, with its 95%
    interval `interval`; aggregate_spearman: of the metrics' weighted mean, None where no run has all that count.
    score: the mean of the two, the leaderboard's sort key. margin: score above the trivial baseline's, and its 95%
    interval (None for the baseline itself). coverage: nominal percent -> fraction of measured losses inside, before and
    after calibration. regret: how much worse the run it would have picked is than the best run, in the aggregate's
    unit. stability: mean L1 between the mixtures that its refits on 80% of the runs recommend, 0 to 2. seconds: CPU
    seconds of all its fits; repeats: of cross-validation. level: tied with the best, by WORTH or within noise.
    correlation (M, M): of the metrics' standardised errors. members: name -> weight, of a stack. problem: why it
    could not be fitted, instead of all the rest.
    """

    name: str
    spearman: list[float | None] | None = None
    mean_spearman: float | None = None
    interval: list[float] | None = None
    aggregate_spearman: float | None = None
    score: float | None = None
    margin: list[float] | None = None
    rmse: list[float] | None = None
    coverage: dict[str, float] | None = None
    calibrated_coverage: dict[str, float] | None = None
    regret: float | None = None
    stability: float | None = None
    seconds: float = 0.0
    repeats: int = 1
    level: bool = False
    scale: list[float] | None = None
    correlation: list[list[float]] | None = None
    members: dict[str, float] | None = None
    problem: str | None = None


@dataclass(frozen=True)
class League:
    """Standings, best score first, those with a problem last; `default`: the surrogate to use.

    repeats: of the quick surrogates (a standing has its own); curve: engine.league.curve.Curve as a dict, or None.
    """

    standings: tuple[Standing, ...]
    default: str
    runs: int
    folds: int
    repeats: int
    seed: int
    curve: dict | None = None

    def __getitem__(self, name: str) -> Standing:
        return next(standing for standing in self.standings if standing.name == name)

    @property
    def fitted(self) -> list[Standing]:
        """Those without a problem."""
        return [standing for standing in self.standings if standing.problem is None]

    def to_dict(self) -> dict:
        """As JSON-able values: no NaN, no arrays."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict) -> "League":
        """The inverse of `to_dict`, also of earlier versions, with fewer fields."""
        known = Standing.__dataclass_fields__
        standings = tuple(
            Standing(**{key: item for key, item in one.items() if key in known}) for one in value["standings"]
        )
        return cls(**{**value, "standings": standings})


def ranked(judged: dict[str, Standing], scores: dict[str, np.ndarray]) -> tuple[list[Standing], str]:
    """Sorted standings, and the default: the simplest of those tied with the best within noise.

    scores: name -> bootstrapped scores, the same draws for all. A surrogate is tied with the best if its score is
    lower by at most one standard deviation of the difference over the draws, or by less than WORTH.
    The baseline is the default only if no other is tied with it: it does not model interactions of domains.
    """
    place = dict(zip(scores, ordered([-judged[name].score for name in scores]).argsort().tolist(), strict=True))
    best = min(place, key=place.get)
    for name in scores:
        behind = judged[best].score - judged[name].score
        noise = (scores[best] - scores[name]).std()
        judged[name] = replace(judged[name], level=bool(behind <= max(WORTH, noise) + 1e-9))
        if name != BASELINE and BASELINE in scores:
            gaps = np.quantile(scores[name] - scores[BASELINE], [0.025, 0.975])
            margin = [judged[name].score - judged[BASELINE].score, *gaps.tolist()]
            judged[name] = replace(judged[name], margin=margin)
    level = [name for name in scores if judged[name].level and name != BASELINE] or [BASELINE]
    default = min(level, key=lambda name: (SURROGATES[name].complexity, place[name]))
    order = sorted(judged.values(), key=lambda one: place.get(one.name, len(place)))
    return order, default
