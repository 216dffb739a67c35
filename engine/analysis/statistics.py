"""Statistics of a few measured mixtures: noise between seeds, what tells two apart, how well predictions rank them.

P mixtures, S seeds.
"""

import numpy as np

from engine.spec.statistics import ordered, spearman

DRAWS = 2000


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
    from scipy.special import stdtrit

    freedom = sum(len(values) - 1 for values in measured)
    return float(stdtrit(max(1, freedom), 1 - 0.025 / max(1, len(measured) - 1)))


def rank_correlation(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(...,) Spearman over the last axis; 0 where either does not vary."""
    found: np.ndarray = np.nan_to_num(spearman(measured, predicted))
    return found


def interval(predicted: np.ndarray, mean: np.ndarray, error: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% of the rank correlation: mixtures drawn with replacement, and their means shaken by the seeds' noise."""
    rng, drawn, shaken = np.random.default_rng(seed), [], []
    for _ in range(DRAWS):
        rows = rng.integers(len(mean), size=len(mean))
        if len(np.unique(rows)) > 2:
            drawn.append(rows)
            shaken.append(mean[rows] + error[rows] * rng.standard_normal(len(rows)))
    low, high = np.quantile(rank_correlation(np.array(shaken), predicted[np.array(drawn)]), [0.025, 0.975])
    here = rank_correlation(mean, predicted)  # at its largest possible value every draw may lie below it
    return float(min(low, here)), float(max(high, here))


def overlap(predicted: np.ndarray, mean: np.ndarray, k: int) -> float:
    """Fraction of the predicted best k that are among the measured best k."""
    return len(set(ordered(predicted)[:k].tolist()) & set(ordered(mean)[:k].tolist())) / k


def overlap_interval(
    predicted: np.ndarray, mean: np.ndarray, error: np.ndarray, k: int, seed: int = 0
) -> tuple[float, float]:
    """95% of the overlap, drawn as in `interval`."""
    rng, size = np.random.default_rng(seed), (DRAWS, len(mean))
    shaken = mean + error * rng.standard_normal(size)  # first, so that a mixture drawn twice is tied with itself
    rows = rng.integers(len(mean), size=size)
    measured = np.take_along_axis(shaken, rows, axis=1)
    wanted, found = (ordered(values)[:, :k] for values in (predicted[rows], measured))
    drawn = (wanted[:, :, None] == found[:, None]).any(axis=2).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    here = overlap(predicted, mean, k)
    return float(min(low, here)), float(max(high, here))
