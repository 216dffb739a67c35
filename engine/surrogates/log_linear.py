"""The log-linear law of data mixing: L(p) = c + exp(t . p), one exponential a metric.

Data Mixing Laws (arXiv:2403.16952) and Olmix (arXiv:2602.12237). The factor k of k exp(t . p) is absorbed in
t, since shares sum to one. The asymptote is exp(c) in the papers; here its sign is free, so scores can be
fitted too. All metrics and all starts are solved at once by Levenberg and Marquardt's damped Gauss-Newton
with the analytic Jacobian: a stack of (D + 1) x (D + 1) systems a step.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.base import Spanned, centre_and_spread, noise_of

STARTS = np.array([0.05, 0.2, 0.6, 2.0, 6.0])  # asymptotes tried: this many spreads below the lowest loss
STEPS = 80
PENALTY = 1e-4  # a weak prior that all t are equal: a domain that no run holds must stay finite
HIGHEST = 30.0  # exponents beyond are clipped


@dataclass(kw_only=True)
class LogLinear(Spanned):
    """law (M, D + 1): asymptote and exponents, of losses in units of `spread` (M,); root (M, D + 1, D +
    1).
    """

    title = "Log-linear law"
    summary = "Each loss is a floor plus one exponential of the shares: a published law that carries over to scale."
    complexity = 1
    convex = True

    law: np.ndarray
    spread: np.ndarray
    root: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        _, spread = centre_and_spread(losses)
        present = ~np.isnan(losses).T
        targets = np.where(present, np.nan_to_num(losses / spread).T, 0.0)
        law, prior = _starts(weights, targets, present)
        law = _solve(weights, targets, present, law, prior)  # (S, M, P)
        costs = _cost(weights, targets, present, law, prior)
        best, which = costs.argmin(axis=0), np.arange(len(targets))
        law, prior = law[best, which], prior[best, which]
        value, slope = _law(weights, law)
        slope = slope * present[:, :, None]
        normal = np.einsum("mrp,mrq->mpq", slope, slope) + PENALTY * _exponents(law.shape[1])
        inverse = np.linalg.inv(normal + 1e-9 * np.eye(law.shape[1]))
        leverage = np.einsum("mrp,mpq,mrq->mr", slope, inverse, slope)
        residuals = np.where(present, (targets - value) / np.maximum(1e-3, 1 - leverage), 0) * spread[:, None]
        noise = noise_of(residuals.T, spread) * present.shape[1] / present.sum(axis=1)
        root = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2) * np.sqrt(noise)[:, None, None]
        return cls(noise=noise, law=law, spread=spread, root=root)

    def mean(self, weights):
        exponent = np.minimum(np.asarray(weights) @ self.law[:, 1:].T, HIGHEST)
        return (self.law[:, 0] + np.exp(exponent)) * self.spread

    def factor(self, weights):
        _, slope = _law(np.asarray(weights, float), self.law)
        return np.einsum("mnp,mpk->nmk", slope, self.root)


def _law(weights: np.ndarray, law: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (..., R) and Jacobian (..., R, P) of laws (..., P) at weights (R, D)."""
    part = np.exp(np.minimum(law[..., 1:] @ weights.T, HIGHEST))
    slope = np.concatenate([np.ones((*part.shape, 1)), part[..., None] * weights], axis=-1)
    return law[..., :1] + part, slope


def _exponents(size: int) -> np.ndarray:
    """(P, P) diagonal that is one for the exponents and zero for the asymptote."""
    return np.diag(np.r_[0.0, np.ones(size - 1)])


def _starts(weights: np.ndarray, targets: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First laws and their priors, both (S, M, P): for an assumed asymptote the logarithm is linear in the
    shares.
    """
    lowest = np.where(present, targets, np.inf).min(axis=1)
    floor = lowest - STARTS[:, None]  # (S, M)
    logs = np.log(np.maximum(targets - floor[:, :, None], 1e-9)) * present  # (S, M, R)
    level = logs.sum(axis=2) / present.sum(axis=1)
    normal = np.einsum("mr,rd,re->mde", present, weights, weights) + 1e-2 * np.eye(weights.shape[1])
    right = np.einsum("smr,rd->smd", logs - level[:, :, None] * present, weights)
    steps = np.linalg.solve(normal, right[..., None])[..., 0]
    flat = np.concatenate([floor[:, :, None], np.broadcast_to(level[:, :, None], steps.shape)], axis=2)
    return flat + np.concatenate([np.zeros((*steps.shape[:2], 1)), steps], axis=2), flat


def _cost(weights, targets, present, law, prior) -> np.ndarray:
    """(S, M) squares of the residuals plus the penalty."""
    residuals = (targets - _law(weights, law)[0]) * present
    return (residuals**2).sum(axis=-1) + PENALTY * ((law - prior)[..., 1:] ** 2).sum(axis=-1)


def _solve(weights, targets, present, law, prior) -> np.ndarray:
    """Levenberg-Marquardt on all starts and metrics together: (S, M, P). Each has its own damping."""
    damping, cost = np.full(law.shape[:2], 1e-2), _cost(weights, targets, present, law, prior)
    pull = PENALTY * _exponents(law.shape[2])
    for _ in range(STEPS):
        value, slope = _law(weights, law)
        slope = slope * present[:, :, None]
        normal = np.swapaxes(slope, -1, -2) @ slope + pull
        gradient = np.einsum("smrp,smr->smp", slope, (targets - value) * present) - (law - prior) @ pull
        diagonal = np.einsum("smpp->smp", normal)
        damped = normal + (damping[..., None] * (diagonal + 1e-6))[..., None] * np.eye(law.shape[2])
        trial = law + np.linalg.solve(damped, gradient[..., None])[..., 0]
        trial_cost = _cost(weights, targets, present, trial, prior)
        better = trial_cost < cost
        settled = cost - trial_cost < 1e-9 * (1 + cost)
        law = np.where(better[..., None], trial, law)
        cost = np.where(better, trial_cost, cost)
        if (better & settled | (damping > 1e8)).all():
            break
        damping = np.clip(np.where(better, damping / 5, damping * 4), 1e-10, 1e9)
    return law
