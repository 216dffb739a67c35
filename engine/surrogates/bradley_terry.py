"""Bradley-Terry and regression together: a network trained on each loss and on the order of pairs.

As in HelpSteer2-Preference (arXiv:2410.01257), which found that the two losses help each other: the squared error
gives the scores a unit, the logistic loss of pairs (Bradley and Terry 1952) trains their order, which a search relies
on. The uncertainty is that of the last layer's least squares on its hidden units.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.network import DECAY, Network

ORDER = 0.3  # weight of the pairs
SHARPNESS = 4.0  # a difference of one standard deviation makes odds of e^4
PARTNERS = (1, 2, 3, 5, 8, 13)  # each run of a minibatch is paired with the ones so many places on


@dataclass(kw_only=True)
class BradleyTerry(Network):
    """One output, the loss itself. root (M, H + 1, H + 1) of the last layer's covariance."""

    title = "Bradley-Terry and regression"
    summary = "A small network trained to order pairs of runs as well as to predict them."
    complexity = 7

    root: np.ndarray = None

    @classmethod
    def _learn(cls, weights, losses, seed):
        one = super()._learn(weights, losses, seed)
        hidden = one._forward(weights)[1]
        one.root = np.empty((len(hidden), hidden.shape[2], hidden.shape[2]))
        for m, rows in enumerate(~np.isnan(losses).T):
            inverse = np.linalg.inv(hidden[m][rows].T @ hidden[m][rows] + DECAY * rows.sum() * np.eye(hidden.shape[2]))
            one.root[m] = np.linalg.cholesky((inverse + inverse.T) / 2) * np.sqrt(one.noise[m])
        return one

    @classmethod
    def gradient(cls, outputs, targets, progress):
        scores = outputs[..., 0]
        found = scores - targets
        for places in PARTNERS:
            other, worse = np.roll(scores, places, axis=1), np.sign(targets - np.roll(targets, places, axis=1))
            wrong = 1 / (1 + np.exp(np.clip(SHARPNESS * worse * (scores - other), -30, 30)))
            pull = -ORDER * worse * wrong / len(PARTNERS)
            found = found + pull - np.roll(pull, -places, axis=1)
        return found[..., None]

    def reading(self, outputs):
        return outputs[..., 0], np.zeros(outputs.shape[:2])

    def _factor(self, weights: np.ndarray) -> np.ndarray:
        """(M, N, K)."""
        return self._forward(weights)[1] @ self.root

    def moments(self, weights):
        return self.mean(weights), (self._factor(weights) ** 2).sum(axis=2).T

    def covariance(self, weights):
        factor = self._factor(weights)
        return factor @ np.swapaxes(factor, 1, 2)
