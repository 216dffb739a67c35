"""Predictions at a mixture, and of differences between two, with their noise.

D domains, M metrics; metric_weights (M,): the metrics' signed weights (engine.spec.objectives.Aggregate.weights): the
aggregate is better when lower, whatever they are.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.spec.statistics import ci_half_width, weighted_sum
from engine.surrogates import Surrogate


@dataclass(frozen=True)
class Prediction:
    """A point and its predictions: its shares (D,) (of a merge: its coefficients), mean and std (M,) of a run's losses,
    aggregate and aggregate_std of their sum by signed weights."""

    shares: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    aggregate: float
    aggregate_std: float


@dataclass(frozen=True)
class Difference:
    """Found minus baseline, negative where the found mixture is better: per metric (M,) and of the aggregate,
    each with the standard deviation of the difference between two measured runs.
    inside_noise: the aggregates differ by no more than half of a 95% interval."""

    baseline: Prediction
    mean: np.ndarray
    std: np.ndarray
    aggregate: float
    aggregate_std: float
    inside_noise: bool


def checked_priorities(priorities: np.ndarray, metrics: int) -> np.ndarray:
    """(M,) signed weights, unchanged. Raises Problem if they are invalid."""
    metric_weights = np.asarray(priorities, float)
    if metric_weights.shape != (metrics,) or not np.isfinite(metric_weights).all() or not metric_weights.any():
        raise Problem(
            f"Cannot weigh the metrics by {metric_weights.tolist()}: give {metrics} numbers, not all of them 0."
        )
    return metric_weights


def predict(surrogate: Surrogate, point: np.ndarray, metric_weights: np.ndarray) -> Prediction:
    """The prediction at one point (D,); metric_weights (M,): signed weights."""
    mean, std = surrogate.predict(point[None])
    return _prediction(surrogate, point, mean[0], std[0], metric_weights)


def _prediction(
    surrogate: Surrogate, point: np.ndarray, mean: np.ndarray, std: np.ndarray, metric_weights: np.ndarray
) -> Prediction:
    """The same of a mean and a standard deviation (M,)."""
    total = float(weighted_sum(mean, metric_weights))
    return Prediction(point, mean, std, total, aggregate_std(surrogate, std, metric_weights))


def aggregate_std(surrogate: Surrogate, std: np.ndarray, metric_weights: np.ndarray) -> float:
    """Standard deviation of the weighted mean of metrics, with their cross-validated error correlations."""
    weighted = std * metric_weights
    return float(np.sqrt(max(0.0, weighted @ surrogate.correlation @ weighted)))


def difference(surrogate: Surrogate, found: np.ndarray, baseline: np.ndarray, metric_weights: np.ndarray) -> Difference:
    """The predicted difference of a run at `found` (D,) from one at `baseline` (D,). Errors common to both
    points cancel; measurement noise does not: it counts twice."""
    return predict_beside(surrogate, found, baseline, metric_weights)[1]


def predict_beside(
    surrogate: Surrogate, found: np.ndarray, baseline: np.ndarray, metric_weights: np.ndarray
) -> tuple[Prediction, Difference]:
    """`predict` at `found` (D,) and its `difference` from `baseline` (D,), in one question to the surrogate."""
    mean, covariance = surrogate.joint(np.stack([found, baseline]))
    variances = np.maximum(np.einsum("maa->am", covariance), 0)
    here, there = (
        _prediction(surrogate, *one, metric_weights)
        for one in zip((found, baseline), mean, surrogate.scale * np.sqrt(variances + surrogate.noise), strict=True)
    )
    std, gap = _differences_std(surrogate, covariance, noise=True)[0], mean[0] - mean[1]
    spread, total = aggregate_std(surrogate, std, metric_weights), float(weighted_sum(gap, metric_weights))
    return here, Difference(there, gap, std, total, spread, abs(total) <= ci_half_width(spread))


def difference_std(surrogate: Surrogate, one: np.ndarray, other: np.ndarray, noise: bool) -> np.ndarray:
    """(M,) calibrated standard deviation of the predicted difference between two points (D,).

    noise: of two measured runs; without it, of the mean function alone.
    """
    found: np.ndarray = differences_std(surrogate, one[None], other, noise)[0]
    return found


def differences_std(surrogate: Surrogate, points: np.ndarray, other: np.ndarray, noise: bool) -> np.ndarray:
    """(N, M) the same of each of the points (N, D) and another one (D,), in one question to the surrogate."""
    return _differences_std(surrogate, surrogate.covariance(np.concatenate([points, other[None]])), noise)


def _differences_std(surrogate: Surrogate, covariance: np.ndarray, noise: bool) -> np.ndarray:
    """(N, M) the same of the covariance (M, N + 1, N + 1) between the points and the other one, which comes last."""
    own = np.einsum("maa->am", covariance)
    variance = np.maximum(own[:-1] + own[-1] - 2 * covariance[:, :-1, -1].T, 0)
    return surrogate.scale * np.sqrt(variance + 2 * surrogate.noise * noise)
