"""Limits on predicted metrics: "this loss at most, that score at least", kept with a probability.

A point keeps a limit surely where its prediction lies inside by as many standard deviations of a run as the wanted
probability takes, shared between the limits (Bonferroni), so that all hold together at least as often: a chance
constraint (Charnes and Cooper 1959), as in constrained Bayesian optimisation (Gardner et al. 2014). Measured merges are
judged in the same way, by the standard errors of their text and items.

All runs answer the same items, so what these have by chance is in no run's noise. A limit that is to hold on others as
well (at most so many negative flips) counts it beside the prediction's error. N points, M metrics.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.search.pool import Pool
from engine.spec.statistics import first_lowest, weighted_sum
from engine.surrogates.base import Surrogate

SURE = 0.9  # probability with which a run at the answer keeps all limits
STEEP = 100.0  # penalty of one standard deviation beyond a limit, in standard deviations of the aggregate
KEPT = 1e-9  # standard deviations beyond a limit that are rounding
LEAST = 1e-9  # standard error of what is measured without one
SOME = 512  # draws that tell the usual errors
DRAWN = 4000  # joint errors that the probability of an answer is worked out from


@dataclass(frozen=True)
class Limits:
    """values (M,): NaN where a metric has none; signs (M,): 1 where it is at most so much, -1 where at least; others
    (M,): the standard deviation between a metric on what was measured and on all windows or items of its kind, 0 where
    a limit is of what was measured."""

    values: np.ndarray
    signs: np.ndarray
    others: np.ndarray | float = 0.0

    @property
    def places(self) -> np.ndarray:
        """The metrics that have a limit."""
        return np.flatnonzero(np.isfinite(self.values))

    @property
    def margin(self) -> float:
        """How many standard deviations inside of each limit a point must lie."""
        from scipy.special import ndtri  # a quarter of a command's start, and few ask

        return float(ndtri(1 - (1 - SURE) / max(1, len(self.places))))

    def excess(self, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """(N,) how far beyond the worst kept limit points lie, in standard deviations; 0 and below: all are kept.

        mean, std: predicted, (N, M) or, for std, (M,).
        """
        return self.beyond(mean, self.spread(std))

    def spread(self, std: np.ndarray) -> np.ndarray:
        """Standard deviations of predicted metrics (..., M), on what a limit is to hold on."""
        found: np.ndarray = np.hypot(std, self.others)
        return found

    def beyond(self, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """The same of measured points, by what their metrics may be off."""
        at = self.places
        over = (mean[:, at] - self.values[at]) * self.signs[at] / np.broadcast_to(std, mean.shape)[:, at]
        found: np.ndarray = over.max(axis=1) + self.margin
        return found

    def chance(self, surrogate: Surrogate, point: np.ndarray) -> float:
        """The probability that a run at a point (D,) keeps all limits, with the errors of metrics correlated."""
        mean, std = surrogate.predict(point[None])
        at, rng = self.places, np.random.default_rng(0)
        root = np.linalg.cholesky(surrogate.correlation[np.ix_(at, at)] + 1e-9 * np.eye(len(at)))
        errors = rng.standard_normal((DRAWN, len(at))) @ root.T * std[0, at]
        errors += rng.standard_normal((DRAWN, len(at))) * np.broadcast_to(self.others, mean[0].shape)[at]
        room = (self.values[at] - mean[0, at]) * self.signs[at]
        return float((errors * self.signs[at] <= room).all(axis=1).mean())

    def order(self, total: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """(N,) what points are ranked by, the lowest first: those that keep all limits as surely as is wanted by their
        aggregates `total` (N,), all others behind them, by how far they lie beyond. mean, std (N, M): measured."""
        excess = self.beyond(mean, np.maximum(std, LEAST))
        behind = total.max() + max(float(np.ptp(total)), LEAST) * (1 + np.maximum(excess, 0))
        found: np.ndarray = np.where(excess <= KEPT, total, behind)
        return found

    def kept(self, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """(N,) which points keep all limits as surely as is wanted; mean, std (N, M): measured."""
        found: np.ndarray = self.beyond(mean, np.maximum(std, LEAST)) <= KEPT
        return found

    def measured(self, mean: np.ndarray, std: np.ndarray, inside: int) -> "Kept":
        """What is told of a measured point, metrics and their standard errors (M,), of `inside` that keep them all. Its
        errors count as independent."""
        from scipy.special import ndtr

        at, std = self.places, np.maximum(std, LEAST)
        chance = float(np.prod(ndtr((self.values[at] - mean[at]) * self.signs[at] / std[at])))
        return Kept(chance, SURE, self.binding(mean, std), inside)

    def within(self, pool: Pool, surrogate: Surrogate) -> Pool:
        """The draws that keep all limits as surely as is wanted. Raises Problem where none does."""
        kept = self.excess(*surrogate.predict(pool.points)) <= KEPT
        if not kept.any():
            raise Problem(
                f"Cannot keep these limits: none of {len(pool.points):,} draws does with a probability of {SURE:.0%}. "
                "Relax them, or measure more runs."
            )
        return Pool(pool.points[kept], pool.mean[kept])

    def binding(self, mean: np.ndarray, std: np.ndarray) -> int:
        """The metric whose limit a point (M,) is nearest to, or furthest beyond."""
        at = self.places
        return int(at[np.argmax(np.round((mean[at] - self.values[at]) * self.signs[at] / std[at], 9))])


@dataclass(frozen=True)
class Kept:
    """chance: probability that a run at the answer keeps all limits; wanted: what it was to be; binding: the metric
    whose limit is nearest; inside: how many of the draws keep them as surely."""

    chance: float
    wanted: float
    binding: int
    inside: int


class Bounded:
    """What a search minimises: the aggregate by signed weights (M,), and where there are limits a penalty beyond them.

    Draws are judged by one standard deviation per metric, that of the first of them; the answer by its own.
    """

    def __init__(self, surrogate: Surrogate, weights: np.ndarray, limits: Limits | None) -> None:
        self.surrogate, self.weights, self.limits = surrogate, weights, limits
        self.std, self.unit, self.inside = np.ones(len(weights)), 1.0, 0

    def learn(self, points: np.ndarray, mean: np.ndarray) -> None:
        """Take the usual errors, and the spread of the aggregate, from the first draws (N, D), predicted (N, M)."""
        if self.limits is not None:
            self.std = np.median(self.surrogate.predict(points[:SOME])[1], axis=0)
            self.unit = max(float(weighted_sum(mean, self.weights).std()), 1e-12)

    def rough(self, mean: np.ndarray) -> np.ndarray:
        """(N,) the score of draws with these predictions (N, M)."""
        total: np.ndarray = weighted_sum(mean, self.weights)
        return total if self.limits is None else total + self._penalty(self.limits.excess(mean, self.std))

    def roughly_inside(self, mean: np.ndarray) -> np.ndarray:
        """(N,) whether draws with these predictions (N, M) keep the limits as surely as is wanted; counts them."""
        assert self.limits is not None
        found: np.ndarray = self.limits.excess(mean, self.std) <= 0
        self.inside += int(found.sum())
        return found

    def score(self, points: np.ndarray) -> np.ndarray:
        """(N,) the score of points (N, D), by their own errors."""
        total: np.ndarray
        if self.limits is None:
            total = weighted_sum(self.surrogate.mean(points), self.weights)
            return total
        mean, std = self.surrogate.predict(points)
        total = weighted_sum(mean, self.weights) + self._penalty(self.limits.excess(mean, std))
        return total

    def best(self, points: np.ndarray) -> np.ndarray:
        """(D,) the first of some points (N, D) without limits; else the lowest of those that keep them, or the one that
        is nearest to it."""
        found: np.ndarray = points[0]
        if self.limits is not None:
            mean, std = self.surrogate.predict(points)
            excess = np.maximum(self.limits.excess(mean, std), 0)
            kept, total = excess <= KEPT, weighted_sum(mean, self.weights)
            found = points[first_lowest(np.where(kept, total, np.inf) if kept.any() else excess)]
        return found

    def told(self, point: np.ndarray) -> Kept | None:
        """What is told of an answer (D,)."""
        if self.limits is None:
            return None
        mean, std = self.surrogate.predict(point[None])
        binding = self.limits.binding(mean[0], self.limits.spread(std[0]))
        return Kept(self.limits.chance(self.surrogate, point), SURE, binding, self.inside)

    def _penalty(self, excess: np.ndarray) -> np.ndarray:
        found: np.ndarray = STEEP * self.unit * np.maximum(excess, 0)
        return found
