"""Scores of held-out predictions: rank correlation, error, coverage, regret, and their noise.

R runs, M metrics, F repeats of cross-validation. metric_weights (M,): signed weights of the metrics, negative
where higher is better, so that the aggregate is better when lower.
"""

import numpy as np

from engine.spec.statistics import correlation, first_lowest, groups, spearman, weighted_sum

LEVELS = {"50": 0.674490, "80": 1.281552, "95": 1.959964}  # nominal coverage in percent -> standard deviations
DRAWS = 200  # bootstrap draws over runs


def rank_correlations(losses: np.ndarray, predicted: np.ndarray, metric_weights: np.ndarray) -> np.ndarray:
    """(..., 2 + M) Spearman of the aggregate, the mean over metrics, and each metric; inputs (..., R, M).

    The aggregate is over runs that have every metric that counts. A metric that does not vary cannot be ranked: it is
    NaN, and stays out of the mean. A prediction that does not vary ranks nothing: 0.
    """
    each = spearman(np.moveaxis(losses, -1, 0), np.moveaxis(predicted, -1, 0))
    whole = spearman(weighted_sum(losses, metric_weights), weighted_sum(predicted, metric_weights))
    known = ~np.isnan(each)
    mean = np.where(known, each, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return np.stack([whole, mean, *each], axis=-1)


def score_of(ranks: np.ndarray) -> np.ndarray:
    """(...,) the leaderboard's sort key, of rank correlations (..., 2 + M): the mean of the first two."""
    whole, mean = ranks[..., 0], ranks[..., 1]
    return np.where(np.isnan(whole), mean, (whole + mean) / 2)


def bootstrap(losses: np.ndarray, predicted: np.ndarray, metric_weights: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS, 2) score and mean Spearman on runs drawn with replacement; the same draws for every surrogate.

    A draw is how often each run is in it. Runs are sorted once, and their ranks in a draw are sums of these counts: the
    same numbers as from sorting every draw, fifty times sooner. losses, predicted (R, M).
    """
    runs = len(losses)
    drawn = np.random.default_rng(seed).integers(0, runs, (DRAWS, runs))
    counts = np.stack([np.bincount(rows, minlength=runs) for rows in drawn]).astype(float)
    each = np.array([_drawn_spearman(x, y, counts) for x, y in zip(losses.T, predicted.T, strict=True)])
    whole = _drawn_spearman(weighted_sum(losses, metric_weights), weighted_sum(predicted, metric_weights), counts)
    known = ~np.isnan(each)
    mean = np.where(known, each, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return np.stack([score_of(np.stack([whole, mean], axis=1)), mean], axis=1)


def drawn_regrets(losses: np.ndarray, predicted: np.ndarray, metric_weights: np.ndarray, seed: int) -> np.ndarray:
    """(DRAWS,) how much worse the run with the lowest prediction is than the best one, among runs drawn with
    replacement; the same draws for every surrogate. 0 where no run has all that count. losses, predicted (R, M)."""
    measured = weighted_sum(losses, metric_weights)
    whole = np.isfinite(measured)
    if not whole.any():
        return np.zeros(DRAWS)
    measured, wanted = measured[whole], weighted_sum(predicted[whole], metric_weights)
    drawn = np.random.default_rng(seed).integers(0, len(measured), (DRAWS, len(measured)))
    picked = np.take_along_axis(drawn, first_lowest(wanted[drawn])[:, None], axis=1)[:, 0]
    regrets: np.ndarray = measured[picked] - measured[drawn].min(axis=1)
    return regrets


def _drawn_spearman(measured: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B,) rank correlations of (R,) and (R,), NaN in measured left out, run r taken counts (B, R)[:, r] times."""
    known = ~np.isnan(measured)
    counts = counts[:, known]
    return correlation(*(_drawn_ranks(values[known], counts) for values in (measured, predicted)), counts)


def _drawn_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B, R) mean ranks of values (R,) of which each is there counts (B, R) times."""
    group = groups(values)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    if not len(starts):
        return np.zeros_like(counts)
    held = np.add.reduceat(counts[:, order], starts, axis=1)
    return (held.cumsum(axis=1) - (held - 1) / 2)[:, group]


def coverage(standardised: np.ndarray) -> dict[str, float]:
    """Nominal percent -> fraction of the measured losses inside that interval."""
    measured = np.abs(standardised[~np.isnan(standardised)])
    return {level: float((measured <= width).mean()) for level, width in LEVELS.items()}


def scale_of(missed: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(M,) calibration factors of standard deviations (F, R, M), from held-out errors.

    A spread from few errors is itself uncertain: 1.96 standard deviations are as wide as Student's interval for as many
    degrees of freedom as runs have the metric, less one. With 16 runs that is 9% wider, with 100 1%.
    """
    from scipy.special import stdtrit

    found = np.sqrt(np.nanmean((missed / std) ** 2, axis=(0, 1)))
    freedom = np.maximum(1, (~np.isnan(missed)).any(axis=0).sum(axis=0) - 1)
    widened = found * stdtrit(freedom, 0.975) / LEVELS["95"]
    return np.maximum(widened, 1e-6)  # a metric that never varies is predicted exactly


def regret_of(losses: np.ndarray, mean: np.ndarray, metric_weights: np.ndarray) -> float | None:
    """How much worse the run with the lowest prediction is than the best one, averaged over repeats (F, R, M)."""
    aggregate = weighted_sum(losses, metric_weights)
    whole = np.isfinite(aggregate)
    if not whole.any():
        return None
    picked = first_lowest(weighted_sum(mean[:, whole], metric_weights))
    return float((aggregate[whole][picked] - aggregate[whole].min()).mean())


def error_correlation(standardised: np.ndarray) -> np.ndarray:
    """(M, M) correlation of errors (R, M), shrunk towards none by R / (R + 10)."""
    runs, metrics = standardised.shape
    if runs < 3:
        return np.eye(metrics)
    second = standardised.T @ standardised / runs
    size = np.sqrt(np.maximum(np.diag(second), 1e-300))
    return np.eye(metrics) + (second / np.outer(size, size) - np.eye(metrics)) * runs / (runs + 10)


def numbers(values: np.ndarray) -> list:
    """(N,) as JSON-able values: None for NaN."""
    return [None if np.isnan(value) else float(value) for value in values]
