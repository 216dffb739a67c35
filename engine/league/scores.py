"""Scores of held-out predictions: rank correlation, error, coverage, regret, and their noise.

R runs, M metrics, F repeats of cross-validation. metric_weights (M,): signed weights of the metrics, negative
where higher is better, so that the aggregate is better when lower.
"""

import numpy as np

from engine.spec.statistics import Z50, Z80, Z95, correlation, first_lowest, groups, spearman, weighted_sum

LEVELS = {"50": Z50, "80": Z80, "95": Z95}  # nominal coverage in percent -> standard deviations
HELD = "95"  # the level that `scale_of` makes true, and that pages show
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
    """(DRAWS, 3 + M) score, Spearman's mean over metrics, of the aggregate, and of each metric, on runs drawn with
    replacement; the same draws for every surrogate.

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
    return np.stack([score_of(np.stack([whole, mean], axis=1)), mean, whole, *each], axis=1)


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
    return correlation(_drawn_ranks(measured[known], counts), _drawn_ranks(predicted[known], counts), counts)


def _drawn_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(B, R) mean ranks of values (R,) of which each is there counts (B, R) times."""
    group = groups(values)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    if not len(starts):
        return np.zeros_like(counts)
    held = np.add.reduceat(counts[:, order], starts, axis=1)
    return (held.cumsum(axis=1) - (held - 1) / 2)[:, group]


def coverage(standardised: np.ndarray, widths: dict[str, float] = LEVELS) -> dict[str, float]:
    """Nominal percent -> fraction of the measured losses inside that interval; widths: in standard deviations."""
    measured = np.abs(standardised[~np.isnan(standardised)])
    return {level: float((measured <= width).mean()) for level, width in widths.items()}


def widths_of(standardised: np.ndarray) -> dict[str, float]:
    """Nominal percent -> half the interval, in calibrated standard deviations, from held-out errors in these.

    Errors of surrogates have heavier tails than a normal curve: where 95% lie within `Z95` deviations, 85 to 88 and not
    80 lie within 1.28 (RegMix's runs). So each level below takes its own quantile of the errors (split conformal
    prediction: Vovk, Gammerman and Shafer 2005), of all metrics together, since one has too few for a tail. The
    method's (R + 1) / R is left out: held-out fits have fewer runs than the last one and err more, which makes up for
    it.
    """
    measured = np.abs(standardised[~np.isnan(standardised)])
    if not len(measured):
        return dict(LEVELS)
    own = {level: float(np.quantile(measured, float(level) / 100)) for level in LEVELS if level != HELD}
    return {level: min(width, LEVELS[HELD]) for level, width in own.items()} | {HELD: LEVELS[HELD]}


def scale_of(missed: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(M,) calibration factors of standard deviations (F, R, M), from held-out errors.

    A spread from few errors is itself uncertain: `Z95` standard deviations are as wide as Student's interval for as
    many degrees of freedom as runs have the metric, less one. With 16 runs that is 9% wider, with 100 1%.
    """
    from scipy.special import stdtrit

    found = np.sqrt(np.nanmean((missed / std) ** 2, axis=(0, 1)))
    freedom = np.maximum(1, (~np.isnan(missed)).any(axis=0).sum(axis=0) - 1)
    widened = found * stdtrit(freedom, 0.975) / LEVELS[HELD]
    scale: np.ndarray = np.maximum(widened, 1e-6)  # a metric that never varies is predicted exactly
    return scale


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
    between = second / np.outer(size, size) - np.eye(metrics)
    found: np.ndarray = np.eye(metrics) + between * runs / (runs + 10)
    return found
