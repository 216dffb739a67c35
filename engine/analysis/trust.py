"""How well small proxies predict larger models: results of `confirm` compared with predictions.

Confirmation trains the chosen mixture, the baselines and a spread of others at a larger size with repeated seeds.
Everything here is about these few mixtures, so everything has an interval. P mixtures, S seeds; aggregates are better
when lower.
"""

from dataclasses import dataclass

import numpy as np

from engine.analysis.statistics import interval, margin, overlap, overlap_interval, pooled_noise, rank_correlation
from engine.core.errors import Problem
from engine.spec.statistics import first_lowest, ordered


@dataclass(frozen=True)
class Trust:
    """The comparison of larger models with predictions from small ones.

    rank: Spearman between predicted and measured aggregates, rank_interval: 95%, over mixtures and seeds; top: of the
    predicted best k (`k`), the fraction that is among the measured best k, top_interval: its 95%; regret: how much
    worse the mixture that the prediction would choose measures than the best measured one, regret_std of that; gap,
    gap_std: predicted minus measured at the chosen mixture, relative to the mean of all mixtures (sizes differ in
    level), positive where it measures better than predicted; noise: standard deviation between seeds; best: row of the
    lowest measured mean, and rivals: rows tied with it within noise (the best among them). seeds (P,): runs behind
    each.
    """

    rank: float
    rank_interval: tuple[float, float]
    k: int
    top: float
    top_interval: tuple[float, float]
    regret: float
    regret_std: float
    gap: float
    gap_std: float
    noise: float | None
    measured: np.ndarray
    measured_std: np.ndarray
    best: int
    rivals: list[int]
    seeds: np.ndarray


def trust(predicted: np.ndarray, predicted_std: np.ndarray, measured: list[np.ndarray], chosen: int) -> Trust:
    """Compare predicted aggregates (P,) and their standard deviations with those measured, one array of seeds each.

    chosen: the row of the mixture that was nominated. Raises Problem for fewer than three mixtures.
    """
    if len(measured) < 3:
        raise Problem(
            f"Cannot compare the proxies with {len(measured)} larger mixtures: at least 3 are needed. "
            "Confirm more, or wait for those that train."
        )
    counts = np.array([len(values) for values in measured])
    mean = np.array([values.mean() for values in measured])
    noise = pooled_noise(measured)
    error = np.zeros(len(mean)) if noise is None else noise / np.sqrt(counts)
    k = max(1, len(mean) // 3)
    best, pick = int(first_lowest(mean)), int(first_lowest(predicted))
    apart = margin(measured) * np.sqrt(error**2 + error[best] ** 2)
    rivals = [int(i) for i in ordered(mean) if noise is None or mean[i] - mean[best] <= apart[i]]
    level = predicted - predicted.mean(), mean - mean.mean()
    return Trust(
        float(rank_correlation(mean, predicted)),
        interval(predicted, mean, error),
        k,
        overlap(predicted, mean, k),
        overlap_interval(predicted, mean, error, k),
        float(mean[pick] - mean[best]),
        float(np.hypot(error[pick], error[best])),
        float(level[0][chosen] - level[1][chosen]),
        float(np.hypot(predicted_std[chosen], error[chosen])),
        noise,
        mean,
        error,
        best,
        rivals,
        counts,
    )
