"""How far small proxies speak for larger models: what `confirm` measured, held against what was predicted.

Confirmation trains the chosen mixture, the baselines and a spread of others at a larger size with repeated seeds.
Everything here is about these few mixtures, so everything has an interval. P mixtures, S seeds; aggregates are better
when lower.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem

DRAWS = 2000


@dataclass(frozen=True)
class Trust:
    """What the larger models say of the small ones.

    rank: Spearman between predicted and measured aggregates, rank_interval: 95%, over mixtures and seeds; top: of the
    predicted best k (`k`), the share that is among the measured best k; regret: how much worse the mixture that the
    prediction would choose measures than the best measured one, regret_std of that; gap, gap_std: predicted minus
    measured at the chosen mixture, relative to the mean of all mixtures (sizes differ in level), positive where it
    measures better than predicted; noise: standard deviation between seeds; best: row of the lowest measured mean,
    and rivals: rows that the noise cannot tell from it (the best among them). seeds (P,): runs behind each.
    """

    rank: float
    rank_interval: tuple[float, float]
    k: int
    top: float
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

    chosen: the row of the mixture that was put forward. Raises Problem for fewer than three mixtures.
    """
    if len(measured) < 3:
        raise Problem(
            f"Cannot say how far to trust the proxies from {len(measured)} larger mixtures: at least 3 are needed. "
            "Confirm more, or wait for those that train."
        )
    counts = np.array([len(values) for values in measured])
    mean = np.array([values.mean() for values in measured])
    noise = pooled_noise(measured)
    error = np.zeros(len(mean)) if noise is None else noise / np.sqrt(counts)
    k = max(1, len(mean) // 3)
    best, pick = int(mean.argmin()), int(predicted.argmin())
    apart = margin(measured) * np.sqrt(error**2 + error[best] ** 2)
    rivals = [int(i) for i in np.argsort(mean) if noise is None or mean[i] - mean[best] <= apart[i]]
    level = predicted - predicted.mean(), mean - mean.mean()
    return Trust(
        spearman(predicted, mean),
        interval(predicted, mean, error),
        k,
        overlap(predicted, mean, k),
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


def pooled_noise(measured: list[np.ndarray]) -> float | None:
    """Standard deviation between seeds, pooled over mixtures; None where no mixture has two."""
    repeated = [values for values in measured if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if not freedom:
        return None
    return float(np.sqrt(sum(((values - values.mean()) ** 2).sum() for values in repeated) / freedom))


def margin(measured: list[np.ndarray]) -> float:
    """How many standard errors the best must lie below another to be told apart at 95%, whichever of them is best:
    Student's t on the pooled degrees of freedom, for all comparisons at once (Bonferroni)."""
    from scipy.stats import t

    freedom = sum(len(values) - 1 for values in measured)
    return float(t.ppf(1 - 0.025 / max(1, len(measured) - 1), max(1, freedom)))


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation; 0 where either does not vary."""
    from scipy.stats import rankdata

    left, right = (rankdata(values) - (len(values) + 1) / 2 for values in (one, other))
    size = np.sqrt((left**2).sum() * (right**2).sum())
    return float(left @ right / size) if size > 1e-12 else 0.0


def interval(predicted: np.ndarray, mean: np.ndarray, error: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% of the rank correlation: mixtures drawn with replacement, and their means shaken by the seeds' noise."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        rows = rng.integers(len(mean), size=len(mean))
        if len(np.unique(rows)) > 2:
            found.append(spearman(predicted[rows], mean[rows] + error[rows] * rng.standard_normal(len(rows))))
    low, high = np.quantile(found, [0.025, 0.975])
    here = spearman(predicted, mean)  # at its largest possible value every draw may lie below it
    return float(min(low, here)), float(max(high, here))


def overlap(predicted: np.ndarray, mean: np.ndarray, k: int) -> float:
    """Share of the predicted best k that are among the measured best k."""
    return len(set(np.argsort(predicted)[:k].tolist()) & set(np.argsort(mean)[:k].tolist())) / k
