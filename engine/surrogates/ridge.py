"""Quadratic ridge on shares and log shares, in closed form: all metrics share one eigendecomposition.

The squares and products of all features are never written out: ridge regression on them is kernel ridge with
k(a, b) = (1 + a.b / P)^2, and its penalty is chosen by leave-one-out residuals in closed form (Allen 1974;
Golub, Heath and Wahba 1979). Seen as a Gaussian process it has a posterior variance too.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.spec.statistics import first_lowest
from engine.surrogates.base import Surrogate, centre_and_spread, masks

FLOOR = 1e-3
PENALTIES = np.logspace(-8, 3, 45)
BLOCK = 4096  # points scored at once


@dataclass(kw_only=True)
class Ridge(Surrogate):
    """weights (R, D) and losses (R, M) of the runs; penalty (M,). The rest follows from these."""

    title = "Quadratic ridge"
    summary = "Squares and products of all inputs and their logarithms, with a penalty: smooth, exact and instant."
    complexity = 3

    weights: np.ndarray
    losses: np.ndarray
    penalty: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        mean, spread = centre_and_spread(losses)
        penalty, noise = np.empty(losses.shape[1]), np.empty(losses.shape[1])
        kernel = quadratic(*(scaled(weights, weights),) * 2)
        for which, rows in masks(losses):
            values, vectors = np.linalg.eigh(kernel[np.ix_(rows, rows)])
            values = np.maximum(values, 0)
            rotated = vectors.T @ ((losses[np.ix_(rows, which)] - mean[which]) / spread[which])
            shrunk = 1 / (values[:, None] + PENALTIES)  # (R, L)
            weight = np.einsum("rk,kl,km->lrm", vectors, shrunk, rotated)
            residuals = weight / ((vectors**2) @ shrunk).T[:, :, None]  # (L, R, m), leave-one-out
            best = first_lowest((residuals**2).mean(axis=1).T)
            penalty[which] = PENALTIES[best]
            # The maximum-likelihood noise variance, given the ratio of noise to signal.
            fitted = np.einsum("km,km->m", rotated**2, shrunk[:, best]) * PENALTIES[best] / rows.sum()
            noise[which] = np.maximum(fitted, 1e-12) * spread[which] ** 2
        return cls(noise=noise, weights=weights, losses=losses, penalty=penalty)

    @cached_property
    def _features(self) -> np.ndarray:
        return scaled(self.weights, self.weights)

    @cached_property
    def _solved(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Dual coefficients (R, M), and for each metric the inverse (R, R) of kernel + penalty; rows it
        lacks are 0.
        """
        mean, _ = centre_and_spread(self.losses)
        kernel = quadratic(self._features, self._features)
        dual, inverses = np.zeros_like(self.losses), []
        for m, penalty in enumerate(self.penalty):
            rows = np.flatnonzero(~np.isnan(self.losses[:, m]))
            inverse = np.zeros_like(kernel)
            inverse[np.ix_(rows, rows)] = np.linalg.inv(kernel[np.ix_(rows, rows)] + penalty * np.eye(len(rows)))
            dual[:, m] = inverse @ np.nan_to_num(self.losses[:, m] - mean[m])
            inverses.append(inverse)
        return dual, inverses

    def mean(self, weights):
        weights, (dual, _) = np.asarray(weights, float), self._solved
        scores = np.empty((len(weights), dual.shape[1]))
        for start in range(0, len(weights), BLOCK):
            block = slice(start, start + BLOCK)
            scores[block] = quadratic(scaled(weights[block], self.weights), self._features) @ dual
        return centre_and_spread(self.losses)[0] + scores

    def moments(self, weights):
        points, (dual, inverses) = scaled(np.asarray(weights, float), self.weights), self._solved
        across, own = quadratic(points, self._features), (1 + (points**2).mean(axis=1)) ** 2
        known = np.stack([((across @ inverse) * across).sum(axis=1) for inverse in inverses], axis=1)
        mean = centre_and_spread(self.losses)[0] + across @ dual
        return mean, (own[:, None] - known) * self.noise / self.penalty

    def covariance(self, weights):
        points = scaled(np.asarray(weights, float), self.weights)
        across, own = quadratic(points, self._features), quadratic(points, points)
        known = np.stack([across @ inverse @ across.T for inverse in self._solved[1]])
        return (own - known) * (self.noise / self.penalty)[:, None, None]


def scaled(weights: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """(N, 2D) shares and log shares, centred and scaled as the runs (R, D) have them."""
    raw = np.concatenate([weights, np.log(weights + FLOOR)], axis=1)
    known = np.concatenate([runs, np.log(runs + FLOOR)], axis=1)
    spread = known.std(axis=0)
    return (raw - known.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)


def quadratic(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N, R) kernel of all products of up to two features: left (N, P), right (R, P)."""
    return (1 + left @ right.T / left.shape[1]) ** 2
