"""Readiness on worlds whose reliability is known, and the two directions of a task matrix."""

import numpy as np
import pytest

from engine.analysis.readiness import CAN, CANNOT, FEWEST, LIMIT, UNKNOWN, components, readiness

MIXTURES, REPEATED, TIMES = 60, 5, 5  # mixtures, of which some are trained so many times: FEWEST repeats


def world(reliability: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Runs whose values are a signal of the mixture and noise, of variances that sum to 1."""
    rng = np.random.default_rng(seed)
    points = rng.dirichlet(np.ones(5), MIXTURES)
    signal = rng.standard_normal(MIXTURES)
    place = np.concatenate([np.arange(MIXTURES), np.repeat(np.arange(REPEATED), TIMES - 1)])
    noise = rng.standard_normal(len(place))
    return points[place], (np.sqrt(reliability) * signal[place] + np.sqrt(1 - reliability) * noise)[:, None]


def verdicts(reliability: float) -> list[str]:
    return [readiness(*world(reliability, seed))[0].verdict for seed in range(100)]


def test_pure_noise_cannot_be_steered_and_a_reliable_task_is_not_called_so():
    assert verdicts(0.0).count(CANNOT) >= 95
    assert verdicts(0.8).count(CANNOT) < 5
    assert verdicts(0.97).count(CAN) >= 95


def test_the_bound_lies_below_the_truth_in_95_of_100():
    for true in (0.0, 0.5, 0.9):
        below = sum(readiness(*world(true, seed))[0].low <= true for seed in range(200))
        assert 0.91 * 200 <= below <= 0.99 * 200, true


def test_few_repeats_say_nothing():
    points, values = world(0.9, 0)
    few = readiness(points[: MIXTURES + 4], values[: MIXTURES + 4])[0]
    assert (few.verdict, few.repeats, few.missing) == (UNKNOWN, 4, FEWEST - 4)
    none = readiness(points[:MIXTURES], values[:MIXTURES])[0]
    assert (none.reliability, none.low, none.verdict) == (None, None, UNKNOWN)


def test_missing_values_are_left_out_and_constants_cannot_be_steered():
    points, values = world(0.97, 1)
    both = np.hstack([values, np.ones_like(values), np.where(np.arange(len(values))[:, None] < 70, values, np.nan)])
    steered, constant, part = readiness(points, both)
    assert steered.verdict in (CAN, LIMIT) and constant.verdict == CANNOT and part.repeats < steered.repeats


def test_two_groups_of_tasks_are_two_directions():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 80, 1))
    values = np.hstack([one, one, one, other, other]) + 0.1 * rng.standard_normal((80, 5))
    found = components(values)
    assert found.explained.sum() > 0.95
    assert np.all(np.abs(found.loadings[0, :3]) > 0.5) and np.all(np.abs(found.loadings[1, 3:]) > 0.6)
    assert components(values[:2]) is None and components(np.ones((9, 3))) is None
    assert found.explained[0] == pytest.approx(0.6, abs=0.1)
    for same in (0.4, 0.7, 1e9 / 3):  # the mean of equal numbers may differ from them in its last bit
        assert components(np.hstack([one[:12], np.full((12, 1), same)])) is None
        beside = components(np.hstack([values, np.full((80, 1), same)]))
        assert np.all(beside.loadings[:, -1] == 0)
        np.testing.assert_allclose(beside.explained, found.explained, rtol=1e-6)
