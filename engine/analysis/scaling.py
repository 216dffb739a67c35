"""From small to large: two ways over shares and fidelity, and the check that each must pass at the largest size.

One is the process over all sizes (engine/analysis/sizes.py), the other one law,
L(p, N, T) = c + exp(t . p - a log N - b log T): the log-linear law of data mixing (arXiv:2403.16952) whose factor
falls as a power of parameters and tokens, as in the scaling laws of Hoffmann et al. (2022). R runs, D domains,
M metrics; fidelity (R, 2): parameters of the model and tokens that it saw.
"""

from dataclasses import dataclass

import numpy as np

from engine.analysis.size_notes import notes_at
from engine.analysis.size_plan import FLOPS
from engine.analysis.sizes import Sizes
from engine.analysis.statistics import interval, rank_correlation
from engine.core.errors import Problem
from engine.spec.sizes import sizes_of
from engine.spec.statistics import ci_half_width, first_lowest, ordered, weighted_sum
from engine.surrogates.log_linear import LogLinear

FEWEST_HELD = 4  # runs at the largest size, for a check that says anything
SAME_SIZE = 0.05  # sizes whose compute differs by less, in natural logarithms, are one


@dataclass(frozen=True)
class JointLaw:
    """A law fitted over shares and fidelity. centre, spread (2,): of log parameters and log tokens in the runs."""

    law: LogLinear
    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def fit(cls, weights: np.ndarray, fidelity: np.ndarray, losses: np.ndarray) -> "JointLaw":
        """weights (R, D), fidelity (R, 2) above 0, losses (R, M) with NaN. Raises Problem as Surrogate.fit does."""
        logs = np.log(np.asarray(fidelity, float))
        centre, spread = logs.mean(axis=0), logs.std(axis=0)
        joint = cls(None, centre, np.where(spread > 1e-6, spread, np.inf))
        return cls(LogLinear.fit(joint._inputs(weights, fidelity), losses), joint.centre, joint.spread)

    def predict(self, weights: np.ndarray, fidelity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (N, M) at weights (N, D) and fidelity (N, 2)."""
        return self.law.predict(self._inputs(weights, fidelity))

    def _inputs(self, weights: np.ndarray, fidelity: np.ndarray) -> np.ndarray:
        """(N, D + 2); a fidelity that never varies has no part in it."""
        return np.concatenate([weights, (np.log(np.asarray(fidelity, float)) - self.centre) / self.spread], axis=1)


@dataclass(frozen=True)
class Way:
    """How one way of extrapolating did at the largest size, which it had not seen.

    rank, rank_interval: Spearman of the aggregate, with 95%; relative_error (M,): root mean square, relative to the
    spread between runs there; inside_95: fraction of measured metrics inside the 95% interval; notes: what has to be
    known of its predictions; predicted (H,): aggregates.
    """

    title: str
    rank: float
    rank_interval: tuple[float, float]
    relative_error: np.ndarray
    inside_95: float
    notes: tuple[str, ...]
    predicted: np.ndarray


@dataclass(frozen=True)
class Check:
    """Ways of extrapolating, fitted without the largest size and asked about it, the one that misses least first.

    sizes: compute 6 N T of each size, smallest first, runs: how many there are of each; small_rank: Spearman of the
    law fitted on the next smaller size alone, which knows nothing of scale. level: whether the loss itself was
    extrapolated (two sizes or more below), or only its order; measured (H,): aggregates at the largest size; refused:
    title -> why a way could not be fitted.
    """

    sizes: list[float]
    runs: list[int]
    ways: list[Way]
    small_rank: float
    level: bool
    measured: np.ndarray
    refused: dict[str, str]


def compute_of(fidelity: np.ndarray) -> np.ndarray:
    """(R,) FLOPs of runs."""
    found: np.ndarray = FLOPS * np.prod(np.asarray(fidelity, float), axis=1)
    return found


def groups_of(fidelity: np.ndarray) -> np.ndarray:
    """(R,) number of each run's size, 0 the smallest, by compute 6 N T."""
    compute = np.log(compute_of(fidelity))
    order = np.argsort(compute, kind="stable")
    steps = np.r_[0, np.diff(compute[order]) > SAME_SIZE].cumsum()
    sizes = np.empty(len(order), int)
    sizes[order] = steps
    return sizes


def check(weights: np.ndarray, fidelity: np.ndarray, losses: np.ndarray, metric_weights: np.ndarray) -> Check:
    """Hold out the largest size, fit on the others, compare. metric_weights (M,): signed weights of the aggregate.

    Raises Problem where no size is known, or there is one only, or fewer than 4 whole runs at the largest.
    """
    if not len(losses):
        raise Problem("Cannot extrapolate over scale: no run states its size and tokens. Import them with the runs.")
    whole = ~np.isnan(losses[:, metric_weights != 0]).any(axis=1)
    size = groups_of(fidelity)
    held = (size == size.max()) & whole
    if size.max() == 0:
        raise Problem(
            "Cannot extrapolate over scale: all runs have one size. Confirm a candidate at a larger one, or import "
            "runs of several sizes."
        )
    if held.sum() < FEWEST_HELD:
        raise Problem(
            f"Cannot check the extrapolation: {held.sum()} runs are at the largest size, and {FEWEST_HELD} are the "
            "fewest. Confirm more mixtures there."
        )
    below, next_size = size < size.max(), size == size.max() - 1
    known, asked = (weights[below], fidelity[below], losses[below]), (weights[held], fidelity[held])
    signs = np.where(metric_weights < 0, -1.0, 1.0)
    ways, refused = [], {}
    for title, way in WAYS.items():
        try:
            ways.append(_judged(title, way(*known, signs, *asked), losses[held], metric_weights))
        except Problem as problem:
            refused[title] = str(problem)
    small = LogLinear.fit(weights[next_size], losses[next_size]).mean(weights[held])
    compute = compute_of(fidelity)
    measured = weighted_sum(losses[held], metric_weights)
    return Check(
        [float(np.median(compute[size == k])) for k in range(size.max() + 1)],
        np.bincount(size).tolist(),
        [ways[k] for k in ordered(np.array([np.median(way.relative_error) for way in ways]))],
        float(rank_correlation(measured, weighted_sum(small, metric_weights))),
        bool(size.max() >= 2),
        measured,
        refused,
    )


Forecast = tuple[np.ndarray, np.ndarray, tuple[str, ...]]  # mean, std (H, M), notes


def by_process(
    weights: np.ndarray, fidelity: np.ndarray, losses: np.ndarray, signs: np.ndarray, at: np.ndarray, there: np.ndarray
) -> Forecast:
    """The process over all sizes, at weights (H, D) and fidelity (H, 2)."""
    sizes = Sizes.fit(weights, fidelity, losses, signs)
    mean, std = np.empty((2, len(at), losses.shape[1]))
    notes: dict[str, None] = {}
    for place in np.unique(there, axis=0):
        rows, found = (there == place).all(axis=1), sizes.at(*place.tolist())
        mean[rows], std[rows] = found.predict(at[rows])
        notes |= dict.fromkeys(found.notes)
    return mean, std, tuple(notes)


def by_law(
    weights: np.ndarray, fidelity: np.ndarray, losses: np.ndarray, signs: np.ndarray, at: np.ndarray, there: np.ndarray
) -> Forecast:
    """The joint law. It names what its own intervals do not know: numbers that rise together, and how far it goes."""
    sizes, _ = sizes_of(fidelity)
    places = np.array([one.place for one in sizes], float)
    farthest = there[first_lowest(-np.log(there).sum(axis=1))]
    notes, _ = notes_at(sizes, np.array([one.runs for one in sizes]), places, farthest)
    return *JointLaw.fit(weights, fidelity, losses).predict(at, there), tuple(notes)


WAYS = {"One process over all sizes": by_process, "Log-linear law over shares and size": by_law}


def _judged(title: str, forecast: Forecast, losses: np.ndarray, metric_weights: np.ndarray) -> Way:
    """How predictions did against the losses (H, M) that were measured."""
    mean, std, notes = forecast
    predicted, measured = weighted_sum(mean, metric_weights), weighted_sum(losses, metric_weights)
    missed = losses - mean
    error = np.sqrt(np.nanmean(missed**2, axis=0))
    return Way(
        title,
        float(rank_correlation(measured, predicted)),
        interval(predicted, measured, np.zeros(len(measured))),
        error / np.maximum(np.nanstd(losses, axis=0), 1e-12),
        float((np.abs(missed) <= ci_half_width(std))[~np.isnan(missed)].mean()),
        notes,
        predicted,
    )
