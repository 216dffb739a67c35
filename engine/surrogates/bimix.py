"""BiMix's law, L(p) = c + sum_j F_j p_j^(-a_j): each domain acts by a power of its own share.

After BiMix (arXiv:2405.14908), whose law has one such term for a metric's own domain; here every domain has one,
with a factor of either sign, so that domains that crowd others out can raise a loss. Shares count from a floor,
since a power of nothing is infinite.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.base import centre_and_spread
from engine.surrogates.law import Law

FLOOR = 1e-3  # shares below count as this
POWERS = np.array([0.1, 0.3, 0.8])
FACTOR_PENALTY, POWER_PENALTY = 1e-2, 1e-1  # weak priors: a factor of 0, the power's starting value


@dataclass(kw_only=True)
class BiMix(Law):
    """law (M, 2 D + 1): constant, factors, logarithms of the powers."""

    title = "BiMix"
    summary = "A power of each share, added up: a published law in which domains do not interact."
    complexity = 3

    @staticmethod
    def value_and_slope(weights, law):
        domains = weights.shape[1]
        logs = np.log(np.maximum(weights, 0) + FLOOR)
        factors, powers = law[..., None, 1 : domains + 1], np.exp(np.clip(law[..., None, domains + 1 :], -6, 0.7))
        parts = np.exp(-powers * logs)  # (..., R, D)
        slope = [np.ones((*parts.shape[:-1], 1)), parts, factors * parts * -powers * logs]
        return law[..., :1] + (factors * parts).sum(axis=-1), np.concatenate(slope, axis=-1)

    @staticmethod
    def starts(weights, targets, present):
        """For assumed powers the law is linear: a ridge regression."""
        domains, laws = weights.shape[1], []
        mean, _ = centre_and_spread(np.where(present, targets, np.nan).T)
        for power in POWERS:
            parts = (weights + FLOOR) ** -power
            centre = np.einsum("mr,rd->md", present, parts) / present.sum(axis=1)[:, None]
            features = (parts - centre[:, None]) * present[:, :, None]
            normal = np.einsum("mrd,mre->mde", features, features) + FACTOR_PENALTY * np.eye(domains)
            right = np.einsum("mrd,mr->md", features, (targets - mean[:, None]) * present)
            factors = np.linalg.solve(normal, right[..., None])[..., 0]
            constant = mean - (factors * centre).sum(axis=1)
            laws.append(np.column_stack([constant, factors, np.full_like(factors, np.log(power))]))
        law = np.array(laws)
        prior = law.copy()
        prior[:, :, 1 : domains + 1] = 0
        return law, prior

    @staticmethod
    def penalties(domains):
        return np.r_[0.0, np.full(domains, FACTOR_PENALTY), np.full(domains, POWER_PENALTY)]
