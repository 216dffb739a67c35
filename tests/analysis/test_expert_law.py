"""How many experts pay: the law is found again, its intervals hold, and what it cannot tell is said."""

import numpy as np
import pytest

from engine.analysis.expert_law import fitted
from engine.core.errors import Problem

COUNTS = np.repeat(np.arange(1, 9), 6)


def losses_of(limit=2.0, gain=0.6, offset=1.5, noise=0.0, seed=0):
    clean = limit + gain / (COUNTS + offset)
    return clean + noise * np.random.default_rng(seed).normal(size=len(COUNTS))


def test_a_law_without_noise_is_found_again():
    for gain in (0.6, -0.2):
        value, low, high = fitted(COUNTS, losses_of(gain=gain)).at([1, 3, 20])
        assert value == pytest.approx(2.0 + gain / (np.array([1, 3, 20]) + 1.5), abs=2e-3)
        assert (low <= value + 1e-9).all() and (value <= high + 1e-9).all()


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held, truth = 0, 2.0 + 0.6 / (4 + 1.5)
    for seed in range(60):
        _, low, high = fitted(COUNTS, losses_of(noise=0.03, seed=seed), seed).at([4])
        held += bool(low[0] <= truth <= high[0])
    assert held >= 50  # 57 expected; a bootstrap of six sets a size is a little narrow


def test_what_the_others_would_still_bring():
    left, low, high = fitted(COUNTS, losses_of(noise=0.005)).left(np.arange(1, 9), 8)
    assert left[-1] == 0 and (np.diff(left) < 0).all() and (low <= left).all() and (left <= high).all()
    assert left[0] == pytest.approx(0.6 / 2.5 - 0.6 / 9.5, abs=0.02)


def test_two_sizes_tell_no_law():
    with pytest.raises(Problem, match="of 2 sizes: a law needs 3"):
        fitted(np.array([1, 1, 2]), np.array([1.0, 1.1, 0.9]))
