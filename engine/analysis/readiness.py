"""Whether a metric can be steered by the mixture at all, from runs that repeat a mixture with other seeds.

    reliability = 1 - variance between repeats / variance between mixtures

Single runs differ by their mixture and by their noise; the reliability is the part that the mixture explains. It is
judged by its 95% lower bound (the ratio of two variances, by the F distribution), pooled over all mixtures that were
repeated: with 4 repeats pure noise passes .3 in 45% of cases. R runs, M metrics, D coordinates.
"""

from dataclasses import dataclass

import numpy as np

from engine.analysis.statistics import pooled_noise
from engine.spec.statistics import ROUNDING

STEER, GUARD = 0.6, 0.3  # lower bounds from which a metric may be an objective, and a limit
FEWEST = 20  # repeats below which nothing is said: with 16 a reliability of .8 is called unsteerable in 8 of 100
LEVEL = 0.95
SHUFFLES = 100  # of each metric's values over the runs, as if metrics were unrelated
CAN, LIMIT, CANNOT, UNKNOWN = "can be steered", "limit only", "cannot be steered", "not known"


@dataclass(frozen=True)
class Readiness:
    """reliability: estimate, None without repeats; low: its 95% lower bound; repeats: comparisons behind it (runs that
    repeat another one's mixture); runs: mixtures behind the variance between them."""

    reliability: float | None
    low: float | None
    repeats: int
    runs: int

    @property
    def verdict(self) -> str:
        """CAN, LIMIT, CANNOT, or UNKNOWN with fewer than FEWEST repeats."""
        if self.low is None or self.repeats < FEWEST:
            return UNKNOWN
        return CAN if self.low >= STEER else LIMIT if self.low >= GUARD else CANNOT

    @property
    def missing(self) -> int:
        """How many more repeats it takes to say something."""
        return max(0, FEWEST - self.repeats)


def readiness(weights: np.ndarray, values: np.ndarray) -> list[Readiness]:
    """Of each metric (M,), from runs at weights (R, D) and their values (R, M), NaN where missing."""
    place = np.unique(np.round(weights, 6), axis=0, return_inverse=True)[1].ravel()
    return [_of_one(place, column) for column in values.T]


def _of_one(place: np.ndarray, values: np.ndarray) -> Readiness:
    """Of one metric: place (R,) of each run's mixture, values (R,)."""
    known = np.isfinite(values)
    place, values = place[known], values[known]
    names, first = np.unique(place, return_index=True)
    parts = [values[place == name] for name in names]
    repeats, noise = sum(len(part) - 1 for part in parts), pooled_noise(parts)
    if noise is None or len(names) < 3:
        return Readiness(None, None, repeats, len(names))
    between = float(np.var(values[first], ddof=1))  # of single runs: their mixture and their noise
    if between == 0:
        return Readiness(0.0, 0.0, repeats, len(names))
    ratio = noise**2 / between
    from scipy.special import fdtri

    low = 1 - ratio * float(fdtri(len(names) - 1, repeats, LEVEL))
    return Readiness(1 - ratio, low, repeats, len(names))


@dataclass(frozen=True)
class Components:
    """The first two directions in which metrics move together over runs. loadings (2, M): of standardised metrics, the
    largest positive; explained (2,): parts of their variance; unrelated (2,): what these parts stay below in 95 of 100
    cases where no metric moves with another (parallel analysis: Horn 1965); runs: how many they rest on."""

    loadings: np.ndarray
    explained: np.ndarray
    unrelated: np.ndarray
    runs: int

    @property
    def directions(self) -> int:
        """How many of the two are more than chance: 2 where an average of all metrics follows neither group."""
        return int(np.minimum.accumulate(self.explained > self.unrelated).sum())


def components(values: np.ndarray) -> Components | None:
    """Of metrics over runs (R, M) without NaN: None with fewer than three runs or two metrics that vary."""
    spread = values.std(0) if len(values) else np.zeros(values.shape[1])
    varies = spread > ROUNDING * np.abs(values).max(0, initial=0)  # the mean of equal values may differ in its last bit
    if len(values) < 3 or varies.sum() < 2:
        return None
    unit = np.where(varies, values - values.mean(0), 0) / np.where(varies, spread, 1.0)
    _, sizes, rows = np.linalg.svd(unit, full_matrices=False)
    found = np.zeros((2, values.shape[1]))
    found[: len(rows[:2])] = rows[:2]
    signs = np.sign(found[np.arange(2), np.abs(found).round(9).argmax(1)])
    rng = np.random.default_rng(0)
    shuffled = [_explained(np.linalg.svd(rng.permuted(unit, axis=0), compute_uv=False)) for _ in range(SHUFFLES)]
    return Components(
        found * np.where(signs == 0, 1, signs)[:, None],
        _explained(sizes),
        np.quantile(shuffled, LEVEL, axis=0),
        len(values),
    )


def _explained(sizes: np.ndarray) -> np.ndarray:
    """(2,) the parts of the variance in the first two directions, of singular values."""
    found = np.zeros(2)
    found[: len(sizes[:2])] = sizes[:2] ** 2 / np.sum(sizes**2)
    return found
