"""Optimism: how much worse a mixture measures than predicted where it was chosen for its low prediction.

The lowest of many noisy predictions is low by luck too (the winner's curse). Refits say how much: the default surrogate
is fitted without each fifth of the runs, each refit looks for its own lowest prediction, and the others judge what
it found. Refits share most of their runs and so agree more than fits to new runs would: their deviations are
stretched as the jackknife of groups stretches them (Kunsch 1989), by the root of the folds less one.

Random folds leave neighbours in, so refits agree where all of them go astray: a law that does not quite hold, a process
far from its runs. One more refit does without the runs of the lowest predictions, as many as a fold has (blocked
cross-validation: Roberts et al. 2017), since the answer lies on from them: what it predicts at the answer instead shows
how far predictions can be trusted beyond all runs; stretched like the others. The runs nearest to the answer would say
less: of many domains none is near, and the few that hold most of the best domain are all that tell of it. K folds, N
points.
"""

from dataclasses import asdict, dataclass

import numpy as np

from engine.league.trial import Trial
from engine.search.methods import evolve_from
from engine.space.simplex import Simplex, Space
from engine.spec.kinds.fit import Standing
from engine.spec.statistics import first_lowest, ordered, weighted_sum
from engine.surrogates.base import FEWEST, Surrogate
from engine.surrogates.stack import Stack


@dataclass(frozen=True)
class Optimism:
    """Of the surrogate `of`, from so many refits. bias: by how much the chosen mixture's aggregate is expected to
    measure above its prediction, in the aggregate's unit; spread: the standard deviation of that, over refits and by
    what the lowest runs change. Both the judgement of the others and the bias are medians: one refit that fails to
    settle says little."""

    of: str
    refits: int
    bias: float
    spread: float

    def to_dict(self) -> dict[str, object]:
        """As JSON-able values."""
        return asdict(self)


def optimism_of(trial: Trial, standing: Standing, space: Space | None) -> Optimism | None:
    """From the folds of the first repeat. space: where each refit looks for its lowest prediction; without one, or for
    merges, among the candidates alone. None without candidates."""
    if trial.candidates is None:
        return None
    refits = [refit(trial, standing, ~part) for part in trial.parts[0]]
    points = trial.candidates
    if isinstance(space, Simplex):
        points = np.concatenate([points, [_lowest(trial, one, space, trial.candidates) for one in refits]])
    values = np.array([_aggregate(trial, one, points) for one in refits])
    centre = np.median(values, axis=0)
    stretch = np.sqrt(len(values) - 1)
    stretched = centre + stretch * (values - centre)
    chosen = first_lowest(stretched)
    misses = centre[chosen] - stretched[np.arange(len(values)), chosen]
    answer = int(first_lowest(centre))
    heights = np.median([_aggregate(trial, one, trial.weights) for one in refits], axis=0)  # (R,) of the runs
    blind = _aggregate(trial, _without_lowest(trial, standing, heights), points[[answer]])[0]
    spread = np.hypot(misses.std(ddof=1), stretch * (blind - centre[answer]))
    return Optimism(standing.name, len(values), float(np.median(misses)), float(spread))


def _without_lowest(trial: Trial, standing: Standing, heights: np.ndarray) -> Surrogate:
    """A refit without the runs of the lowest `heights` (R,): as many as a fold has, or fewer where a metric would lack
    runs."""
    count, order = len(heights) // len(trial.parts[0]), ordered(heights)
    while count and (~np.isnan(trial.losses[order[count:]])).sum(axis=0).min() < FEWEST:
        count //= 2
    return refit(trial, standing, ~np.isin(np.arange(len(order)), order[:count]))


def refit(trial: Trial, standing: Standing, rows: np.ndarray) -> Surrogate:
    """The surrogate on some runs (R,) bool; a stack keeps its members' weights."""
    if standing.members is None:
        return trial.fitted(standing.name, rows)
    return Stack.combined({name: trial.fitted(name, rows) for name in standing.members}, standing.members)


def _aggregate(trial: Trial, surrogate: Surrogate, points: np.ndarray) -> np.ndarray:
    """(N,) predicted aggregates of points (N, D)."""
    return weighted_sum(surrogate.mean(points), trial.metric_weights)


def _lowest(trial: Trial, surrogate: Surrogate, space: Simplex, candidates: np.ndarray) -> np.ndarray:
    """The mixture (D,) of the lowest prediction, by evolution from the best candidates."""

    def score(points: np.ndarray) -> np.ndarray:
        return _aggregate(trial, surrogate, points)

    return evolve_from(score, space, candidates, np.random.default_rng(trial.seed))
