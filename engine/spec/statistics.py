"""Intervals; aggregates, ranks and choices that do not depend on rounding.

Sums that are mathematically equal differ in the last bits between machines, and between one product and a batch. So an
aggregate is computed in one way only, and values closer than a tolerance are tied: they share a rank, and the first of
them is chosen. N values, M metrics.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

Spread = TypeVar("Spread", float, np.ndarray)
Key = TypeVar("Key", bound=Hashable)

Z50, Z80, Z90, Z95 = 0.6745, 1.2816, 1.645, 1.96  # standard deviations within which lie as many % of a normal curve

TIED = 1e-9  # of the interquartile range
ROUNDING = 1e-12  # of a value's own size


def ci_half_width(std: Spread, deviations: float = Z95) -> Spread:
    """Half the width of the 95% interval of a normal error, in its unit; of another interval by its `deviations`."""
    half: Spread = deviations * std
    return half


SAME_POINT = 1e-6  # points whose coordinates differ by less are equal


def is_same_point(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two mixtures or merges (D,), or two schedules (F, D), are equal; one of each never is."""
    return one.shape == other.shape and bool(np.abs(one - other).max() <= SAME_POINT)


def weighted_sum(values: np.ndarray, metric_weights: np.ndarray) -> np.ndarray:
    """(...,) signed weighted sum of values (..., M); NaN where a metric that counts (weight not 0) is missing.

    Summed metric by metric, so the bits are the same alone and in a batch; those of a matrix product are not.
    """
    values = np.asarray(values, float)
    total = np.zeros(values.shape[:-1])
    for m in np.flatnonzero(metric_weights):
        total += metric_weights[m] * values[..., m]
    return total[()]


def groups(values: np.ndarray) -> np.ndarray:
    """(..., N) index of each value's group of tied values, 0 the lowest; NaN is last."""
    order, group = _sorted_groups(values)
    found = np.empty_like(group)
    np.put_along_axis(found, order, group, -1)
    return found


def ranks(values: np.ndarray) -> np.ndarray:
    """(..., N) ranks from 1 on along the last axis; tied values get their mean rank."""
    order, group = _sorted_groups(values)
    places = np.broadcast_to(np.arange(group.shape[-1]), group.shape)
    edge = np.diff(group, axis=-1) > 0
    ends = np.ones((*group.shape[:-1], 1), bool)[..., : group.shape[-1]]
    first = np.maximum.accumulate(np.where(np.concatenate([ends, edge], -1), places, 0), -1)
    last = np.where(np.concatenate([edge, ends], -1), places, group.shape[-1])
    last = np.minimum.accumulate(last[..., ::-1], -1)[..., ::-1]
    found = np.empty(group.shape)
    np.put_along_axis(found, order, (first + last) / 2 + 1, -1)
    return found


def ordered(values: np.ndarray) -> np.ndarray:
    """(..., N) places along the last axis from the lowest value to the highest; tied ones in their given order."""
    order, group = _sorted_groups(values)
    return np.take_along_axis(order, np.lexsort((order, group), axis=-1), -1)


def lowest(values: np.ndarray, count: int) -> np.ndarray:
    """The first `count` of `ordered` values (N,), without sorting all of them if few are wanted."""
    if 4 * count >= len(values):
        return ordered(values)[:count]
    found = np.flatnonzero(near(values, values.min(), np.partition(values, count)[count]))
    places: np.ndarray = found[ordered(values[found])][:count]
    return places


def near(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """(N,) where values may be no higher than `high`, ties among values from `low` to `high` counted."""
    reached: np.ndarray = values <= high + 2 * (ROUNDING * abs(high) + TIED * (high - low))
    return reached


def first_lowest(values: np.ndarray) -> np.ndarray:
    """(...,) the place of the lowest value along the last axis, of tied ones the first; NaN is never the lowest."""
    return ordered(values)[..., 0]


def lowest_key(values: Mapping[Key, float]) -> Key:
    """The key of the lowest value, of tied ones the first; NaN is never the lowest."""
    return list(values)[int(first_lowest(np.array(list(values.values()), float)))]


def no_higher(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) where values are lower than others, or tied with them."""
    low, high = np.quantile(others, [0.25, 0.75])
    lower: np.ndarray = values <= others + TIED * (high - low) + ROUNDING * np.abs(others)
    return lower


def spearman(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(...,) rank correlation along the last axis, NaN in `measured` left out.

    NaN if the measured values do not vary, 0 if the predictions do not.
    """
    missing = np.isnan(measured)
    left, right = (ranks(np.where(missing, np.nan, values)) for values in (measured, predicted))
    return correlation(left, right, (~missing).astype(float))


def counted_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(C, K, N) ranks of values (C, N) that count (C, K, N) times, as in K resamples: those of `ranks` on each resample
    less a half, without sorting any. NaN is last."""
    found = np.empty(counts.shape)
    for column, group in enumerate(groups(values)):
        of_group = counts[column] @ (group[:, None] == np.arange(group.max() + 1))  # (K, groups)
        middle = of_group.cumsum(axis=1) - of_group / 2
        found[column] = middle[:, group]
    return found


def correlation(measured: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(...,) correlation of ranks (..., N), each of which counts (..., N) times."""
    total = np.maximum(1, counts.sum(axis=-1, keepdims=True))
    left, right = (r - (counts * r).sum(axis=-1, keepdims=True) / total for r in (measured, predicted))
    varies, predicts = (counts * left**2).sum(axis=-1), (counts * right**2).sum(axis=-1)
    size = np.sqrt(varies * predicts)
    found = np.where(size > 1e-9, (counts * left * right).sum(axis=-1) / np.maximum(size, 1e-9), 0.0)
    return np.where(varies > 1e-9, found, np.nan)


def _sorted_groups(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (..., N) that sort the last axis, and the tied group of each sorted value."""
    values = np.asarray(values, float)
    values = np.where(np.isnan(values), np.inf, values)
    order = values.argsort(axis=-1, kind="stable")
    rising = np.take_along_axis(values, order, -1)
    known = np.maximum(np.isfinite(rising).sum(axis=-1, keepdims=True) - 1, 0)
    group = np.zeros(rising.shape, int)
    if rising.shape[-1] > 1:
        with np.errstate(invalid="ignore"):  # infinity minus infinity: tied
            low, high = (np.take_along_axis(rising, known * part // 4, -1) for part in (1, 3))
            spread = np.where(np.isfinite(high - low), high - low, 0)
            size = np.minimum(np.abs(rising[..., 1:]), np.abs(rising[..., :-1]))
            apart = np.diff(rising, axis=-1) > TIED * spread + ROUNDING * size
        group[..., 1:] = apart.cumsum(axis=-1)
    return order, group
