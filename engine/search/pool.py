"""The pool of a search: a few thousand of its draws with all their predicted metrics, for quick follow-up queries.

Trade-offs and targets ("these losses at most") are answered from it without a new search. It holds the best draws by
the aggregate, the best by each metric and by random weightings of them, and some of the rest. N points, D domains,
M metrics; `signs` (M,): 1 where lower is better, -1 where higher is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.system import DAMAGED
from engine.spec.statistics import first_lowest, groups, lowest, near, ordered, weighted_sum
from engine.surrogates.base import Surrogate

if TYPE_CHECKING:
    from engine.search.limits import Limits

WEIGHTINGS = 48  # random directions between the metrics
FRONT = 60  # members of a front that are kept


@dataclass(frozen=True)
class Pool:
    """points (N, D) mixtures; mean (N, M) predicted metrics."""

    points: np.ndarray
    mean: np.ndarray

    def save(self, path: Path) -> None:
        """Write the pool atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, open(part, "wb") as file:
            np.savez_compressed(file, points=self.points.astype(np.float32), mean=self.mean.astype(np.float32))

    @classmethod
    def load(cls, path: Path) -> "Pool":
        """Raises Problem if the file is missing or damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["points"].astype(float), file["mean"].astype(float))
        except DAMAGED as error:
            raise Problem(f"Cannot read the draws of this search: {error}. Search again.") from error


class Collector:
    """Collects a pool's draws, chunk by chunk.

    metric_weights (M,): signed weights of the metrics; spread (M,) scales them in the random weightings.
    """

    def __init__(self, metric_weights: np.ndarray, spread: np.ndarray, rng: np.random.Generator, keep: int = 48):
        signs = np.where(metric_weights < 0, -1.0, 1.0)
        mixed = rng.dirichlet(np.full(len(metric_weights), 0.5), WEIGHTINGS)
        self.directions = (
            np.concatenate([metric_weights[None], np.eye(len(metric_weights)) * signs, mixed * signs]) / spread
        )
        self.directions[0] = metric_weights
        self.quota = np.full(len(self.directions), keep)
        self.quota[0] = 1024
        self.points, self.mean = [np.empty((0, 0))] * len(self.directions), [np.empty((0, 0))] * len(self.directions)
        self.rest: list[tuple[np.ndarray, np.ndarray]] = []
        self.rng = rng

    def add(self, points: np.ndarray, mean: np.ndarray) -> None:
        """Add a chunk: points (n, D), their metrics (n, M)."""
        for k, quota in enumerate(self.quota):
            values, kept = weighted_sum(mean, self.directions[k]), len(self.points[k])
            if kept == quota:  # later chunks have little that is lower than what is kept
                low, high = weighted_sum(self.mean[k][[0, -1]], self.directions[k])
                first = np.flatnonzero(near(values, low, high))
                if not len(first):
                    continue
                first = first[lowest(values[first], quota)]
            else:
                first = lowest(values, min(quota, len(points) - 1))
            first_points = np.concatenate([self.points[k], points[first]]) if kept else points[first]
            first_mean = np.concatenate([self.mean[k], mean[first]]) if kept else mean[first]
            order = ordered(weighted_sum(first_mean, self.directions[k]))[:quota]
            self.points[k], self.mean[k] = first_points[order], first_mean[order]
        some = self.rng.integers(len(points), size=24)
        self.rest.append((points[some], mean[some]))

    def pool(self) -> Pool:
        """The pool, without repeats; the best by the aggregate come first."""
        points = np.concatenate([*self.points, *(p for p, _ in self.rest)])
        mean = np.concatenate([*self.mean, *(m for _, m in self.rest)])
        _, first = np.unique(np.round(points, 6), axis=0, return_index=True)
        first = np.sort(first)
        return Pool(points[first], mean[first])


def front(pool: Pool, metrics: list[int], signs: np.ndarray) -> np.ndarray:
    """The Pareto front of the pool in the metrics [at least 2], along the first; at most FRONT rows.

    Thinned to even steps of the first metric, both ends kept. Raises Problem for fewer than two metrics.
    """
    if len(set(metrics)) < 2:
        raise Problem(f"Cannot trade off {len(set(metrics))} metrics: choose two or three different ones.")
    costs = pool.mean[:, metrics] * signs[metrics]
    levels = np.stack([groups(column) for column in costs.T], axis=1)
    order = np.lexsort(levels.T[::-1])
    kept: list[int] = []
    for row in order:  # sorted by the first: only earlier ones can beat it
        if not kept or not (levels[kept] <= levels[row]).all(axis=1).any():
            kept.append(int(row))
    kept_rows = np.array(kept)
    if len(kept_rows) <= FRONT:
        return kept_rows
    along = costs[kept_rows, 0]
    places = np.searchsorted(along, np.linspace(along[0], along[-1], FRONT))
    return kept_rows[np.unique(np.clip(places, 0, len(kept_rows) - 1))]


@dataclass(frozen=True)
class Targets:
    """Which mixtures meet limits on the metrics.

    rows: the pool's rows examined, likeliest first; chance (rows,): probability that a run there meets every limit;
    expected: how many rows of the pool are predicted to meet all; lowest, highest (D,): range of shares among these
    (None if there are none); binding: the metric whose limit the likeliest row most probably misses.
    """

    rows: np.ndarray
    chance: np.ndarray
    expected: int
    lowest: np.ndarray | None
    highest: np.ndarray | None
    binding: int


def meet_targets(pool: Pool, surrogate: Surrogate, wanted: "Limits") -> Targets:
    """Inverse search: which mixtures meet limits? For losses "at most", for scores "at least".

    The chance that a measured run meets all limits at once is simulated, with cross-validated correlations between the
    metrics' errors. Raises Problem if no limit is set.
    """
    asked, limits, signs = wanted.places, wanted.values, wanted.signs
    if len(asked) == 0:
        raise Problem("Cannot look for mixtures: no limit is set. Set at least one.")
    over = (pool.mean[:, asked] - limits[asked]) * signs[asked]
    inside = (over <= 0).all(axis=1)
    spread = np.maximum(pool.mean[:, asked].std(axis=0), 1e-9)
    rows = lowest((over / spread).max(axis=1), 200)
    mean, std = surrogate.predict(pool.points[rows])
    root = np.linalg.cholesky(surrogate.correlation[np.ix_(asked, asked)] + 1e-9 * np.eye(len(asked)))
    noise = np.random.default_rng(0).standard_normal((2000, len(asked))) @ root.T
    margin = (limits[asked] - mean[:, asked]) * signs[asked] / wanted.spread(std)[:, asked]  # in standard deviations
    kept = noise[None] <= margin[:, None]
    chance = kept.all(axis=2).mean(axis=1)
    order = ordered(-chance)
    shares = pool.points[inside]
    low, high = (shares.min(axis=0), shares.max(axis=0)) if len(shares) else (None, None)
    binding = int(asked[first_lowest(margin[order[0]])])
    return Targets(rows[order], chance[order], int(inside.sum()), low, high, binding)
