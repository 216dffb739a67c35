"""Search: the mixture with the lowest predicted losses, and how much of that is known rather than hoped.

RegMix's search: draw very many mixtures around the prior, predict each, average the best few. Beside it, what
makes the answer honest: the near-optimal set, differences to the baselines with their noise, and how far from
any measured run the answer lies. A point chosen because its prediction is lowest will measure worse than
predicted (the optimiser's curse): the near-optimal set says how arbitrary the choice is.
N points, D domains, M metrics. Metrics are weighed with signs (engine/objectives.py): the aggregate is better when
lower, whatever they are.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from engine.design import dirichlet, normalised
from engine.errors import Problem
from engine.space import Space
from engine.surrogates import Surrogate

STRENGTHS = (0.5, 50.0)  # of the Dirichlet around the prior: from nearly one domain to nearly the prior
CHUNK = 16_384  # mixtures at once: a few MB, and a few progress reports a second
LARGEST = 10_000_000  # draws: 4 (D + 1) bytes each are kept


@dataclass(frozen=True)
class Prediction:
    """A mixture and what is predicted there: shares (D,), mean and std (M,) of a run's losses,
    aggregate and aggregate_std of their sum by signed weights."""

    shares: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    aggregate: float
    aggregate_std: float


@dataclass(frozen=True)
class NearOptimal:
    """The drawn mixtures whose predicted aggregate is within one standard deviation of the lowest.

    lowest, highest (D,): range of each domain's share among them; fraction of all draws; nearest_prior: the
    member with the smallest total variation distance to the prior, the least change that is not worse for all
    we know.
    """

    threshold: float
    count: int
    fraction: float
    lowest: np.ndarray
    highest: np.ndarray
    nearest_prior: Prediction


@dataclass(frozen=True)
class Difference:
    """Found minus baseline, negative where the found mixture is better: per metric (M,) and of the aggregate,
    each with the standard deviation of the difference between two measured runs.
    inside_noise: the aggregates differ by less than 1.96 of these: no claim is made."""

    baseline: Prediction
    mean: np.ndarray
    std: np.ndarray
    aggregate: float
    aggregate_std: float
    inside_noise: bool


@dataclass(frozen=True)
class Found:
    """found: the average of the best draws; best: the single lowest draw; differences by baseline name."""

    found: Prediction
    best: Prediction
    near_optimal: NearOptimal
    differences: dict[str, Difference]
    draws: int
    averaged: int
    seconds: float

    def to_dict(self) -> dict:
        """As JSON can hold it."""
        return plain(self)


def search(
    surrogate: Surrogate, space: Space, prior: np.ndarray, priorities: np.ndarray, *,
    baselines: dict[str, np.ndarray] | None = None, n: int = 1_000_000, best: int = 128, seed: int = 0,
    progress: Callable[[float, float, str], None] | None = None,
) -> Found:  # fmt: skip
    """RegMix's search (arXiv:2407.01492, section 3): average the `best` of n draws around the prior.

    prior (D,) weights of the Dirichlet's centre; priorities (M,): signed weights, negative where higher is better
    (engine.objectives.Aggregate.weights); baselines:
    name -> shares (D,). Epoch caps are upper bounds of the space (engine.baselines.epoch_caps). Draws outside
    the bounds are projected onto them. progress(done, total, note) after each chunk. Raises Problem for
    unusable priorities or n.
    """
    started = time.monotonic()
    prior, share = normalised(prior), checked_priorities(priorities, len(surrogate.noise))
    if not 1 <= best <= n <= LARGEST:
        raise Problem(
            f"Cannot average the best {best} of {n} draws: use 1 to {LARGEST:,} draws, and no more best than draws."
        )
    points, scores = _draw_and_score(surrogate, space, prior, share, n, seed, progress)
    order = np.argpartition(scores, best - 1)[:best]
    found = predict(surrogate, _clean(points[order].mean(axis=0), space), share)
    lowest = predict(surrogate, _clean(points[scores.argmin()], space), share)
    near = _near_optimal(surrogate, space, prior, share, points, scores, lowest)
    differences = {
        name: difference(surrogate, found.shares, np.asarray(shares, float), share)
        for name, shares in (baselines or {}).items()
    }
    return Found(found, lowest, near, differences, n, best, time.monotonic() - started)


def _draw_and_score(surrogate, space, prior, share, n, seed, progress) -> tuple[np.ndarray, np.ndarray]:
    """float32 draws (n, D) and their predicted aggregates (n,)."""
    rng = np.random.default_rng(seed)
    points, scores = np.empty((n, len(prior)), np.float32), np.empty(n, np.float32)
    for start in range(0, n, CHUNK):
        chunk = space.project(space.tied(dirichlet(prior, min(CHUNK, n - start), rng, STRENGTHS)))
        points[start : start + len(chunk)] = chunk
        scores[start : start + len(chunk)] = surrogate.mean(chunk) @ share
        if progress:
            progress(min(n, start + CHUNK), n, f"{min(n, start + CHUNK):,} mixtures predicted")
    return points, scores


def estimate_seconds(surrogate: Surrogate, space: Space, prior: np.ndarray, n: int) -> float:
    """How long `search` will take for n draws on this machine now, from one timed chunk. Takes well under a
    second with all surrogates but the trees."""
    size = min(n, CHUNK // 4)
    surrogate.mean(space.sample(2, np.random.default_rng(0)))  # what is done once is not counted
    started = time.perf_counter()
    share = np.full(len(surrogate.noise), 1 / len(surrogate.noise))
    _draw_and_score(surrogate, space, normalised(prior), share, size, 0, None)
    return (time.perf_counter() - started) * n / size


def checked_priorities(priorities: np.ndarray, metrics: int) -> np.ndarray:
    """(M,) signed weights as they are. Raises Problem where they are no weights."""
    share = np.asarray(priorities, float)
    if share.shape != (metrics,) or not np.isfinite(share).all() or not share.any():
        raise Problem(f"Cannot weigh the metrics by {share.tolist()}: give {metrics} numbers, not all of them 0.")
    return share


def predict(surrogate: Surrogate, shares: np.ndarray, share: np.ndarray) -> Prediction:
    """The prediction at one mixture (D,); share (M,): signed weights."""
    mean, std = surrogate.predict(shares[None])
    return Prediction(shares, mean[0], std[0], float(mean[0] @ share), _aggregate_std(surrogate, std[0], share))


def _aggregate_std(surrogate: Surrogate, std: np.ndarray, share: np.ndarray) -> float:
    """Standard deviation of the weighted mean of metrics whose errors hang together as cross-validation
    found.
    """
    weighted = std * share
    return float(np.sqrt(max(0.0, weighted @ surrogate.correlation @ weighted)))


def _near_optimal(surrogate, space, prior, share, points, scores, lowest: Prediction) -> NearOptimal:
    threshold = lowest.aggregate + lowest.aggregate_std
    inside = points[(scores <= threshold) | (scores == scores.min())]
    nearest = inside[np.abs(inside - prior.astype(np.float32)).sum(axis=1).argmin()]
    return NearOptimal(
        threshold, len(inside), len(inside) / len(points), inside.min(axis=0).astype(float),
        inside.max(axis=0).astype(float), predict(surrogate, _clean(nearest, space), share),
    )  # fmt: skip


def _clean(point: np.ndarray, space: Space) -> np.ndarray:
    """A float32 draw as exact shares (D,)."""
    return space.project(np.asarray(point, float)[None])[0]


def difference(surrogate: Surrogate, found: np.ndarray, baseline: np.ndarray, share: np.ndarray) -> Difference:
    """What a run at `found` (D,) is predicted to gain over one at `baseline` (D,). What the surrogate gets
    wrong at both points alike cancels; the noise of measuring does not: it counts twice."""
    mean, _ = surrogate.predict(np.stack([found, baseline]))
    std = difference_std(surrogate, found, baseline, noise=True)
    gap = mean[0] - mean[1]
    aggregate_std = _aggregate_std(surrogate, std, share)
    inside = bool(abs(gap @ share) <= 1.96 * aggregate_std)
    return Difference(predict(surrogate, baseline, share), gap, std, float(gap @ share), aggregate_std, inside)


def difference_std(surrogate: Surrogate, one: np.ndarray, other: np.ndarray, noise: bool) -> np.ndarray:
    """(M,) calibrated standard deviation of the predicted difference between two points (D,).

    noise: of two measured runs; without it, of the mean function alone.
    """
    covariance = surrogate.covariance(np.stack([one, other]))
    variance = np.maximum(covariance[:, 0, 0] + covariance[:, 1, 1] - 2 * covariance[:, 0, 1], 0)
    return surrogate.scale * np.sqrt(variance + 2 * surrogate.noise * noise)


def plain(value):
    """Dataclasses and arrays as JSON can hold them."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value
