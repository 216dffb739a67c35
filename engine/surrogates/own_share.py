"""One share alone: a line in the logarithm of the domain that explains a metric best, as a rule the metric's
own.

A strong baseline: ranking mixtures by the target domain's own share gave a rank correlation of
.98 on one published table. A surrogate that does not beat it has learnt nothing of interactions between
domains.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.statistics import first_lowest
from engine.surrogates.base import Spanned, centre_and_spread, least_squares, masks, noise_of
from engine.surrogates.linear import with_constant

FLOOR = 1e-3  # shares below count as this
PENALTY = 1e-4


@dataclass(kw_only=True)
class OwnShare(Spanned):
    """domain (M,): the one that counts; line (M, 2): constant and slope; root (M, 2, 2) of their
    covariance.
    """

    title = "Own share"
    summary = "One domain per metric, the one that explains it best: the baseline of every surrogate."
    complexity = 0

    domain: np.ndarray
    line: np.ndarray
    root: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        domains, metrics = weights.shape[1], losses.shape[1]
        lines, roots = np.empty((domains, metrics, 2)), np.empty((domains, metrics, 2, 2))
        noise = np.empty((domains, metrics))
        for which, rows in masks(losses):
            mean, spread = centre_and_spread(losses[np.ix_(rows, which)])
            targets = (losses[np.ix_(rows, which)] - mean) / spread
            for domain, logs in enumerate(np.log(weights[rows].T + FLOOR)):
                line, root, residuals = least_squares(with_constant(logs[:, None]), targets, PENALTY)
                lines[domain, which] = line.T * spread[:, None]
                lines[domain, which, 0] += mean
                noise[domain, which] = noise_of(residuals * spread, spread)
                roots[domain, which] = root * np.sqrt(noise[domain, which])[:, None, None]
        best, each = first_lowest(noise.T), np.arange(metrics)  # by leave-one-out error
        return cls(noise=noise[best, each], domain=best, line=lines[best, each], root=roots[best, each])

    def mean(self, weights):
        return self.line[:, 0] + self.line[:, 1] * np.log(np.asarray(weights)[:, self.domain] + FLOOR)

    def factor(self, weights):
        logs = np.log(np.asarray(weights)[:, self.domain] + FLOOR)
        return self.root[None, :, 0] + logs[:, :, None] * self.root[None, :, 1]
