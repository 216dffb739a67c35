"""The fidelity lab's numbers on generated worlds whose true correlation is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from engine.analysis.fidelity_lab import corrected, judged, recommended, reliability
from engine.spec.statistics import spearman

RNG = np.random.default_rng(0)


def world(n: int, true: float, noise: float, worlds: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Candidates and references (worlds, n, 2) whose true values correlate by `true`, with noise of two seeds, and what
    each seed adds to all."""
    a, b = RNG.standard_normal((2, worlds, n))
    values = np.stack([a, true * a + np.sqrt(1 - true**2) * b])
    seeds = RNG.standard_normal((2, worlds, 1, 2)) * 3
    found = values[..., None] + noise * RNG.standard_normal((2, worlds, n, 2)) + seeds
    return found[0], found[1]


def test_reliability_is_the_part_that_is_no_noise_whatever_a_seed_adds_to_all():
    one, _ = world(4000, 0.5, 1.0)
    assert reliability(one)[0] == pytest.approx(1 / (1 + 0.5), abs=0.03)
    assert reliability(one - one) <= 0


def test_noise_is_taken_out_of_a_rank_correlation():
    candidate, reference = world(400, 0.9, 1.0, worlds=40)
    raw = spearman(reference.mean(-1), candidate.mean(-1)).mean()
    assert raw < 0.65
    wanted = spearmanr(*np.random.default_rng(1).multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 20_000).T)[0]
    assert np.nanmean(corrected(candidate, reference)) == pytest.approx(wanted, abs=0.04)


def test_what_is_all_noise_is_unknown_and_never_recommended():
    _, reference = world(24, 0.9, 0.1)
    noise = np.stack([np.arange(24.0), -np.arange(24.0)], -1)
    (one,) = judged({"noise": noise}, reference[0], {"noise": 0.1})
    assert one.rank is None and (one.low, one.high) == (-1, 1) and not one.enough
    assert recommended([one]) is None


def test_the_cheapest_that_is_sure_is_recommended():
    good, reference = world(40, 1.0, 0.05)
    bad, _ = world(40, 0.0, 0.05)
    candidates = {"dear": good[0], "cheap": good[0] + 0.01, "cheapest": bad[0]}
    found = judged(candidates, reference[0], {"dear": 0.5, "cheap": 0.2, "cheapest": 0.1})
    assert [one.name for one in found] == ["cheapest", "cheap", "dear"] and found[0].high < 0.8
    chosen = recommended(found)
    assert chosen is not None and chosen.name == "cheap" and chosen.low > 0.8 and chosen.rank <= 1
    assert found[1].low == pytest.approx(found[2].low), "the same draws for all"


def test_intervals_hold_the_true_correlation():
    candidates, references = world(24, 0.8, 0.5, worlds=60)
    true = 6 / np.pi * np.arcsin(0.8 / 2)  # Spearman's of a normal pair
    inside = 0
    for candidate, reference in zip(candidates, references, strict=True):
        (one,) = judged({"it": candidate}, reference, {"it": 1.0})
        inside += one.low <= true <= one.high
    assert inside >= 51  # of 60, at 95%
