"""A Gaussian process around a law: exact between the runs, and as sensible beyond them as the best law is.

A law finds the basin and does not order the best runs; a process orders them and knows nothing beyond. So a law is
fitted first, and the process to what it misses (kriging with a trend), if some law alone predicts held-out runs as well
as the process alone does; the best such law is taken. Where none holds, a law's misses are harder to learn than the
losses: the process learns these, and on up to MANY runs the best law has a part in the mean of the two, the smaller the
more it misses (Bates and Granger 1969). On 16 and 32 of RegMix's runs that ranks the others .2 better than the process
alone does; on 128 it makes no difference.
R runs, M metrics, K members.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.statistics import lowest_key
from engine.surrogates.base import FEWEST, Conditioned, centre_and_spread
from engine.surrogates.composed import Composed
from engine.surrogates.conditions import Conditions

LAWS = ("log_linear", "power_law", "returns", "epochs")
PROCESS = "gp_rational"
FOLDS = 3
MANY = 150  # runs from which one fold tells enough, and a process that no law suits stands alone
AS_GOOD = 1.3  # times the process' squared error: a law that misses no more is taken, since it knows what lies beyond
FEWEST_FOR_A_LAW = 2  # runs per domain: with fewer, a law can fit anything, and has a part at most
LEAST = 0.04  # a smaller part in the mean is none


@dataclass(kw_only=True)
class AroundLaw(Conditioned, Composed):
    """members: the law, if one has a part, and the process. parts (K,): 1 and 1 where the process is of what the law
    misses plus `offset` (M,), else what each counts in their mean."""

    title = "Gaussian process around a law"
    summary = "The best law of mixing, corrected by a Gaussian process: exact between runs, sensible beyond them."
    complexity = 1  # as plain as the law that holds, and no worse than the process where none does: the safest
    slow = True
    extrapolates = True

    offset: np.ndarray
    parts: np.ndarray = None  # of fits saved before there were means: all 1

    def __post_init__(self):
        super().__post_init__()
        self.parts = np.ones(len(self.members)) if self.parts is None else self.parts

    @classmethod
    def _learn_under(cls, weights, losses, seed, conditions):
        from engine.surrogates import SURROGATES

        usual, offset = conditions.usual, centre_and_spread(losses)[1]
        may_hold, few = usual.sum() >= FEWEST_FOR_A_LAW * weights.shape[1], len(weights) <= MANY
        law, worse = _best_law(weights, losses, seed, conditions) if may_hold or few else (LAWS[0], np.inf)
        holds = worse <= AS_GOOD and may_hold
        part = 1.0 if holds else 1 / (1 + max(worse, AS_GOOD) ** 2)
        counts = holds or (part >= LEAST and few)
        laws = {law: SURROGATES[law].fit(weights, losses, seed, conditions)} if counts else {}
        missed = losses[usual]
        if holds:
            missed = missed - laws[law].mean(weights[usual]) + offset
        process = SURROGATES[PROCESS].fit(weights[usual], missed, seed)
        parts = np.array([part] * len(laws) + [1.0 if holds or not laws else 1 - part])
        return cls(noise=process.noise, members={**laws, PROCESS: process}, offset=offset, parts=parts)

    @property
    def law(self) -> str | None:
        """The name of the law in the table, None where none has a part."""
        return next((name for name in self.members if name != PROCESS), None)

    @property
    def is_mean(self) -> bool:
        """Whether law and process stand side by side: neither is of what the other misses."""
        return len(self.parts) > 1 and bool(self.parts.sum() < 1.5)

    def mean(self, weights):
        return self._together([one.mean(weights) for one in self.members.values()])

    def moments(self, weights):
        means, variances = map(np.array, zip(*(one.moments(weights) for one in self.members.values()), strict=True))
        mean = self._together(means)
        apart = (means - mean) ** 2 if self.is_mean else 0.0
        return mean, np.tensordot(self.parts, variances + apart, 1)

    def covariance(self, weights):
        return self.joint(weights)[1]

    def joint(self, weights):
        means, covariances = map(np.array, zip(*(one.joint(weights) for one in self.members.values()), strict=True))
        mean = self._together(means)
        apart = means - mean if self.is_mean else np.zeros_like(means)
        between = np.einsum("k,kam,kbm->mab", self.parts, apart, apart)
        return mean, np.tensordot(self.parts, covariances, 1) + between

    def _together(self, means: "np.ndarray | list[np.ndarray]") -> np.ndarray:
        """(N, M) of the members' means (K, N, M)."""
        return np.tensordot(self.parts, means, 1) - self.offset * (self.parts.sum() - 1)


def _best_law(weights: np.ndarray, losses: np.ndarray, seed: int, conditions: Conditions) -> tuple[str, float]:
    """The law that misses held-out runs least, and its squared error in parts of the process'."""
    fold = np.random.default_rng(seed).permutation(len(weights)) % FOLDS
    tests = [fold == k for k in range(FOLDS if len(weights) <= MANY else 1)]
    known = np.isfinite(conditions.repeats).any()  # else the law of epochs is that of returns

    def error(name: str) -> float:
        return sum(held_out_error(name, weights, losses, seed, conditions, test) for test in tests)

    tried = {name: error(name) for name in LAWS if known or name != "epochs"}
    law, alone = lowest_key(tried), error(PROCESS)
    return law, tried[law] / alone if np.isfinite(tried[law]) and 0 < alone < np.inf else np.inf


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
