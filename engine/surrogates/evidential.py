"""Deep evidential regression (arXiv:1910.02600): a network whose outputs are a distribution over means and noises.

Four outputs per metric, gamma, nu, alpha and beta of a normal-inverse-gamma distribution. The loss is the negative
log likelihood of its Student-t marginal plus lambda |y - gamma| (2 nu + alpha): evidence where it is wrong costs. The
noise is beta / (alpha - 1), the posterior variance of the mean is that over nu.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.network import Network

LAMBDA = 0.05
LEAST = 1e-3  # of nu, alpha - 1 and beta


@dataclass(kw_only=True)
class Evidential(Network):
    """Outputs: gamma, and nu, alpha - 1 and beta before a softplus makes them positive."""

    title = "Evidential network"
    summary = "A small network that separates noise from lack of evidence."
    complexity = 7
    outputs = 4

    @classmethod
    def gradient(cls, outputs, targets, progress):
        from scipy.special import digamma

        gamma, nu, alpha, beta = read(outputs)
        miss = targets - gamma
        omega = 2 * beta * (1 + nu)
        total = nu * miss**2 + omega
        by_gamma = -(alpha + 0.5) * 2 * nu * miss / total - LAMBDA * np.sign(miss) * (2 * nu + alpha)
        by_nu = -0.5 / nu - alpha / (1 + nu) + (alpha + 0.5) * (miss**2 + 2 * beta) / total + 2 * LAMBDA * np.abs(miss)
        by_alpha = -np.log(omega) + np.log(total) + digamma(alpha) - digamma(alpha + 0.5) + LAMBDA * np.abs(miss)
        by_beta = -alpha / beta + (alpha + 0.5) * 2 * (1 + nu) / total
        inner = 1 / (1 + np.exp(-np.clip(outputs[..., 1:], -30, 30)))  # of the softplus
        found = np.stack([by_gamma, *(np.moveaxis(inner, -1, 0) * np.stack([by_nu, by_alpha, by_beta]))], axis=-1)
        return np.clip(found, -5, 5)

    def reading(self, outputs):
        gamma, nu, alpha, beta = read(outputs)
        return gamma, beta / (alpha - 1) / nu


def read(outputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """gamma, nu, alpha, beta (...) of outputs (..., 4)."""
    raw = np.asarray(outputs, float)
    positive = np.logaddexp(0, raw[..., 1:]) + LEAST
    return raw[..., 0], positive[..., 0], 1 + positive[..., 1], positive[..., 2]
