"""Runs of several sizes as one study: one process over mixtures in common units, and a line to each size.

Co-kriging (Kennedy and O'Hagan 2000) without a term of its own for every size: the losses at a size are a level plus a
slope times what the mixture is worth in the units of the size with the most runs. So the runs of all sizes, mapped back
to those units and averaged by how much they tell, teach one Gaussian process; few large runs only place a line. A law
of diminishing returns has a third of the mean: the two err in different ways. Level and slope at a size without runs
follow a law over parameters and tokens (engine/analysis/curves.py).
R runs, D domains, M metrics, P different mixtures, S sizes; fidelity (R, 2): parameters and tokens, NaN where unknown.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from engine.analysis.curves import curve
from engine.analysis.size_notes import at_size, check_target, notes_at, outside, worse_than_smaller
from engine.core.errors import Problem
from engine.spec.sizes import Size, own_size, sizes_of
from engine.spec.statistics import ordered
from engine.surrogates.base import Surrogate
from engine.surrogates.gp import GP
from engine.surrogates.returns import Returns
from engine.surrogates.stack import Stack

FEWEST = 2  # runs that place a line at a size
SLOPE = 0.5  # standard deviation of a size's slope around 1, before its runs
PARTS = {"gp": 2 / 3, "returns": 1 / 3}  # of the mean
TRUSTED = 3.0  # runs that the noise known from the size with the most runs is worth at another


@dataclass(frozen=True)
class Lines:
    """Of each size and metric (S, M): level and its variance, slope and its variance, noise variance around the line,
    and the degrees of freedom (S,) behind it."""

    level: np.ndarray
    level_var: np.ndarray
    slope: np.ndarray
    slope_var: np.ndarray
    noise: np.ndarray
    freedom: np.ndarray


@dataclass(frozen=True)
class Sizes:
    """The fitted object. sizes: smallest first; process: of losses in the units of sizes[own]; centre (M,): of these
    losses, where the lines have their levels; lines; means (S, P, M): of the losses at each size and mixture (P, D)."""

    sizes: list[Size]
    own: int
    mixtures: np.ndarray
    means: np.ndarray
    process: Surrogate
    centre: np.ndarray
    lines: Lines
    troubles: tuple[str, ...]
    reversal: np.ndarray

    @classmethod
    def fit(cls, weights: np.ndarray, fidelity: np.ndarray, losses: np.ndarray, signs: np.ndarray) -> "Sizes":
        """weights (R, D), fidelity (R, 2), losses (R, M) with NaN; signs (M,): -1 where higher is better.

        Raises Problem for one size, sizes in two units, or too few runs at the size that has most.
        """
        sizes, which = sizes_of(fidelity)
        check_several(sizes, len(weights))
        mixtures, means = _by_mixture(weights, losses, which, len(sizes))
        own = own_size(sizes)
        troubles, means, reversal = worse_than_smaller(sizes, means, signs)
        if unknown := int((which < 0).sum()):
            troubles = (f"Runs without a size are left out: {unknown}.", *troubles)
        return _fitted(sizes, own, mixtures, means, troubles, reversal)

    @property
    def fingerprint(self) -> str:
        """A hash of the runs behind it, for caches."""
        return hashlib.sha256(self.mixtures.tobytes() + self.means.tobytes() + repr(self.sizes).encode()).hexdigest()[
            :16
        ]

    def resampled(self, rng: np.random.Generator) -> "Sizes":
        """The same from mixtures drawn with replacement: a bootstrap draw. The process keeps its hyperparameters."""
        counted = ~np.isnan(self.means).all(axis=(0, 2))
        rows = rng.choice(np.flatnonzero(counted), counted.sum())
        return _fitted(self.sizes, self.own, self.mixtures[rows], self.means[:, rows], (), self.reversal, self.process)

    def at(self, parameters: float | None, tokens: float | None) -> "AtSize":
        """Predictions at a size. Raises Problem where a number is missing, not one, or of another unit."""
        places = np.array([[np.nan if x is None else x for x in one.place] for one in self.sizes])
        target = check_target(places, parameters, tokens)
        mixtures = (~np.isnan(self.means).all(axis=2)).sum(axis=1)
        notes, widened = notes_at(self.sizes, mixtures, places, target)
        level, level_var, slope, slope_var, noise, freedom = self._line_at(np.nan_to_num(places, nan=1.0), target)
        level_var = level_var * widened**2 + self.reversal**2
        return AtSize(
            noise=noise,
            scale=np.full(len(noise), np.sqrt(freedom / (freedom - 2))),
            correlation=_shared(slope**2 * self.process.noise + noise, level_var),
            process=self.process,
            centre=self.centre,
            level=level,
            level_var=level_var,
            slope=slope,
            slope_var=slope_var * widened**2,
            notes=(*self.troubles, *notes),
            beyond=outside(places, target),
        )

    def _line_at(self, places: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
        """Level, its variance, slope, its variance, noise (M,) and degrees of freedom, at a size."""
        lines = self.lines
        same = np.flatnonzero(at_size(places, target))
        if len(same) and np.isfinite(lines.level[same[0]]).all():
            k = same[0]
            return *(getattr(lines, name)[k] for name in NAMES), lines.freedom[k]
        order = [k for k in ordered(np.log(places).sum(axis=1)) if np.isfinite(lines.level[k]).any()]
        found = []
        for m in range(lines.level.shape[1]):
            known = [k for k in order if np.isfinite(lines.level[k, m])]
            unit = abs(lines.level[known[-1], m]) or 1.0
            level = curve(places[known], lines.level[known, m], lines.level_var[known, m], target, unit)
            steep = np.maximum(lines.slope[known, m], 0.05)
            log_slope, var = curve(places[known], 1 + np.log(steep), lines.slope_var[known, m] / steep**2, target, 1.0)
            slope = np.exp(min(log_slope - 1, 3.0))
            found.append((*level, slope, slope**2 * var, lines.noise[known[-1], m] * (slope / steep[-1]) ** 2))
        return *np.array(found).T, lines.freedom[order[-1]]


NAMES = ("level", "level_var", "slope", "slope_var", "noise")


@dataclass(kw_only=True)
class AtSize(Surrogate):
    """The process at one size: level (M,) + slope (M,) x (process - centre (M,)); what is known of a line is common to
    all mixtures. notes: what has to be known of these predictions; beyond: whether it lies outside the runs' sizes."""

    title = "One process over all sizes"
    extrapolates = True

    process: Surrogate
    centre: np.ndarray
    level: np.ndarray
    level_var: np.ndarray
    slope: np.ndarray
    slope_var: np.ndarray
    notes: tuple[str, ...]
    beyond: bool

    @classmethod
    def _learn(cls, weights: np.ndarray, losses: np.ndarray, seed: int) -> "AtSize":
        raise TypeError("fit Sizes, and ask it for a size")

    def mean(self, weights: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.level + self.slope * (self.process.mean(weights) - self.centre)
        return found

    def moments(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, variance = self.process.moments(weights)
        off = mean - self.centre
        return self.level + self.slope * off, self.slope**2 * variance + self.level_var + self.slope_var * off**2

    def covariance(self, weights: np.ndarray) -> np.ndarray:
        off = (self.process.mean(weights) - self.centre).T
        lines = self.level_var[:, None, None] + self.slope_var[:, None, None] * off[:, :, None] * off[:, None, :]
        found: np.ndarray = self.slope[:, None, None] ** 2 * self.process.covariance(weights) + lines
        return found


def check_several(sizes: list[Size], runs: int) -> None:
    """Raises Problem unless there are several sizes."""
    if not sizes:
        raise Problem(
            f"Cannot predict at a size: none of the {runs} runs states its parameters or its tokens. Import them with "
            "the columns that do."
        )
    if len(sizes) == 1:
        raise Problem(
            f"Cannot predict at another size: all runs are of {sizes[0]}, and one size says nothing of others. "
            "Confirm mixtures at a larger one, or import runs of several sizes."
        )


def _fitted(
    sizes: list[Size],
    own: int,
    mixtures: np.ndarray,
    means: np.ndarray,
    troubles: tuple[str, ...],
    reversal: np.ndarray,
    like: Surrogate | None = None,
) -> Sizes:
    """Fit the process to the size with the most runs, place the lines, map all runs back, and fit it to all.

    like: a process whose hyperparameters are kept."""
    known = ~np.isnan(means[own]).all(axis=1)
    process = _process(mixtures[known], means[own][known], like)
    centre = np.nanmean(means[own][known], axis=0)
    lines = _lines(means, process, mixtures, centre)
    pooled = _pooled(means, lines, centre)
    some = ~np.isnan(pooled).all(axis=1)
    process = _process(mixtures[some], pooled[some], like)
    lines = _lines(means, process, mixtures, centre)
    return Sizes(sizes, own, mixtures, means, process, centre, lines, troubles, reversal)


def _process(mixtures: np.ndarray, losses: np.ndarray, like: Surrogate | None) -> Surrogate:
    """A process and a law of mixtures (P, D) and losses (P, M), averaged."""
    if like is not None:
        return like.again(mixtures, losses)
    return Stack.combined({"gp": GP.fit(mixtures, losses), "returns": Returns.fit(mixtures, losses)}, PARTS)


def _by_mixture(
    weights: np.ndarray, losses: np.ndarray, which: np.ndarray, sizes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The different mixtures (P, D), and the mean losses (S, P, M) at each size, NaN where there is none."""
    mixtures, places = np.unique(np.round(weights, 6), axis=0, return_inverse=True)
    total, count = (np.zeros((sizes, len(mixtures), losses.shape[1])) for _ in range(2))
    counted = which >= 0
    there, spots = np.isfinite(losses[counted]), (which[counted], places.ravel()[counted])
    np.add.at(total, spots, np.where(there, losses[counted], 0))
    np.add.at(count, spots, there)
    return mixtures / mixtures.sum(axis=1, keepdims=True), total / np.where(count, count, np.nan)


def _lines(means: np.ndarray, process: Surrogate, mixtures: np.ndarray, centre: np.ndarray) -> Lines:
    """The line of each size and metric on what the process says of its mixtures, NaN where it has under FEWEST runs."""
    worth = process.mean(mixtures) - centre
    shape = (len(means), len(centre))
    found, freedom = {name: np.full(shape, np.nan) for name in NAMES}, np.full(len(means), np.nan)
    for k, losses in enumerate(means):
        for m in range(len(centre)):
            there = np.isfinite(losses[:, m])
            if there.sum() >= FEWEST:
                values = _line(worth[there, m], losses[there, m], process.noise[m])
                for name, value in zip(NAMES, values, strict=True):
                    found[name][k, m] = value
        freedom[k] = TRUSTED + max(0, np.isfinite(losses).sum(axis=0).max() - 2)
    return Lines(**found, freedom=freedom)


def _line(x: np.ndarray, y: np.ndarray, noise: float) -> tuple[float, ...]:
    """Level at x = 0, its variance, slope around 1, its variance, and the noise, of values y over x; noise: that is
    expected where the slope is 1."""
    off, middle = x - x.mean(), y.mean()
    sized = off @ off
    weight = noise / SLOPE**2
    slope = (off @ (y - middle) + weight) / (sized + weight)
    missed = y - middle - slope * off
    own = max(slope, 0.1) ** 2 * noise
    noise = (TRUSTED * own + missed @ missed) / (TRUSTED + max(0, len(x) - 2))
    slope_var = noise / (sized + noise / SLOPE**2)
    return middle - slope * x.mean(), noise / len(x) + slope_var * x.mean() ** 2, slope, slope_var, noise


def _pooled(means: np.ndarray, lines: Lines, centre: np.ndarray) -> np.ndarray:
    """(P, M) the losses of all sizes mapped back to the units of one, averaged by how much each size tells."""
    slope = np.where(np.isnan(lines.slope), np.nan, np.maximum(lines.slope, 0.05))[:, None]
    back = centre + (means - lines.level[:, None]) / slope
    precision = np.where(np.isfinite(back), slope**2 / lines.noise[:, None], 0.0)
    total = precision.sum(axis=0)
    pooled: np.ndarray = (np.where(precision > 0, back, 0) * precision).sum(axis=0) / np.where(total > 0, total, np.nan)
    return pooled


def _shared(apart: np.ndarray, common: np.ndarray) -> np.ndarray:
    """(M, M) correlation of the metrics' errors: those of a size's levels go together, those of mixtures do not."""
    together = np.sqrt(np.outer(common, common))
    covariance = np.diag(apart) + together
    std = np.sqrt(np.diag(covariance))
    correlation: np.ndarray = covariance / np.outer(std, std)
    return correlation
