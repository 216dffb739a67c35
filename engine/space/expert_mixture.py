"""The mixture of experts that predicts text best, from the probabilities that one expert per domain gives each token.

MixMin (Thudi et al. 2025, arXiv:2502.10510) and mixtures of data experts (Belenki et al. 2025, arXiv:2502.15950): with
an expert of every domain, the model of a mixture is taken to be the experts' average by its shares. What that average
loses on text is convex in the shares, so it needs no further training, and is minimised by exponentiated gradient
(Kivinen and Warmuth 1997). N tokens, K experts.
"""

from dataclasses import dataclass

import numpy as np

STEPS, NEAR = 2000, 1e-4  # steps at most; how far above the minimum is near enough, in the unit of the costs


@dataclass(frozen=True)
class Lowest:
    """shares (K,); loss: of the average there, in the unit of the costs; gap: how far above the minimum that may lie at
    most, by the gradient (Frank and Wolfe 1956)."""

    shares: np.ndarray
    loss: float
    gap: float


def loss_of(probabilities: np.ndarray, costs: np.ndarray, shares: np.ndarray) -> float:
    """What the average of the experts loses: minus the sum of costs (N,) times the logarithms of the probabilities
    (N, K) that it gives the tokens, averaged by shares (K,)."""
    return float(-(costs * np.log(probabilities @ shares)).sum())


def lowest(probabilities: np.ndarray, costs: np.ndarray, steps: int = STEPS, near: float = NEAR) -> Lowest:
    """The shares at which the average of the experts loses least.

    probabilities (N, K), above 0; costs (N,), at least 0: what a nat of each token costs. The step grows while the loss
    falls and is halved where it would rise, so none has to be chosen.
    """
    counted = costs > 0
    probabilities, costs = probabilities[counted], costs[counted]
    shares = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    loss, rate, gap = loss_of(probabilities, costs, shares), 1.0, np.inf
    for _ in range(steps):
        gain = probabilities.T @ (costs / (probabilities @ shares))  # (K,) minus the gradient
        gap = float(gain.max() - shares @ gain)
        if gap <= near:
            break
        while rate > 1e-9:
            tried = shares * np.exp(rate * (gain - gain.max()))
            tried /= tried.sum()
            there = loss_of(probabilities, costs, tried)
            if there <= loss:
                shares, loss, rate = tried, there, 1.5 * rate
                break
            rate /= 2
    return Lowest(shares, loss, gap)
