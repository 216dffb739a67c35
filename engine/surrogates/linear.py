"""Linear regression on the shares: RegMix's baseline (arXiv:2407.01492). Losses are not linear."""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.base import Spanned, centre_and_spread, least_squares, masks, noise_of

PENALTY = 1e-4  # keeps the algebra regular with constant shares, or fewer runs than domains


@dataclass(kw_only=True)
class Linear(Spanned):
    """coefficients (D + 1, M): constant, then one per domain; root (M, D + 1, D + 1) of their covariance."""

    title = "Linear"
    summary = "A straight line in everything that varies: RegMix's baseline, too rigid for most losses."
    complexity = 2

    coefficients: np.ndarray
    root: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        metrics, size = losses.shape[1], weights.shape[1] + 1
        coefficients, root, noise = (
            np.empty((size, metrics)),
            np.empty((metrics, size, size)),
            np.empty(metrics),
        )
        features = with_constant(weights)
        for which, rows in masks(losses):
            targets = losses[np.ix_(rows, which)]
            mean, spread = centre_and_spread(targets)
            fitted, one_root, residuals = least_squares(features[rows], (targets - mean) / spread, PENALTY)
            coefficients[:, which] = fitted * spread
            coefficients[0, which] += mean
            noise[which] = noise_of(residuals * spread, spread)
            root[which] = one_root * np.sqrt(noise[which])[:, None, None]
        return cls(noise=noise, coefficients=coefficients, root=root)

    def mean(self, weights):
        return with_constant(weights) @ self.coefficients

    def factor(self, weights):
        return np.einsum("np,mpk->nmk", with_constant(weights), self.root)


def with_constant(weights: np.ndarray) -> np.ndarray:
    """(N, D + 1): a column of ones, then the shares (N, D)."""
    return np.concatenate([np.ones((len(weights), 1)), weights], axis=1)
