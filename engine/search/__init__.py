"""Search: the mixture with the lowest predicted losses, and how certain it is.

Very many mixtures are drawn around the prior and predicted; a method (engine/search/methods.py) takes the answer from
them. It comes with the near-optimal set, differences to the baselines with their noise, and a pool of draws for
trade-offs and targets (engine/search/pool.py). A point chosen because its prediction is lowest will
measure worse than predicted (the optimiser's curse): the near-optimal set says how much freedom the choice leaves.
N points, D domains, M metrics; the aggregate is better when lower.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.search.limits import Bounded, Kept, Limits
from engine.search.methods import DEFAULT_METHOD, METHODS, check_method
from engine.search.pool import Collector, Pool
from engine.space.simplex import Space
from engine.spec.statistics import first_lowest, lowest, ranks
from engine.surrogates.base import Surrogate
from engine.surrogates.prediction import Difference, Prediction, checked_priorities, difference, predict

CHUNK = 16_384  # mixtures at once: a few MB, and a few progress reports a second
LARGEST = 10_000_000  # draws: 4 D + 8 bytes each are kept
ELITE = 128  # best draws passed to a method

Progress = Callable[[float, float, str], None]


@dataclass(frozen=True)
class Price:
    """The cost of a mixture's text: prices (D,) per million unique tokens, available (D,) tokens, budget in tokens.

    A repeated token costs nothing again, so a domain costs price x min(share x budget, available).
    """

    prices: np.ndarray
    available: np.ndarray
    budget: float

    def of(self, shares: np.ndarray) -> np.ndarray:
        """(N,) cost of mixtures (N, D)."""
        cost: np.ndarray = np.minimum(np.asarray(shares, float) * self.budget, self.available) @ self.prices / 1e6
        return cost


@dataclass(frozen=True)
class NearOptimal:
    """The drawn mixtures whose predicted aggregate is within one standard deviation of the lowest.

    lowest, highest (D,): range of each domain's share among them; fraction of all draws; nearest_prior: the
    member with the smallest total variation distance to the prior, the smallest change that is not
    known to be worse; cheapest: the member with the cheapest text, and cheapest_price its cost (None without prices).
    """

    threshold: float
    count: int
    fraction: float
    lowest: np.ndarray
    highest: np.ndarray
    nearest_prior: Prediction
    cheapest: Prediction | None
    cheapest_price: float | None


@dataclass(frozen=True)
class Found:
    """found: the method's answer; best: the single lowest draw; differences by baseline name; price of the answer;
    kept: of the limits, None without any."""

    found: Prediction
    best: Prediction
    near_optimal: NearOptimal
    differences: dict[str, Difference]
    method: str
    draws: int
    seconds: float
    price: float | None
    kept: Kept | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        values: dict[str, Any] = plain(self)
        return values


def search(
    surrogate: Surrogate,
    space: Space,
    prior: np.ndarray,
    priorities: np.ndarray,
    *,
    method: str = DEFAULT_METHOD,
    baselines: dict[str, np.ndarray] | None = None,
    n: int = 1_000_000,
    seed: int = 0,
    price: Price | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> tuple[Found, Pool]:
    """Draw n mixtures around the prior, predict them, and take the answer from them by a method.

    prior (D,) weights of the Dirichlet's centre; priorities (M,): signed weights, negative where higher is better
    (engine.spec.objectives.Aggregate.weights); method: a name of engine.search.methods.METHODS; baselines: name ->
    shares (D,). Epoch caps are upper bounds of the space. Draws outside the bounds are projected onto them.
    limits: on metrics, which a run at the answer is to keep with the probability SURE; where no draw does, the answer
    is the one that is nearest to it, and `kept` tells its chance.
    progress(done, total, note) after each chunk. Raises Problem if priorities, n or the method are invalid.
    """
    started = time.monotonic()
    metric_weights = checked_priorities(priorities, len(surrogate.noise))
    check_method(method, surrogate, metric_weights, limits is not None)
    if not ELITE <= n <= LARGEST:
        raise Problem(f"Cannot search {n!r} draws: use {ELITE:,} to {LARGEST:,}.")
    rng = np.random.default_rng(seed)
    bounded = Bounded(surrogate, metric_weights, limits)
    points, scores, pool = _draw(surrogate, space, prior, bounded, n, rng, progress)
    elite = space.project(points[lowest(scores, ELITE)].astype(float))
    answer = METHODS[method](bounded.score, space, prior, elite, rng)
    answer = bounded.best(np.concatenate([answer[None], elite]))
    top = predict(surrogate, elite[0], metric_weights)
    near = _near_optimal(surrogate, space, prior, metric_weights, points, scores, top, price)
    differences = {
        name: difference(surrogate, answer, np.asarray(shares, float), metric_weights)
        for name, shares in (baselines or {}).items()
    }
    seconds, cost = time.monotonic() - started, None if price is None else float(price.of(answer[None])[0])
    found = predict(surrogate, answer, metric_weights)
    return Found(found, top, near, differences, method, n, seconds, cost, bounded.told(answer)), pool


def _draw(
    surrogate: Surrogate,
    space: Space,
    prior: np.ndarray,
    bounded: Bounded,
    n: int,
    rng: np.random.Generator,
    progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray, Pool]:
    """float32 draws (n, D), their scores (n,), and the pool of some of them with all metrics; of those that keep the
    limits, where any does."""
    points, scores = np.empty((n, len(prior)), np.float32), np.empty(n)
    collectors: list[Collector] = []
    for start in range(0, n, CHUNK):
        chunk = space.draw(prior, min(CHUNK, n - start), rng)
        mean = surrogate.mean(chunk)
        if not collectors:
            bounded.learn(chunk, mean)
            spread = np.maximum(mean.std(axis=0), 1e-9)
            several = range(1 if bounded.limits is None else 2)  # of all draws, and of those that keep the limits
            collectors = [Collector(bounded.weights, spread, np.random.default_rng(0)) for _ in several]
        collectors[0].add(chunk, mean)
        if bounded.limits is not None and (rows := bounded.roughly_inside(mean)).sum() > 1:
            collectors[1].add(chunk[rows], mean[rows])
        points[start : start + len(chunk)] = chunk
        scores[start : start + len(chunk)] = bounded.rough(mean)
        if progress:
            progress(min(n, start + CHUNK), n, f"{min(n, start + CHUNK):,} mixtures predicted")
    kept = [one for one in collectors[1:] if len(one.rest)]
    return points, scores, (kept or collectors)[0].pool()


def _near_optimal(
    surrogate: Surrogate,
    space: Space,
    prior: np.ndarray,
    metric_weights: np.ndarray,
    points: np.ndarray,
    scores: np.ndarray,
    top: Prediction,
    price: Price | None,
) -> NearOptimal:
    threshold = top.aggregate + top.aggregate_std
    inside = points[(scores <= threshold) | (scores == scores.min())]
    distance = np.abs(inside - prior.astype(np.float32)).sum(axis=1, dtype=float)
    nearest = predict(surrogate, _clean(inside[first_lowest(distance)], space), metric_weights)
    cheapest, cost = None, None
    if price is not None:
        costs = price.of(inside)
        cheapest = predict(
            surrogate, _clean(inside[np.lexsort((ranks(distance), ranks(costs)))[0]], space), metric_weights
        )
        cost = float(price.of(cheapest.shares[None])[0])
    return NearOptimal(
        threshold,
        len(inside),
        len(inside) / len(points),
        inside.min(axis=0).astype(float),
        inside.max(axis=0).astype(float),
        nearest,
        cheapest,
        cost,
    )


def _clean(point: np.ndarray, space: Space) -> np.ndarray:
    """A float32 draw as exact shares (D,)."""
    exact: np.ndarray = space.project(np.asarray(point, float)[None])[0]
    return exact


def plain(value: Any) -> Any:
    """Dataclasses and arrays as JSON-able values."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value
