"""A law of mixing: a formula of the shares with a few numbers per metric, fitted from many starts at once.

All metrics and all starts are solved together by Levenberg and Marquardt's damped Gauss-Newton with analytic
Jacobians: a stack of (P, P) systems per step. A law is a subclass with its formula, its starts and its penalties.
R runs, D domains, M metrics, S starts, P numbers of a law. Losses are in standard deviations.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from engine.spec.statistics import first_lowest, ordered
from engine.surrogates.base import Spanned, centre_and_spread, noise_of

DEPTHS = np.array([0.05, 0.2, 0.6, 2.0, 6.0])  # floors tried: this many standard deviations below the lowest loss
STEPS = 80
TRIAL, KEPT = 12, 3  # steps after which only the best few starts of each metric go on
HIGHEST = 30.0  # exponents beyond are clipped


@dataclass(kw_only=True)
class Law(Spanned):
    """law (M, P): numbers of the formula, of losses in units of `spread` (M,); root (M, P, P) of their covariance."""

    extrapolates = True

    law: np.ndarray
    spread: np.ndarray
    root: np.ndarray

    @staticmethod
    @abstractmethod
    def value_and_slope(weights: np.ndarray, law: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (..., R) and Jacobian (..., R, P) of laws (..., P) at weights (R, D)."""

    @staticmethod
    @abstractmethod
    def starts(weights: np.ndarray, targets: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Initial laws and their priors, both (S, M, P); targets (M, R), 0 where not present (M, R)."""

    @staticmethod
    @abstractmethod
    def penalties(domains: int) -> np.ndarray:
        """(P,) penalty of each number's squared distance from its prior."""

    @classmethod
    def _learn(cls, weights, losses, seed):
        _, spread = centre_and_spread(losses)
        present = ~np.isnan(losses).T
        targets = np.where(present, np.nan_to_num(losses / spread).T, 0.0)
        law, prior = cls.starts(weights, targets, present)
        law, prior = cls._solve(weights, targets, present, law, prior)
        best = first_lowest(cls._cost(weights, targets, present, law, prior).T)
        which = np.arange(len(targets))
        law = law[best, which]
        value, slope = cls.value_and_slope(weights, law)
        slope = slope * present[:, :, None]
        normal = np.einsum("mrp,mrq->mpq", slope, slope) + np.diag(cls.penalties(weights.shape[1]))
        inverse = np.linalg.inv(normal + 1e-9 * np.eye(law.shape[1]))
        leverage = np.einsum("mrp,mpq,mrq->mr", slope, inverse, slope)
        residuals = np.where(present, (targets - value) / np.maximum(1e-3, 1 - leverage), 0) * spread[:, None]
        noise = noise_of(residuals.T, spread) * present.shape[1] / present.sum(axis=1)
        root = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2) * np.sqrt(noise)[:, None, None]
        return cls(noise=noise, law=law, spread=spread, root=root)

    def mean(self, weights):
        return self.value_and_slope(np.asarray(weights, float), self.law)[0].T * self.spread

    def factor(self, weights):
        _, slope = self.value_and_slope(np.asarray(weights, float), self.law)
        return np.einsum("mnp,mpk->nmk", slope, self.root)

    @classmethod
    def _cost(cls, weights, targets, present, law, prior) -> np.ndarray:
        """(S, M) squares of the residuals plus the penalty."""
        residuals = (targets - cls.value_and_slope(weights, law)[0]) * present
        return (residuals**2).sum(axis=-1) + ((law - prior) ** 2 @ cls.penalties(weights.shape[1]))

    @classmethod
    def _solve(cls, weights, targets, present, law, prior) -> np.ndarray:
        """Levenberg-Marquardt on all starts and metrics together, each with its own damping.

        Returns the laws of the best starts, and their priors, both (KEPT, M, P).
        """
        damping, cost = np.full(law.shape[:2], 1e-2), cls._cost(weights, targets, present, law, prior)
        penalties = cls.penalties(weights.shape[1])
        for step in range(STEPS):
            if step == TRIAL and len(law) > KEPT:
                best = ordered(cost.T).T[:KEPT]
                cost, damping = (np.take_along_axis(values, best, axis=0) for values in (cost, damping))
                law, prior = (np.take_along_axis(laws, best[:, :, None], axis=0) for laws in (law, prior))
            value, slope = cls.value_and_slope(weights, law)
            slope = slope * present[:, :, None]
            normal = np.swapaxes(slope, -1, -2) @ slope + np.diag(penalties)
            right = (targets - value) * present
            gradient = (right[..., None, :] @ slope)[..., 0, :] - (law - prior) * penalties
            diagonal = np.einsum("smpp->smp", normal)
            damped = normal + (damping[..., None] * (diagonal + 1e-6))[..., None] * np.eye(law.shape[2])
            trial = law + np.linalg.solve(damped, gradient[..., None])[..., 0]
            trial_cost = cls._cost(weights, targets, present, trial, prior)
            better = trial_cost < cost
            settled = cost - trial_cost < 1e-9 * (1 + cost)
            law = np.where(better[..., None], trial, law)
            cost = np.where(better, trial_cost, cost)
            if (better & settled | (damping > 1e8)).all():
                break
            damping = np.clip(np.where(better, damping / 5, damping * 4), 1e-10, 1e9)
        return law, prior


def floors_below(targets: np.ndarray, present: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """(S, M) values that many standard deviations below each metric's lowest loss."""
    return np.where(present, targets, np.inf).min(axis=1) - depths[:, None]


def fitted_line(weights: np.ndarray, values: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (S, M) of values (S, M, R) over the runs, and a ridge regression's steps from it a domain (S, M, D)."""
    level = (values * present).sum(axis=2) / present.sum(axis=1)
    normal = np.einsum("mr,rd,re->mde", present, weights, weights) + 1e-2 * np.eye(weights.shape[1])
    right = ((values - level[:, :, None]) * present) @ weights
    return level, np.linalg.solve(normal, right[..., None])[..., 0]
