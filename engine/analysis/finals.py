"""What runs will have measured at their end, from what they measured early and what other runs became of the same.

Each final value is regressed on the same value early, and on all that is known beside it: the other losses then, how
they changed, and the mixture (after RegMix-D, arXiv:2606.18663, which regresses one loss of a curve on the one before).
The constant and the slope of the early value are free. What stands beside it shares one prior, whose strengths are
averaged by their restricted likelihood, so features that say nothing cost little. Runs that are left out in turn judge
the intervals, and widen them where they miss by more than was said. n runs that ended, k that are asked about, M
values, F features.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.spec.statistics import weighted_sum

FEWEST = 8  # runs that ended, for a prediction: fewer leave the interval to chance
# Variance of what stands beside, before any run, over the noise's.
STRENGTHS = (0.0, 0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0)
STILL = 1e-9  # of a number's size: what varies by less does not vary


@dataclass(frozen=True)
class Early:
    """What is known of runs early. own (n, M): each value then, a column of NaN where it was not measured; beside
    (n, F): the other features."""

    own: np.ndarray
    beside: np.ndarray


@dataclass(frozen=True)
class Finals:
    """mean, half (k, M): the predicted final values, and half of their 95% intervals. missed (n, M): what each run that
    ended measured, less what the others predict of it; reach (n, M): half of the 95% interval of that."""

    mean: np.ndarray
    half: np.ndarray
    missed: np.ndarray
    reach: np.ndarray

    def inside(self, value: int) -> float:
        """The part of the left-out runs whose value lies inside its interval; NaN if none is known."""
        known = np.isfinite(self.missed[:, value])
        return float(np.mean(np.abs(self.missed[known, value]) <= self.reach[known, value])) if known.any() else np.nan


def predicted_finals(known: Early, finals: np.ndarray, asked: Early) -> Finals:
    """The final values of runs that still train; finals (n, M): of those that ended, NaN where one is missing.

    A value that fewer than FEWEST runs have is NaN in all arrays, and so is that of a run which lacks it early where
    others had it.
    """
    n, k, values = len(finals), len(asked.own), finals.shape[1]
    found = Finals(*(np.full((rows, values), np.nan) for rows in (k, k, n, n)))
    priors: dict[bytes, Prior] = {}
    for m in range(values):
        measured = np.isfinite(known.own[:, m]).any()
        rows = np.isfinite(finals[:, m]) & (np.isfinite(known.own[:, m]) | (not measured))
        if rows.sum() < FEWEST:
            continue
        if rows.tobytes() not in priors:  # most values have the same runs
            priors[rows.tobytes()] = Prior.of(*_scaled(known.beside[rows], asked.beside))
        bases = _scaled(known.own[rows, m : m + 1], asked.own[:, m : m + 1])
        free, free_asked = (np.hstack([np.ones((len(one), 1)), one]) for one in bases)
        columns = _regressed(free, free_asked, priors[rows.tobytes()], finals[rows, m])
        found.mean[:, m], found.half[:, m], found.missed[rows, m], found.reach[rows, m] = columns
    return found


class Prior(NamedTuple):
    """What stands beside, under each of STRENGTHS: the inverse covariance of known runs (n, n), its logarithmic
    determinant before it was inverted, the covariance of asked ones with them (k, n), and variances of these (k,); all
    over the noise's variance, which is in them."""

    inverses: list[np.ndarray]
    determinants: list[float]
    cross: list[np.ndarray]
    alone: list[np.ndarray]

    @classmethod
    def of(cls, beside: np.ndarray, asked: np.ndarray) -> "Prior":
        """Of features (n, F) and (k, F)."""
        kernel, cross, alone = beside @ beside.T, asked @ beside.T, (asked**2).sum(axis=1)
        covariances = [np.eye(len(beside)) + strength * kernel for strength in STRENGTHS]
        return cls(
            [np.linalg.inv(one) for one in covariances],
            [float(np.linalg.slogdet(one)[1]) for one in covariances],
            [strength * cross for strength in STRENGTHS],
            [1 + strength * alone for strength in STRENGTHS],
        )


def _scaled(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, F), (k, F), those that do not vary left out, each with the mean 0 and the variance 1 / F."""
    centre, spread = known.mean(axis=0), known.std(axis=0)
    kept = spread > STILL * np.abs(centre)  # False of NaN: a value that nobody measured early is no feature
    scale = spread[kept] * np.sqrt(max(1, kept.sum()))
    return (known[:, kept] - centre[kept]) / scale, (asked[:, kept] - centre[kept]) / scale


Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _regressed(free: np.ndarray, free_asked: np.ndarray, prior: Prior, values: np.ndarray) -> Columns:
    """One column of each array of `Finals`. free (n, B), (k, B): what has free coefficients; values (n,)."""
    from scipy.special import stdtrit

    freedom, unit = len(values) - free.shape[1], max(float(np.ptp(values)), STILL * float(np.abs(values).max()), 1e-30)
    centre, likelihoods, ways = values.mean(), [], []
    values = values - centre
    for inverse, determinant, cross, alone in zip(*prior, strict=True):
        information = free.T @ inverse @ free
        normal = np.linalg.inv(information)
        left = inverse - inverse @ free @ normal @ free.T @ inverse
        noise = max(float(values @ left @ values) / freedom, (STILL * unit) ** 2)
        likelihoods.append(-(determinant + np.linalg.slogdet(information)[1] + freedom * np.log(noise)) / 2)
        slopes, weights = normal @ free.T @ inverse @ values, cross @ inverse  # (B,), (k, n)
        mean, beyond = free_asked @ slopes + weights @ (values - free @ slopes), free_asked - weights @ free
        variance = noise * (alone - (weights * cross).sum(axis=1) + ((beyond @ normal) * beyond).sum(axis=1))
        own = np.maximum(np.diag(left), STILL)  # a left-out run is missed by residual / own, with variance noise / own
        ways.append((mean, variance, left @ values / own, noise / own))
    chances = np.exp(np.array(likelihoods) - max(likelihoods))
    means, variances, missed, of_missed = (np.array(one) for one in zip(*ways, strict=True))
    mean, variance = _mixed(chances / chances.sum(), means, variances)
    error, of_error = _mixed(chances / chances.sum(), missed, of_missed)
    wider = max(1.0, float(np.mean(error**2 / of_error)))
    deviations = float(stdtrit(freedom, 0.975))
    return centre + mean, deviations * np.sqrt(wider * variance), error, deviations * np.sqrt(wider * of_error)


def _mixed(weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a mixture of distributions: weights (S,), means and variances (S, n)."""
    mean = weighted_sum(means.T, weights)
    return mean, weighted_sum((variances + (means - mean) ** 2).T, weights)
