"""The stack: a convex combination of other surrogates, with the weights of the best held-out predictions.

Stacked regression (Breiman 1996): non-negative least squares on predictions that were made out of fold, all metrics
together, standardised, weights summing to one. Members below a few percent are dropped: they cost time to score, and
their weight is noise. The uncertainty is a mixture's: the mean of the members' covariances plus that of their
disagreement. K members, R runs, M metrics.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.surrogates.base import Surrogate, centre_and_spread
from engine.surrogates.composed import Composed

FOLDS = 5
LEAST = 0.04  # a smaller weight is dropped


@dataclass(kw_only=True)
class Stack(Composed):
    """weights (K,), in the members' order, summing to one."""

    title = "Stack"
    summary = "A weighted mean of the surrogates, with the weights of the best held-out predictions."
    complexity = 6
    # For a fit of its own; the leaderboard, which has all out-of-fold predictions, combines all of its members.
    CANDIDATES: ClassVar[tuple[str, ...]] = ("log_linear", "power_law", "ridge", "gp_rational", "lightgbm_linear")

    weights: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        from engine.surrogates import SURROGATES

        kinds = {name: SURROGATES[name] for name in cls.CANDIDATES}
        fold = np.random.default_rng(seed).permutation(len(weights)) % min(FOLDS, len(weights))
        means = np.full((len(kinds), *losses.shape), np.nan)
        counted = ~np.isnan(losses)
        for k in range(fold.max() + 1):
            known = counted & (fold != k)[:, None]
            learnable = known.sum(axis=0) >= 3
            if not learnable.any():
                continue
            for place, kind in enumerate(kinds.values()):
                fitted = kind.fit(weights[fold != k], losses[fold != k][:, learnable], seed)
                means[place][np.ix_(fold == k, learnable)] = fitted.mean(weights[fold == k])
        shares = convex_weights(means, losses)
        chosen = {name: shares[i] for i, name in enumerate(kinds) if shares[i] > 0}
        return cls.combined({name: kinds[name].fit(weights, losses, seed) for name in chosen}, chosen)

    def again(self, weights, losses):
        members = {name: one.again(weights, losses) for name, one in self.members.items()}
        return self.combined(members, dict(zip(members, self.weights, strict=True)))

    @classmethod
    def combined(cls, members: dict[str, Surrogate], shares: dict[str, float]) -> "Stack":
        """The stack of fitted members with weights that sum to one."""
        weights = np.array([shares[name] for name in members])
        noise = np.tensordot(weights, [one.noise for one in members.values()], 1)
        return cls(noise=noise, members=members, weights=weights)

    def mean(self, weights):
        return sum(weight * one.mean(weights) for weight, one in zip(self.weights, self.members.values(), strict=True))

    def moments(self, weights):
        means, variances = map(np.array, zip(*(one.moments(weights) for one in self.members.values()), strict=True))
        mean = np.tensordot(self.weights, means, 1)
        return mean, np.tensordot(self.weights, variances + (means - mean) ** 2, 1)

    def covariance(self, weights):
        means = np.array([one.mean(weights) for one in self.members.values()])
        gaps = means - np.tensordot(self.weights, means, 1)
        own = sum(s * one.covariance(weights) for s, one in zip(self.weights, self.members.values(), strict=True))
        return own + np.einsum("k,kam,kbm->mab", self.weights, gaps, gaps)


def convex_weights(means: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """(K,) not negative, summing to one: least squares of losses (R, M), NaN left out, on held-out means (K, R, M)."""
    from scipy.optimize import nnls

    centre, spread = centre_and_spread(losses)
    known = ~np.isnan(losses) & ~np.isnan(means).any(axis=0)
    columns = ((means - centre) / spread)[:, known].T
    if not len(columns):
        return np.full(len(means), 1 / len(means))
    target, heavy = ((losses - centre) / spread)[known], 1e3 * np.sqrt(len(columns))
    shares, _ = nnls(np.vstack([columns, np.full(len(means), heavy)]), np.r_[target, heavy])
    shares = np.where(shares >= LEAST * shares.sum(), shares, 0)
    return shares / shares.sum()
