"""One value of a metric from its history over a run: the last one, the best, or the mean of the last few."""

import math
from collections.abc import Sequence

import numpy as np

LAST, BEST, SMOOTHED = "last", "best", "smoothed"
CHOICES = {
    LAST: "the last row of each run; a column without a value there keeps the last one it had",
    BEST: "the best value that each metric had in a run: of many looks the best looks a little better than it is",
    SMOOTHED: "the mean of each metric over the last tenth of a run's values, three at least",
}
PART, FEWEST = 10, 3  # the last 1 / PART of the values, and at least FEWEST of them


def reduced(values: Sequence[float] | np.ndarray, how: str, higher: bool) -> float:
    """A metric's value, of its values (S,) in order; NaN where none is a number. higher: whether that is better."""
    found = np.asarray(values, float)
    found = found[np.isfinite(found)]
    if not len(found):
        return math.nan
    if how == BEST:
        return float(found.max() if higher else found.min())
    if how == SMOOTHED:
        return float(found[-max(FEWEST, math.ceil(len(found) / PART)) :].mean())
    return float(found[-1])
