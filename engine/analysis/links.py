"""How a task's score follows from a loss: a sigmoid between chance and a ceiling, with the noise of its items.

    score = chance + (1 - chance - missed) sigmoid(steepness (middle - loss))

as scaling studies link loss and accuracy (Gadre et al. 2024, arXiv:2403.08540, by an exponential; Llama 3,
arXiv:2407.21783, section 3.2.1, by a sigmoid). Each run's score is a share of so many items, so it is binomial; what
runs differ in beyond that makes the noise wider by `spread` (quasi-likelihood: McCullagh and Nelder 1989). The three
numbers stand on a grid and are averaged by their likelihood: where the runs leave them open, the interval says so. R
runs, P places, K points of the grid.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.spec.statistics import ROUNDING

FEWEST = 12  # runs that a link takes
STEEPNESS = (np.log(0.2), np.log(12.0))  # logarithm per standard deviation of the runs' losses: from, to
MIDDLE = (-6.0, 6.0)  # standard deviations from the mean loss
MISSED = (0.0, 0.5)  # of the way from chance to 1 that no loss reaches
STEPS = (19, 25, 7)  # of the grid, in each of the three
NARROWED = 3  # times that the grid is laid again where the likelihood is
NEGLIGIBLE = 1e-5  # of the highest likelihood
ODDS = 20.0  # by which the link must be likelier than a score that does not depend on the loss
PLACES = 60


@dataclass(frozen=True)
class Link:
    """losses (P,): from the lowest of the runs to the highest; mean, low, high (P,): the expected score there and its
    95% interval; ceiling (3,): the score that no loss exceeds, with its interval; spread: how much wider than binomial
    the runs scatter (standard deviations, at least 1); odds: how much likelier it is than no link at all; runs: how
    many it rests on."""

    losses: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ceiling: np.ndarray
    spread: float
    odds: float
    runs: int

    @property
    def linked(self) -> bool:
        """Whether the runs show that the score follows the loss."""
        return self.odds >= ODDS


def link(losses: np.ndarray, scores: np.ndarray, items: int, chance: float) -> Link:
    """The link of scores (R,), shares of so many items, to losses (R,); NaN in either leaves the run out.

    Raises Problem for fewer than 12 runs, or losses that do not vary.
    """
    known = np.isfinite(losses) & np.isfinite(scores)
    losses, scores = losses[known], np.clip(scores[known], 0, 1)
    if len(losses) < FEWEST or not np.ptp(losses) > ROUNDING * np.abs(losses).max():
        raise Problem(
            f"Cannot link a score to a loss from {len(losses)} runs: {FEWEST} whose losses differ are the fewest."
        )
    scale = (losses - losses.mean()) / losses.std()
    grid = _grid(np.array([STEEPNESS, MIDDLE, MISSED]).T)
    told, spread = _told(grid, scale, scores, items, chance)
    flat = _likelihood(_expected(grid, np.zeros(1), chance), scores, items)  # the same levels, without a slope
    odds = np.exp(np.clip((_averaged(told / spread) - _averaged(flat / spread)), -50, 50))
    for _ in range(NARROWED):
        grid = _grid(_around(grid, told / spread))
        told, spread = _told(grid, scale, scores, items, chance)
    weights = np.exp((told - told.max()) / spread)
    keep = weights > NEGLIGIBLE
    places = np.linspace(scale.min(), scale.max(), PLACES)
    weights = weights[keep] / weights[keep].sum()
    mean, low, high = _interval(_expected(grid[keep], places, chance), weights)
    ceiling = np.ravel(_interval(chance + (1 - chance) * (1 - grid[keep, 2:]), weights))
    own = losses.mean() + places * losses.std()
    return Link(own, mean, low, high, ceiling, float(np.sqrt(spread)), float(odds), len(losses))


def _grid(ends: np.ndarray) -> np.ndarray:
    """(K, 3) the points between ends (2, 3)."""
    axes = [np.linspace(low, high, steps) for low, high, steps in zip(*ends, STEPS, strict=True)]
    found: np.ndarray = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return found


def _around(grid: np.ndarray, told: np.ndarray) -> np.ndarray:
    """(2, 3) the ends of the part of a grid that is likely, with a step around it, within the first grid."""
    likely = grid[told - told.max() > np.log(NEGLIGIBLE)]
    step = np.ptp(grid, axis=0) / (np.array(STEPS) - 1)
    first = np.array([STEEPNESS, MIDDLE, MISSED]).T
    found: np.ndarray = np.clip([likely.min(axis=0) - step, likely.max(axis=0) + step], first[0], first[1])
    return found


def _told(
    grid: np.ndarray, scale: np.ndarray, scores: np.ndarray, items: int, chance: float
) -> tuple[np.ndarray, float]:
    """The log-likelihood (K,) of each point, and how many times wider than binomial the scores' variance is."""
    expected = _expected(grid, scale, chance)
    told = _likelihood(expected, scores, items)
    best = expected[told.argmax()]
    pearson = items * (scores - best) ** 2 / (best * (1 - best))
    return told, max(1.0, float(pearson.sum() / (len(scores) - 3)))


def _expected(grid: np.ndarray, scale: np.ndarray, chance: float) -> np.ndarray:
    """(K, R) the score at standardised losses (R,), for each point of the grid (K, 3); never quite 0 or 1."""
    steep, middle, missed = (grid[:, column, None] for column in range(3))
    found = chance + (1 - chance) * (1 - missed) / (1 + np.exp(np.clip(-np.exp(steep) * (middle - scale), -50, 50)))
    bounded: np.ndarray = np.clip(found, 1e-3, 1 - 1e-3)
    return bounded


def _likelihood(expected: np.ndarray, scores: np.ndarray, items: int) -> np.ndarray:
    """(K,) binomial log-likelihood of scores (R,), without what does not depend on the point."""
    found: np.ndarray = items * (np.log(expected) * scores + np.log1p(-expected) * (1 - scores)).sum(axis=1)
    return found


def _averaged(told: np.ndarray) -> float:
    """The logarithm of the mean likelihood."""
    return float(np.log(np.mean(np.exp(told - told.max()))) + told.max())


def _interval(curves: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and the 2.5% and 97.5% quantiles (P,) of curves (K, P) that weigh (K,)."""
    order = np.argsort(curves, axis=0, kind="stable")
    rising, below = np.take_along_axis(curves, order, 0), weights[order].cumsum(axis=0)
    ends = [np.take_along_axis(rising, (below >= level).argmax(axis=0)[None], 0)[0] for level in (0.025, 0.975)]
    return weights @ curves, ends[0], ends[1]
