"""Effects of domains by leaving them out, on worlds whose effects are known; rows and combinations left out."""

import numpy as np
import pytest

from engine.analysis.left_out import by_runs, by_surrogate, contrast_of, points_without, without
from engine.analysis.rows import (
    Shares,
    domain_row,
    judge_combinations,
    judge_domain_rows,
    judge_metric_rows,
    logs,
    metric_row,
)
from engine.core.errors import Problem
from engine.surrogates.gp import GP

DOMAINS, METRICS, NOISE = 5, 8, 0.01
NOISES = np.full(METRICS, NOISE)
PRIOR = np.array([0.3, 0.25, 0.2, 0.15, 0.1])


class World:
    """Metrics that follow three skills, which domains teach with diminishing returns; the first two help each other."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.teaches = self.rng.dirichlet(np.full(3, 0.7), DOMAINS)  # (D, skills)
        self.needs = self.rng.dirichlet(np.full(3, 0.7), METRICS).T  # (skills, M)

    def true(self, points: np.ndarray) -> np.ndarray:
        points = np.atleast_2d(points)
        skill = np.log(0.05 + points @ self.teaches)
        return 2 - 0.3 * skill @ self.needs - 0.4 * np.sqrt(points[:, :1] * points[:, 1:2]) * (np.arange(METRICS) % 2)

    def runs(self, points: np.ndarray) -> np.ndarray:
        found = self.true(points)
        return found + NOISE * self.rng.standard_normal(found.shape)

    def design(self, count: int) -> np.ndarray:
        """Mixtures of which about a third lack each domain."""
        points = self.rng.dirichlet(np.ones(DOMAINS), count) * (self.rng.random((count, DOMAINS)) < 0.7)
        points[points.sum(axis=1) == 0] = PRIOR
        return points / points.sum(axis=1, keepdims=True)


def effects(world: World, several) -> np.ndarray:
    return np.array([sum(sign * world.true(point)[0] for sign, point in contrast_of(PRIOR, one)) for one in several])


def test_mixtures_without_domains():
    np.testing.assert_allclose(without(np.array([0.5, 0.3, 0.2]), (0,)), [0, 0.6, 0.4])
    np.testing.assert_allclose(without(np.array([0.5, 0.3, 0.2]), (0, 2)), [0, 1, 0])
    several, points = points_without(np.array([0.6, 0.4, 0.0]))
    assert several == [(0,), (1,)] and points.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert points_without(np.array([0.6, 0.4, 0.0]), pairs=True)[0] == [], "nothing would be left"
    with pytest.raises(Problem, match="nothing is left"):
        without(np.array([0.6, 0.4]), (0, 1))


@pytest.mark.parametrize("pairs", [False, True])
def test_runs_without_a_domain_tell_its_effect_with_an_interval_that_holds(pairs):
    held = []
    for seed in range(30):
        world = World(seed)
        several, points = points_without(PRIOR, pairs)
        singles = points_without(PRIOR)[1]
        weights = np.vstack([PRIOR, PRIOR, PRIOR, singles, points])
        found = by_runs(weights, world.runs(weights), NOISES, np.full(METRICS, 20), PRIOR, several)
        truth = effects(world, several)
        held.append((np.abs(found.effect - truth) <= found.half).mean())
    assert 0.92 <= np.mean(held) <= 0.99


def test_where_no_run_or_no_noise_tells_nothing_is_told():
    world = World()
    several, _ = points_without(PRIOR)
    weights = np.vstack([PRIOR, PRIOR, without(PRIOR, (2,))])
    losses = world.runs(weights)
    losses[2, 3] = np.nan
    found = by_runs(weights, losses, NOISES, np.full(METRICS, 5), PRIOR, several)
    assert np.isfinite(found.effect[2]).sum() == METRICS - 1 and np.isnan(found.effect[[0, 1, 3, 4]]).all()
    assert not found.certain[0].any()
    unknown = np.full(METRICS, np.nan)
    assert np.isnan(by_runs(weights, losses, unknown, np.ones(METRICS, int), PRIOR, several).effect).all()


def test_a_surrogate_tells_domains_and_that_two_help_each_other():
    world = World(3)
    points = world.design(120)
    fit = GP.fit(points, world.runs(points))
    several, _ = points_without(PRIOR)
    found, truth = by_surrogate(fit, PRIOR, several), effects(world, several)
    assert np.corrcoef(found.effect.ravel(), truth.ravel())[0, 1] > 0.95
    assert (np.sign(found.effect) == np.sign(truth))[found.certain].mean() > 0.95
    pairs, _ = points_without(PRIOR, pairs=True)
    together, real = by_surrogate(fit, PRIOR, pairs), effects(world, pairs)
    assert np.corrcoef(together.effect.ravel(), real.ravel())[0, 1] > 0.7
    assert (together.half > 0).all()


def test_a_new_metric_is_a_combination_of_the_others_and_few_runs_tell_which():
    world = World(1)
    points = world.design(60)
    losses, (several, ends) = world.runs(points), points_without(PRIOR)
    truth, shares = effects(world, several), Shares.of(points, PRIOR, ends)
    close = []
    for m in range(METRICS):
        others = np.arange(METRICS) != m
        found = metric_row(losses[:12, m], losses[:12][:, others], truth[:, others], shares.take(np.arange(12)), 1.0)
        close.append(np.corrcoef(found.effect, truth[:, m])[0, 1])
    assert np.median(close) > 0.95
    judged = judge_metric_rows(losses, truth, shares, 12)
    assert judged.rows == METRICS and judged.rank > 0.85 and judged.error < 0.5 * judged.direct_error
    assert judged.part >= 0.5 and judged.widening >= 1
    with pytest.raises(Problem, match="from 3 runs and 7 other metrics"):
        metric_row(losses[:3, 0], losses[:3, 1:], truth[:, 1:], shares.take(np.arange(3)), 1.0)


def test_a_metric_that_is_unlike_all_others_is_said_to_be():
    """Noise in place of every metric: left-out rows are not predicted, and the judgement says so."""
    world = World(2)
    points, (several, ends) = world.design(60), points_without(PRIOR)
    noise, truth = world.rng.standard_normal((60, METRICS)), world.rng.standard_normal((len(several), METRICS))
    judged = judge_metric_rows(noise, truth, Shares.of(points, PRIOR, ends), 8)
    assert judged.error > 0.8 and abs(judged.rank) < 0.5


def test_metrics_that_hang_on_a_domain_each_say_little_of_each_other():
    """As losses of domains do: then the runs' own shares tell a new row, and other metrics do not spoil it."""
    rng = np.random.default_rng(0)
    points, (several, ends) = World(0).design(80), points_without(PRIOR)
    of = lambda shares: -np.log(np.atleast_2d(shares) + 0.05)  # noqa: E731
    truth = np.array([sum(sign * of(point)[0] for sign, point in contrast_of(PRIOR, one)) for one in several])
    losses = of(points) + 0.05 * rng.standard_normal((80, DOMAINS))
    judged = judge_metric_rows(losses, truth, Shares.of(points, PRIOR, ends), 16)
    assert judged.error <= judged.direct_error and judged.error < 0.6


