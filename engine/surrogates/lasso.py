"""Lasso on shares and log shares: a sparse line that shows which domains matter.

Active multi-task representation learning (arXiv:2306.02556) reads the relevance of each source to a target off an L1
penalty. Coordinate descent on the Gram matrix for all metrics and penalties at once (Friedman, Hastie and Tibshirani
2010); the penalty has the lowest error on held-out folds. The uncertainty is that of least squares on these.
R runs, D domains, M metrics, P = 2 D features, L penalties.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.statistics import first_lowest
from engine.surrogates.base import Spanned, centre_and_spread, least_squares, masks, noise_of
from engine.surrogates.linear import with_constant
from engine.surrogates.ridge import scaled

PENALTIES = np.logspace(0, -3.5, 22)  # in standard deviations of the target: at 1 nothing is selected
FOLDS, SWEEPS = 4, 60
RIDGE = 1e-4


@dataclass(kw_only=True)
class Lasso(Spanned):
    """weights (R, D) of the runs, for the features' scale; coefficients (P + 1, M), constant first; root (M, P + 1,
    P + 1) of their covariance, zero where a feature is left out.
    """

    title = "Lasso"
    summary = "A sparse line in all inputs and their logarithms: shows what a loss depends on."
    complexity = 3

    weights: np.ndarray
    coefficients: np.ndarray
    root: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        features, metrics = scaled(weights, weights), losses.shape[1]
        size = features.shape[1] + 1
        coefficients, root, noise = np.zeros((size, metrics)), np.zeros((metrics, size, size)), np.empty(metrics)
        for which, rows in masks(losses):
            targets = losses[np.ix_(rows, which)]
            mean, spread = centre_and_spread(targets)
            unit, x = (targets - mean) / spread, features[rows]
            path, best, noise[which] = _path(x, unit), *_chosen(x, unit, spread)
            for place, m in enumerate(which):
                kept = np.r_[0, 1 + np.flatnonzero(path[best[place], :, place])]
                one_root = least_squares(with_constant(x)[:, kept], unit[:, :1], RIDGE)[1]
                root[m][np.ix_(kept, np.arange(len(kept)))] = one_root * np.sqrt(noise[m])
                coefficients[1:, m] = path[best[place], :, place] * spread[place]
            coefficients[0, which] = mean - x.mean(axis=0) @ coefficients[1:, which]
        return cls(noise=noise, weights=weights, coefficients=coefficients, root=root)

    @property
    def relevance(self) -> np.ndarray:
        """(D, M) how much of each loss's variation over the runs depends on a domain: 0 if it is not selected."""
        return np.abs(self.coefficients[1:]).reshape(2, -1, self.coefficients.shape[1]).sum(axis=0)

    def mean(self, weights):
        return with_constant(scaled(np.asarray(weights, float), self.weights)) @ self.coefficients

    def factor(self, weights):
        return np.einsum("np,mpk->nmk", with_constant(scaled(np.asarray(weights, float), self.weights)), self.root)


def _path(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(L, P, m) coefficients for every penalty; features (R, P), standardised targets (R, m)."""
    x = features - features.mean(axis=0)
    gram, right = x.T @ x / len(x), x.T @ (targets - targets.mean(axis=0)) / len(x)
    found = np.zeros((len(PENALTIES), *right.shape))
    for _ in range(SWEEPS):
        before = found.copy()
        for p in np.flatnonzero(np.diag(gram) > 1e-9):
            pulled = right[p] - np.einsum("q,lqm->lm", gram[p], found) + gram[p, p] * found[:, p]
            found[:, p] = np.sign(pulled) * np.maximum(np.abs(pulled) - PENALTIES[:, None], 0) / gram[p, p]
        if np.abs(found - before).max() < 1e-5:
            break
    return found


def _chosen(features: np.ndarray, targets: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m,) which penalty has the lowest held-out error, and that error's mean square in the losses' unit."""
    fold = np.arange(len(features)) % min(FOLDS, len(features))
    missed = np.empty((len(PENALTIES), *targets.shape))
    for held in (fold == k for k in range(fold.max() + 1)):
        centre, level = features[~held].mean(axis=0), targets[~held].mean(axis=0)
        missed[:, held] = targets[held] - level - (features[held] - centre) @ _path(features[~held], targets[~held])
    best = first_lowest((missed**2).mean(axis=1).T)
    return best, noise_of(missed[best, :, np.arange(len(best))].T * spread, spread)
