"""The interface of surrogates: weights in, losses with an uncertainty out. R runs, N points, D domains, M
metrics.

A surrogate is a dataclass whose fields are arrays, and nothing else: so saving it is writing its fields.
One metric is one regression; they are never mixed before they are predicted (fitting an aggregate itself is
far worse on few runs). Runs that lack a metric (NaN) are left out of that metric's regression only.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np

from engine.core.errors import Problem
from engine.surrogates.conditions import Conditions

FEWEST = 3  # runs that a metric needs for a fit


@dataclass(kw_only=True)
class Surrogate(ABC):
    """A fitted surrogate.

    noise (M,): variance of a measured loss around the true mean function, as the fit sees it;
    scale (M,): what the standard deviations are multiplied by, correlation (M, M): of the metrics' errors.
    Both come from cross-validation (engine/league); until then 1 and the identity.
    """

    title: ClassVar[str]
    summary: ClassVar[str]  # one sentence for the page
    complexity: ClassVar[int]  # rank from safe, plain and smooth to rough: breaks ties in the league
    slow: ClassVar[bool] = False  # a fit takes seconds from some hundred runs on: the league repeats it less
    extrapolates: ClassVar[bool] = False  # whether it may be trusted beyond the runs, as laws and processes may
    knows_conditions: ClassVar[bool] = False  # whether it learns from runs of other conditions (see Conditioned)
    may_lead: ClassVar[bool] = True  # whether the leaderboard may take it by default: not where real runs speak against
    convex: ClassVar[bool] = False  # whether every metric is convex in the shares

    noise: np.ndarray
    scale: np.ndarray = None
    correlation: np.ndarray = None

    def __post_init__(self):
        metrics = len(self.noise)
        self.scale = np.ones(metrics) if self.scale is None else self.scale
        self.correlation = np.eye(metrics) if self.correlation is None else self.correlation

    @classmethod
    def fit(cls, weights: np.ndarray, losses: np.ndarray, seed: int = 0, conditions: Conditions | None = None) -> Self:
        """Fit to runs: weights (R, D), losses (R, M) with NaN where a run lacks a metric.

        conditions: what they were trained under; runs of other than the usual are left to surrogates that know them.
        The order of the runs has no effect: they are sorted first. Raises Problem if weights are not numbers, or
        fewer than 3 runs have a metric.
        """
        weights, losses = np.array(weights, float), np.array(losses, float)
        if conditions is not None and not cls.knows_conditions:
            weights, losses, conditions = weights[conditions.usual], losses[conditions.usual], None
        losses = losses[:, None] if losses.ndim == 1 else losses
        if weights.ndim != 2 or len(weights) != len(losses) or not np.isfinite(weights).all():
            raise Problem(
                f"Cannot fit {cls.title}: weights {weights.shape} and losses {losses.shape} must have "
                "one row for each run, and every weight must be a number. Leave the damaged runs out."
            )
        losses[~np.isfinite(losses)] = np.nan
        counts = (~np.isnan(losses)).sum(axis=0)
        if losses.shape[1] == 0 or counts.min() < FEWEST:
            worst = int(counts.argmin()) if len(counts) else 0
            found = counts[worst] if len(counts) else 0
            raise Problem(
                f"Cannot fit {cls.title}: metric {worst + 1} was measured in {found} "
                f"runs, and at least {FEWEST} are needed. Train more runs, or leave the metric out."
            )
        doses = [] if conditions is None else [conditions.doses.T]
        order = np.lexsort(np.concatenate([*doses, losses.T[::-1], weights.T[::-1]]))
        if conditions is None:
            return cls._learn(weights[order], losses[order], seed)
        return cls._learn_under(weights[order], losses[order], seed, conditions.take(order))

    @classmethod
    @abstractmethod
    def _learn(cls, weights: np.ndarray, losses: np.ndarray, seed: int) -> Self:
        """Fit to clean, sorted runs."""

    def again(self, weights: np.ndarray, losses: np.ndarray) -> Self:
        """The same surrogate of other runs (R, D), (R, M): a draw of a bootstrap. It keeps its hyperparameters where
        it has any that are dear to find; else it is fitted as a new one."""
        return self.fit(weights, losses)

    def at(self, repeats: np.ndarray) -> Self:
        """The same surrogate where a share of one makes other passes (D,) over each domain's text: of another budget or
        other text. Itself, where it does not know of them."""
        return self

    def unharmed(self, domain: int) -> Self:
        """The same surrogate where repeating one domain does no harm, as if its text never ended. Itself, where it does
        not know of harm."""
        return self

    @property
    def caveats(self) -> list[str]:
        """What to know before relying on its predictions, as sentences; most have nothing to say."""
        return []

    @property
    def sees_repetition(self) -> bool:
        """Whether predictions change with how often text is read: else `at` gives the surrogate itself."""
        return False

    @abstractmethod
    def mean(self, weights: np.ndarray) -> np.ndarray:
        """(N, M) predicted losses of weights (N, D). Fast enough for a million points."""

    @abstractmethod
    def covariance(self, weights: np.ndarray) -> np.ndarray:
        """(M, N, N) covariance of the mean function's errors between a few points (N, D)."""

    def joint(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`mean` (N, M) and `covariance` (M, N, N) at a few points (N, D), at once."""
        return self.mean(weights), self.covariance(weights)

    @abstractmethod
    def moments(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (N, M) of the mean function: `mean` and the diagonal of `covariance` together."""

    def predict(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictive mean and standard deviation (N, M) of a run's losses at weights (N, D)."""
        weights = np.atleast_2d(np.asarray(weights, float))
        mean, variance = self.moments(weights)
        return mean, self.scale * np.sqrt(np.maximum(variance, 0) + self.noise)

    def calibrated(self, scale: np.ndarray, correlation: np.ndarray) -> Self:
        """The same surrogate with its cross-validated errors: scale (M,), correlation (M, M)."""
        return replace(self, scale=np.asarray(scale, float), correlation=np.asarray(correlation, float))

    def arrays(self) -> dict[str, np.ndarray]:
        """All its fields, for `save`."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """The surrogate that `arrays` was taken from."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls) if field.name in arrays})


class Conditioned(Surrogate):
    """A surrogate that learns from runs of other conditions than the usual too; without any told, they are unknown."""

    knows_conditions = True

    @classmethod
    def _learn(cls, weights, losses, seed):
        return cls._learn_under(weights, losses, seed, Conditions.unknown(*weights.shape))

    @classmethod
    @abstractmethod
    def _learn_under(cls, weights: np.ndarray, losses: np.ndarray, seed: int, conditions: Conditions) -> Self:
        """Fit to clean, sorted runs and their conditions."""


class Spanned(Surrogate):
    """A surrogate whose error at a point is a combination of K independent ones: `factor` (N, M, K)."""

    @abstractmethod
    def factor(self, weights: np.ndarray) -> np.ndarray:
        """(N, M, K) with covariance = factor @ factor.T between points, for each metric."""

    def covariance(self, weights: np.ndarray) -> np.ndarray:
        factor = self.factor(weights)
        return np.einsum("amk,bmk->mab", factor, factor)

    def moments(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.mean(weights), (self.factor(weights) ** 2).sum(axis=2)


class Ensemble(Spanned):
    """A mean of K members, whose disagreement is the posterior variance."""

    @abstractmethod
    def _predictions(self, weights: np.ndarray) -> np.ndarray:
        """(N, M, K) what each member predicts."""

    def mean(self, weights: np.ndarray) -> np.ndarray:
        found: np.ndarray = self._predictions(weights).mean(axis=2)
        return found

    def factor(self, weights: np.ndarray) -> np.ndarray:
        predictions = self._predictions(weights)
        return (predictions - predictions.mean(axis=2, keepdims=True)) / np.sqrt(predictions.shape[2] - 1)


def in_blocks(score: Callable[[slice], None], points: int, size: int) -> None:
    """Call `score` on slices of `size` points that cover them all, on as many threads as numpy uses.

    Its products release the interpreter's lock; OMP_NUM_THREADS sets the number (jobs and the page: 1).
    """
    blocks = [slice(start, min(points, start + size)) for start in range(0, points, size)]
    threads = int(os.environ.get("OMP_NUM_THREADS") or 0) or cores()
    if threads == 1 or len(blocks) < 8 * threads:
        for block in blocks:
            score(block)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(score, blocks))


def cores() -> int:
    """The cores that this process may use; on macOS, where that is unknown, all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def masks(losses: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Metrics grouped by the runs that have them: [(metrics (m,), runs (R,) bool)], to share the algebra."""
    present = ~np.isnan(losses)
    patterns, which = np.unique(present.T, axis=0, return_inverse=True)
    return [(np.flatnonzero(which.ravel() == i), pattern) for i, pattern in enumerate(patterns)]


def centre_and_spread(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over axis 0, NaN left out; a metric that never varies has a tiny one, not 0.

    Tiny is relative to the metric: one of 1e-9 and one of 1e9 are fitted alike.
    """
    mean = np.nanmean(losses, axis=0)
    least = 1e-6 * np.abs(mean)
    return mean, np.maximum(np.nanstd(losses, axis=0), np.where(least > 0, least, 1e-6))


def least_squares(features: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, ...]:
    """Penalised least squares. features (R, P), targets (R, m) -> coefficients (P, m), root (P, P), residuals
    (R, m).

    `root` @ root.T x noise is the coefficients' posterior covariance; the residuals are leave-one-out, in
    closed form (Allen 1974): honest about a fit with nearly as many coefficients as runs.
    """
    inverse = np.linalg.inv(features.T @ features + penalty * np.eye(features.shape[1]))
    coefficients = inverse @ features.T @ targets
    leverage = np.einsum("rp,pq,rq->r", features, inverse, features)
    residuals = (targets - features @ coefficients) / np.maximum(1e-6, 1 - leverage)[:, None]
    return coefficients, np.linalg.cholesky((inverse + inverse.T) / 2), residuals


def noise_of(residuals: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(m,) mean square of residuals (R, m), never quite zero on the scale of the losses' spread (m,)."""
    return np.maximum((residuals**2).mean(axis=0), (1e-6 * spread) ** 2)
