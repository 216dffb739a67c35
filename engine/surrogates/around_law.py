"""A Gaussian process around a law: exact between the runs, and as sensible beyond them as the best law is.

A law finds the basin and does not order the best runs; a process orders them and knows nothing beyond. So a law is
fitted first, and the process to what it misses (kriging with a trend), if some law alone predicts held-out runs as well
as the process alone does; the best such law is taken. Where none holds, this is the process alone: a wrong law's
misses are harder to learn than the losses. R runs, M metrics.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.base import FEWEST, Conditioned, Surrogate, centre_and_spread
from engine.surrogates.composed import Composed
from engine.surrogates.conditions import Conditions

LAWS = ("log_linear", "power_law", "returns", "epochs")
PROCESS = "gp_rational"
FOLDS = 3
MANY = 150  # runs from which one fold tells enough
AS_GOOD = 1.3  # times the process' squared error: a law that misses no more is taken, since it knows what lies beyond
FEWEST_FOR_A_LAW = 2  # runs per domain: with fewer, a law can fit anything


@dataclass(kw_only=True)
class AroundLaw(Conditioned, Composed):
    """members: the law, if one holds, and the process of what it misses plus `offset` (M,)."""

    title = "Gaussian process around a law"
    summary = "The best law of mixing, corrected by a Gaussian process: exact between runs, sensible beyond them."
    complexity = 1  # as plain as the law that holds, and no worse than the process where none does: the safest
    slow = True
    extrapolates = True

    offset: np.ndarray

    @classmethod
    def _learn_under(cls, weights, losses, seed, conditions):
        from engine.surrogates import SURROGATES

        fold = np.random.default_rng(seed).permutation(len(weights)) % FOLDS
        tests = [fold == k for k in range(FOLDS if len(weights) <= MANY else 1)]
        usual = conditions.usual
        known = np.isfinite(conditions.repeats).any()  # else the law of epochs is that of returns
        laws = LAWS if usual.sum() >= FEWEST_FOR_A_LAW * weights.shape[1] else ()
        laws = [name for name in laws if known or name != "epochs"]
        tried = {
            name: sum(held_out_error(name, weights, losses, seed, conditions, test) for test in tests)
            for name in (PROCESS, *laws)
        }
        tried[PROCESS] *= AS_GOOD
        name = min(tried, key=tried.__getitem__)
        laws = {} if name == PROCESS else {name: SURROGATES[name].fit(weights, losses, seed, conditions)}
        offset = centre_and_spread(losses)[1]
        missed = losses[usual] - _trend(laws, weights[usual], offset)
        process = SURROGATES[PROCESS].fit(weights[usual], missed, seed)
        return cls(noise=process.noise, members={**laws, PROCESS: process}, offset=offset)

    @property
    def law(self) -> str | None:
        """The name of the law in the table, None where none holds."""
        return next((name for name in self.members if name != PROCESS), None)

    def mean(self, weights):
        return self._trend(weights) + self.members[PROCESS].mean(weights)

    def moments(self, weights):
        means, variances = zip(*(one.moments(weights) for one in self.members.values()), strict=True)
        return sum(means) - self.offset * (len(means) - 1), sum(variances)

    def covariance(self, weights):
        return self.joint(weights)[1]

    def joint(self, weights):
        means, covariances = zip(*(one.joint(weights) for one in self.members.values()), strict=True)
        return sum(means) - self.offset * (len(means) - 1), sum(covariances)

    def _trend(self, weights: np.ndarray) -> np.ndarray | float:
        laws = {name: one for name, one in self.members.items() if name != PROCESS}
        return _trend(laws, weights, self.offset)


def _trend(laws: dict[str, Surrogate], weights: np.ndarray, offset: np.ndarray) -> np.ndarray | float:
    """What the process is around: 0 without a law, else its mean (N, M) less the offset (M,)."""
    return sum((law.mean(weights) - offset for law in laws.values()), 0.0)


def held_out_error(
    name: str, weights: np.ndarray, losses: np.ndarray, seed: int, conditions: Conditions, test: np.ndarray
) -> float:
    """The mean square of a surrogate's standardised errors on the usual ones of the runs `test` (R,), fitted to the
    others; infinite where too few have a metric."""
    from engine.surrogates import SURROGATES

    judged, kept = test & conditions.usual, ~test
    learnable = (~np.isnan(losses[kept & conditions.usual])).sum(axis=0) >= FEWEST
    if not learnable.any():
        return np.inf
    fitted = SURROGATES[name].fit(weights[kept], losses[kept][:, learnable], seed, conditions.take(kept))
    missed = fitted.mean(weights[judged]) - losses[judged][:, learnable]
    known = ~np.isnan(missed)
    spread = centre_and_spread(losses)[1][learnable]
    return float(((missed / spread)[known] ** 2).mean()) if known.any() else np.inf
