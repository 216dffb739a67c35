"""Does order matter? Effects that are there are found, absent ones are called absent, and the best order is the one."""

import numpy as np
import pytest

from benchmarks.phases import study_of
from engine.analysis.phases import FEWEST, LINE, NONE, Contrasts, best_order, order_matters
from engine.core.errors import Problem
from engine.spec.phases import furthest, order_of, phases_at, random_order, total_of

FRACTIONS = np.array([0.8, 0.2])
NOISE, SCALE = 0.01, np.sqrt(0.5)
SLOPES = np.array(
    [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]
)  # of order, on two losses: the first domain late, the second early


def level(shares: np.ndarray) -> np.ndarray:
    losses = np.stack([1 + (shares[:, 0] + 0.1) ** -0.4, 2 + (shares[:, 1] + 0.1) ** -0.4], axis=1)
    return np.concatenate([losses, losses.mean(axis=1, keepdims=True)], axis=1)


def pairs(seed: int, strength: float, count: int = 12) -> Contrasts:
    """Contrasts of pairs in opposite orders, whose losses have an effect `strength` x SLOPES of their order."""
    rng = np.random.default_rng(seed)
    totals = rng.dirichlet(np.ones(3), count)
    orders = np.stack([furthest(one, d := random_order(one, rng), FRACTIONS) * d for one in totals])
    one, other = (phases_at(totals, sign * orders, FRACTIONS) for sign in (1, -1))
    values = 2 * strength * orders @ SLOPES + np.sqrt(2) * NOISE * rng.standard_normal((count, 2))
    values = np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1)
    return Contrasts(one, other, SCALE * values, np.full(count, SCALE))


def test_an_order_that_matters_is_found_where_it_does():
    found = order_matters(pairs(0, 0.3), level, FRACTIONS)
    assert found.matters and found.pays and found.laws[0] == LINE
    assert found.used.tolist() == [True, False, True] and found.gains[0] > 0.8
    order = np.array([[0.1, -0.1, 0.0], [0.0, 0.0, 0.0], [-0.1, 0.0, 0.1]])
    mean, std = found.effect(phases_at(np.full((3, 3), 1 / 3), order, FRACTIONS))
    np.testing.assert_allclose(mean[:, 0], 0.3 * order @ SLOPES[:, 0], atol=4 * std[:, 0].max())
    assert (mean[:, 1] == 0).all() and 0 < std[0, 0] < 0.02


def test_no_order_is_no_order():
    found = order_matters(pairs(1, 0.0), level, FRACTIONS)
    assert not found.matters and not found.pays and min(found.chance) > 0.025
    mean, std = found.effect(phases_at(np.full((1, 3), 1 / 3), np.array([[0.1, -0.1, 0.0]]), FRACTIONS))
    assert not mean.any() and not std.any()
    total = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(best_order(found, total), [total, total])


def test_the_best_order_reads_late_what_helps_late():
    found = order_matters(pairs(2, 0.3), level, FRACTIONS)
    total = np.array([0.4, 0.3, 0.3])
    best = best_order(found, total)
    np.testing.assert_allclose(total_of(best, FRACTIONS), total, atol=1e-12)
    order = order_of(best, FRACTIONS)
    assert order[0] < -0.05 and order[1] > 0.05 and best.min() >= 0
    assert found.mean(best[None])[0, -1] < -0.02


def test_a_metric_that_was_not_measured_says_nothing():
    one = pairs(0, 0.3)
    found = order_matters(Contrasts(one.phases, one.others, one.values * [1, 0, 1], one.scales), level, FRACTIONS)
    assert found.gains[1] == 0 and found.laws[1] == NONE and found.chance[1] > 0.9 and found.pays


def test_few_comparisons_tell_nothing():
    with pytest.raises(Problem, match=f"5 comparisons.*it takes {FEWEST}"):
        order_matters(pairs(0, 0.3, 5), level, FRACTIONS)


@pytest.mark.parametrize("kind", ["exposure", "transport", "line"])
def test_the_benchmark_finds_what_is_there_and_nothing_else(kind):
    """All of it: benchmarks/results/phases.md."""
    assert sum(study_of(seed, kind, 2, 12)[0] for seed in range(3)) == 3
    assert not any(study_of(seed, kind, 0, 12)[0] for seed in range(2))
