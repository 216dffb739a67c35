"""The average of experts that predicts best: the same as on a grid, and the gap is a bound."""

import itertools

import numpy as np
import pytest

from engine.space.expert_mixture import loss_of, lowest


def grid(count: int, parts: int) -> np.ndarray:
    """All shares (n, count) in steps of 1 / parts."""
    found = [one for one in itertools.product(range(parts + 1), repeat=count) if sum(one) == parts]
    return np.array(found) / parts


@pytest.mark.parametrize("seed", range(4))
def test_no_mixture_of_a_grid_is_better_and_the_nearest_is_next_to_the_optimum(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(0.5, 2, (300, 3)) + 1e-6
    costs = rng.uniform(0, 1, 300) * (rng.uniform(size=300) > 0.2) / 300
    found = lowest(probabilities, costs, near=1e-7)
    points = grid(3, 50)
    losses = np.array([loss_of(probabilities, costs, one) for one in points])
    assert found.loss <= losses.min() + 1e-7 and found.gap <= 1e-7
    assert np.abs(points[losses.argmin()] - found.shares).max() <= 0.05
    assert found.shares.sum() == pytest.approx(1) and found.shares.min() >= 0


def test_the_gap_bounds_what_is_left():
    rng = np.random.default_rng(9)
    probabilities, costs = rng.beta(0.5, 2, (200, 4)) + 1e-6, np.full(200, 1 / 200)
    best = lowest(probabilities, costs, near=1e-9)
    early = lowest(probabilities, costs, steps=3)
    assert early.gap > 1e-4 and early.loss - best.loss <= early.gap


def test_experts_of_the_texts_own_shares_are_found():
    """Tokens drawn from three distributions by shares: the likeliest average of these has the shares."""
    rng = np.random.default_rng(0)
    tables, shares = rng.dirichlet(np.full(40, 0.2), 3), np.array([0.6, 0.3, 0.1])
    tokens = rng.choice(40, 40_000, p=shares @ tables)
    found = lowest(tables[:, tokens].T + 1e-12, np.full(len(tokens), 1 / len(tokens)))
    assert np.abs(found.shares - shares).max() < 0.03