def test_a_new_domain_is_drawn_towards_the_known_ones_as_far_as_its_runs_are_unsure():
    world = World(4)
    several, ends = points_without(PRIOR)
    truth = effects(world, several)
    few = truth[0] + 0.5 * np.abs(truth).mean() * world.rng.standard_normal(METRICS)
    sure, unsure = domain_row(few, np.full(METRICS, 1e-9), truth[1:]), domain_row(few, np.full(METRICS, 1e9), truth[1:])
    np.testing.assert_allclose(sure.effect, few, atol=1e-6)
    np.testing.assert_allclose(unsure.effect, truth[1:].mean(axis=0), atol=1e-6)
    points = world.design(150)
    changes = logs(PRIOR) - logs(ends)
    judged = judge_domain_rows(points, world.runs(points), truth, changes, np.full(METRICS, -1), 8)
    assert judged.rows == DOMAINS and judged.error <= judged.direct_error + 0.05
    with pytest.raises(Problem, match="0 of 5 domains have as many runs"):
        judge_domain_rows(points[:6], world.runs(points[:6]), truth, changes, np.full(METRICS, -1), 40)


def test_combinations_that_no_run_had_are_harder_than_runs_at_random():
    world = World(5)
    points = world.rng.dirichlet(np.ones(DOMAINS), 90)
    found = judge_combinations(GP.fit, points, world.runs(points)[:, 1])
    assert len(found.pairs) >= 4 and (found.runs >= 3).all()
    assert 0 < found.usual.mean() < 0.6 and found.error.mean() > 0.5 * found.usual.mean()
    with pytest.raises(Problem, match="no two of them have three runs"):
        judge_combinations(GP.fit, points[:4], world.runs(points[:4])[:, 1])
