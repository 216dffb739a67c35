"""Proposals of next runs: where a trained proxy is expected to help most, and whether it is worth its time.

A proposer is a function (surrogate, space, metric_weights, pool (N, D), runs (R, D), count, seed) -> Proposal.
metric_weights (M,): the signed weights of the metrics in the aggregate, which is better when lower. D domains, M
metrics.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.space.simplex import Space
from engine.spec.statistics import first_lowest, lowest, ordered, weighted_sum
from engine.surrogates.base import Surrogate

DRAWS = 1024  # of the joint posterior
CANDIDATES = 320  # candidate mixtures for the batch
INCUMBENTS = 16  # best measured mixtures
NARROWED = (0.25, 0.1, 0.04)  # CLIMB: fraction of the pool that is left in the first, second and later rounds
RESAMPLES = 24
STEPS = 20_000  # of a lasso's descent, at most
FEWEST_RUNS = 12  # for the relevance of domains


@dataclass(frozen=True)
class Proposal:
    """points (B, D), most useful first; gain (B,): expected fall of the best true aggregate after the first b of
    them, were they measured without noise (0 where the proposer does not estimate it: None)."""

    points: np.ndarray
    gain: np.ndarray | None


def improvement(
    surrogate: Surrogate,
    space: Space,
    metric_weights: np.ndarray,
    pool: np.ndarray,
    runs: np.ndarray,
    count: int,
    seed: int,
) -> Proposal:
    """Noisy expected improvement in batches, by joint draws of the posterior (qNEI: Letham et al. 2019; BoTorch).

    In every draw the best so far is the lowest *true* aggregate of the measured mixtures, so a lucky measurement
    does not raise the bar. The batch is chosen greedily: each next mixture is the one that adds most to those chosen.
    """
    rng = np.random.default_rng(seed)
    candidates = _candidates(surrogate, space, metric_weights, pool, runs, rng)
    measured = np.unique(runs, axis=0)
    measured = measured[lowest(weighted_sum(surrogate.mean(measured), metric_weights), INCUMBENTS)]
    drawn = draws(surrogate, np.concatenate([measured, candidates]), metric_weights, rng)  # (S, I + N)
    bar, drawn = drawn[:, : len(measured)].min(axis=1), drawn[:, len(measured) :]
    chosen: list[int] = []
    gain: list[float] = []
    for _ in range(min(count, len(candidates))):
        value = np.maximum(bar[:, None] - drawn, 0).mean(axis=0)
        value[chosen] = -1
        pick = int(first_lowest(-value))
        gain.append(float(value[pick]))
        chosen.append(pick)
        bar = np.minimum(bar, drawn[:, pick])
    return Proposal(candidates[chosen], np.cumsum(gain))


def _candidates(
    surrogate: Surrogate,
    space: Space,
    metric_weights: np.ndarray,
    pool: np.ndarray,
    runs: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(N, D) different mixtures, half of them the predicted best, of which the surrogate knows something."""
    best = pool[lowest(weighted_sum(surrogate.mean(pool), metric_weights), CANDIDATES // 2)]
    others = pool[rng.choice(len(pool), min(len(pool), CANDIDATES - len(best)), replace=False)]
    found = space.project(np.unique(np.round(space.project(np.concatenate([best, others])), 6), axis=0))
    spread = weighted_sum(surrogate.mean(np.unique(runs, axis=0)), metric_weights).std()
    known: np.ndarray = found[is_informed(surrogate, found, metric_weights, spread)]
    return known


def thompson(
    surrogate: Surrogate,
    space: Space,
    metric_weights: np.ndarray,
    pool: np.ndarray,
    runs: np.ndarray,
    count: int,
    seed: int,
) -> Proposal:
    """Thompson sampling (1933): each next mixture is the best of one joint draw of what may be true.

    A draw that a mixture is chosen by may be thought of as its measurement, and the next as drawn given that one: for
    joint draws of a posterior that is the same as drawing each by itself (Kandasamy et al., arXiv:1705.09236).
    """
    rng = np.random.default_rng(seed)
    candidates = _candidates(surrogate, space, metric_weights, pool, runs, rng)
    chosen: list[int] = []
    for one in draws(surrogate, candidates, metric_weights, rng)[: min(count, len(candidates))]:
        one[chosen] = np.inf
        chosen.append(int(first_lowest(one)))
    return Proposal(candidates[chosen], None)


def climb(
    surrogate: Surrogate,
    space: Space,
    metric_weights: np.ndarray,
    pool: np.ndarray,
    runs: np.ndarray,
    count: int,
    seed: int,
    rounds_done: int = 0,
) -> Proposal:
    """CLIMB's rounds (arXiv:2504.13161): the pool is narrowed to the predicted best, further in every round, and the
    batch is spread over what is left, far from what was measured."""
    left = NARROWED[min(rounds_done, len(NARROWED) - 1)]
    keep = min(len(pool), max(int(left * len(pool)), 4 * count))
    narrowed = pool[lowest(weighted_sum(surrogate.mean(pool), metric_weights), keep)]
    distance = np.abs(narrowed[:, None] - runs[None]).sum(axis=2).min(axis=1) / 2
    chosen = []
    for _ in range(min(count, keep)):
        pick = int(first_lowest(-distance))
        chosen.append(pick)
        distance = np.minimum(distance, np.abs(narrowed - narrowed[pick]).sum(axis=1) / 2)
    points = space.project(narrowed[chosen])
    return Proposal(points[ordered(weighted_sum(surrogate.mean(points), metric_weights))], None)


def sources(
    surrogate: Surrogate,
    space: Space,
    metric_weights: np.ndarray,
    pool: np.ndarray,
    runs: np.ndarray,
    count: int,
    seed: int,
    losses: np.ndarray | None = None,
) -> Proposal:
    """Runs that tell most of the sources on which the metrics depend, for a new target that few runs measured.

    Each source's effort is its L1 relevance (`relevance`, arXiv:2306.02556); the batch is chosen greedily to lower the
    variance of the effects of log shares, weighed by effort (A-optimal design). losses (R, M) of the runs. Raises
    Problem as `relevance` does.
    """
    assert losses is not None  # the job hands them over
    effort = relevance(runs, losses, metric_weights, seed).effort
    logs = np.log(np.concatenate([runs, pool]) + 1e-3)
    known = np.isfinite(weighted_sum(losses, metric_weights))
    features = (logs - logs[: len(runs)].mean(axis=0)) / np.maximum(logs[: len(runs)].std(axis=0), 1e-9)
    there, pooled = features[: len(runs)][known], features[len(runs) :]
    covariance = np.linalg.inv(there.T @ there + np.eye(pool.shape[1]))
    chosen: list[int] = []
    for _ in range(min(count, len(pool))):
        moved = pooled @ covariance  # (N, D)
        fall = (moved**2 @ effort) / (1 + (moved * pooled).sum(axis=1))
        fall[chosen] = -1
        pick = int(first_lowest(-fall))
        chosen.append(pick)
        covariance = covariance - np.outer(moved[pick], moved[pick]) / (1 + moved[pick] @ pooled[pick])
    return Proposal(space.project(pool[chosen]), None)


PROPOSERS: dict[str, Callable[..., Proposal]] = {
    "improvement": improvement,
    "thompson": thompson,
    "climb": climb,
    "sources": sources,
}
TITLES = {
    "improvement": "Expected improvement: where the best may still be",
    "thompson": "Thompson sampling: each the best of a draw of what may be true",
    "climb": "CLIMB: spread over the predicted best",
    "sources": "Relevant sources: what tells most of a new target's effects",
}


def is_informed(surrogate: Surrogate, points: np.ndarray, metric_weights: np.ndarray, spread: float) -> np.ndarray:
    """(N,) where the surrogate is informative: its posterior std is below the standard deviation of the runs. Beyond,
    a law's linearised error promises losses that no model has."""
    std = surrogate.scale * np.sqrt(np.maximum(surrogate.moments(points)[1], 0)) * metric_weights
    posterior_std = np.sqrt(np.maximum(np.einsum("nm,mk,nk->n", std, surrogate.correlation, std), 0))
    informed: np.ndarray = posterior_std <= max(spread, posterior_std.min())
    return informed


def draws(surrogate: Surrogate, points: np.ndarray, metric_weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(DRAWS, N) joint draws of the true aggregate at points (N, D).

    Errors correlate within a metric by the surrogate's covariance, between metrics by cross-validation.
    """
    mean, covariance = surrogate.mean(points), surrogate.covariance(points)
    counted = np.flatnonzero(metric_weights)
    between = np.linalg.cholesky(surrogate.correlation[np.ix_(counted, counted)] + 1e-9 * np.eye(len(counted)))
    normal = np.einsum("mk,ksn->msn", between, rng.standard_normal((len(counted), DRAWS, len(points))))
    total = np.broadcast_to(weighted_sum(mean, metric_weights), (DRAWS, len(points))).copy()
    for place, m in enumerate(counted):
        total += metric_weights[m] * surrogate.scale[m] * (normal[place] @ root_of(covariance[m]).T)
    return total


def root_of(covariance: np.ndarray) -> np.ndarray:
    """(N, K) with root @ root.T = covariance (N, N), which may be singular: trees and laws span few directions."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root: np.ndarray = vectors * np.sqrt(np.maximum(values, 0))
    return root


@dataclass(frozen=True)
class Worth:
    """Whether a batch is worth its time: gain in aggregate units, hours of it, gain per hour, and `noise`, the
    standard deviation between two measurements of one mixture's aggregate. `stop`: the gain is too small to
    measure."""

    gain: float
    hours: float | None
    gain_an_hour: float | None
    noise: float
    stop: bool


def worth(gain: float, seconds: float | None, noise: float) -> Worth:
    """Whether a batch is worth running. Stop if the whole batch is expected to gain less than a quarter of the
    deviation between two measurements: detecting such a difference takes over a hundred repeats."""
    hours = None if seconds is None else seconds / 3600
    rate = None if not hours else gain / hours
    return Worth(gain, hours, rate, noise, gain < 0.25 * noise)


@dataclass(frozen=True)
class Relevance:
    """strength (D, M): size of each domain's lasso coefficient on each metric, standardised; support (D, M): fraction
    of resamples where it was not zero. effort (D,): fraction of the next round's sampling, by relevance."""

    strength: np.ndarray
    support: np.ndarray
    effort: np.ndarray

    @property
    def idle(self) -> np.ndarray:
        """(D,) domains that no counted metric depends on in at least half of the resamples."""
        idle: np.ndarray = np.less(self.support, 0.5).all(axis=1)
        return idle


def relevance(weights: np.ndarray, losses: np.ndarray, metric_weights: np.ndarray, seed: int = 0) -> Relevance:
    """L1 relevance of sources to targets (active multi-task representation learning, arXiv:2306.02556).

    A lasso of each counted metric on the log shares, its penalty by cross-validation on all runs, its support by
    bootstrap. weights (R, D), losses (R, M) with NaN, metric_weights (M,). Raises Problem where fewer than 12 runs
    have a metric that counts.
    """
    from sklearn.linear_model import Lasso, LassoCV

    counted = np.flatnonzero(metric_weights)
    fewest = int(np.isfinite(losses[:, counted]).sum(axis=0).min(initial=len(weights)))
    if fewest < FEWEST_RUNS:
        raise Problem(f"Cannot estimate which domains matter from {fewest} runs: at least {FEWEST_RUNS} are needed.")
    logs = np.log(weights + 1e-3)
    spread = logs.std(axis=0)
    features = (logs - logs.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)
    rng = np.random.default_rng(seed)
    strength, support = np.zeros((2, weights.shape[1], losses.shape[1]))
    for m in counted:
        rows = np.flatnonzero(~np.isnan(losses[:, m]))
        target = losses[rows, m] - losses[rows, m].mean()
        target /= max(target.std(), 1e-12)
        path = LassoCV(cv=5, random_state=seed, alphas=30, max_iter=STEPS)
        penalty = path.fit(features[rows], target).alpha_
        strength[:, m] = np.abs(Lasso(penalty, max_iter=STEPS).fit(features[rows], target).coef_)
        for _ in range(RESAMPLES):
            some = rng.integers(len(rows), size=len(rows))
            support[:, m] += Lasso(penalty, max_iter=STEPS).fit(features[rows][some], target[some]).coef_ != 0
    support /= RESAMPLES
    pull = strength @ np.abs(metric_weights)
    return Relevance(strength, support, pull / pull.sum() if pull.any() else np.full(len(pull), 1 / len(pull)))
