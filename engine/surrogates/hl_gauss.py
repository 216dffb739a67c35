"""HL-Gauss: regression by classification ("Stop Regressing", arXiv:2403.03950).

A network gives a histogram over bins of the loss. Its target is the measured loss smeared by a Gaussian of 0.75 bin
widths; it is trained by cross-entropy, and predicts the histogram's mean. The histogram's own width is its uncertainty,
at least that of a bin.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.network import Network

BINS, REACH = 32, 4.5  # standard deviations on either side of the mean
EDGES = np.linspace(-REACH, REACH, BINS + 1)
CENTRES = (EDGES[:-1] + EDGES[1:]) / 2
SMEAR = 0.75 * (EDGES[1] - EDGES[0])


@dataclass(kw_only=True)
class HLGauss(Network):
    """Outputs: logits of the bins."""

    title = "HL-Gauss network"
    summary = "A small network that predicts a histogram of each loss: its uncertainty may have any shape."
    complexity = 7
    outputs = BINS

    @classmethod
    def gradient(cls, outputs, targets, progress):
        from scipy.special import ndtr

        below = ndtr((EDGES - np.clip(targets, -REACH, REACH)[..., None]) / SMEAR)
        wanted = np.diff(below, axis=-1)
        return softmax(outputs) - wanted / wanted.sum(axis=-1, keepdims=True)

    def reading(self, outputs):
        mean, variance = spread_of(outputs)
        return mean, np.maximum(variance - (self.noise / self.spread**2)[:, None], 1e-3 * variance)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    parts = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return parts / parts.sum(axis=-1, keepdims=True)


def spread_of(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the histograms of logits (..., BINS)."""
    shares = softmax(logits)
    mean = shares @ CENTRES
    return mean, np.maximum(shares @ CENTRES**2 - mean**2, 1e-8)
