"""One process over runs of several sizes: what it predicts at each, what it names, and what it refuses."""

from functools import cache

import numpy as np
import pytest

from engine.analysis.sizes import Sizes
from engine.core.errors import Problem
from engine.surrogates.gp import GP

DOMAINS = 3
BETTER = np.ones(2)


def truth(weights: np.ndarray, parameters: float, tokens: float) -> np.ndarray:
    """Losses (R, 2) that fall by a law over sizes; mixtures matter less where models are larger."""
    worth = np.stack([np.log(0.1 + weights[:, 0]), np.log(0.1 + weights[:, 1])], axis=1)
    level = np.array([1.8, 2.2]) + 30 * parameters**-0.25 + 300 * tokens**-0.3
    return level - (parameters / 1e8) ** -0.1 * 0.1 * worth


def runs_at(sizes: dict[tuple[float, float], int], seed: int = 0, noise: float = 0.003):
    """weights, fidelity, losses of so many runs at each (parameters, tokens), on mixtures that begin alike."""
    rng = np.random.default_rng(seed)
    mixtures = rng.dirichlet(np.ones(DOMAINS), max(sizes.values()))
    parts = [
        (mixtures[:count], np.tile(size, (count, 1)), truth(mixtures[:count], *size)) for size, count in sizes.items()
    ]
    weights, fidelity, losses = (np.concatenate(one) for one in zip(*parts, strict=True))
    return weights, fidelity, losses + noise * rng.standard_normal(losses.shape)


@cache
def _fitted(sizes: tuple) -> Sizes:
    return Sizes.fit(*runs_at(dict(sizes)), BETTER)


def fitted(sizes: dict) -> Sizes:
    """What is fitted to so many runs of each size, once for all tests."""
    return _fitted(tuple(sizes.items()))


NEW = np.random.default_rng(9).dirichlet(np.ones(DOMAINS), 40)
TWO = {(1e8, 2e9): 40, (3e8, 2e10): 12}
MANY = {(n, t): 16 for n in (1e8, 3e8, 1e9) for t in (2e9, 6e9, 2e10)}


def test_few_large_runs_place_what_many_small_ones_tell():
    few = runs_at(TWO)
    found = fitted(TWO).at(3e8, 2e10)
    wanted = truth(NEW, 3e8, 2e10)
    large = few[1][:, 0] == 3e8
    alone = GP.fit(few[0][large], few[2][large]).mean(NEW)
    mean, std = found.predict(NEW)
    assert np.sqrt(np.mean((mean - wanted) ** 2)) < 0.7 * np.sqrt(np.mean((alone - wanted) ** 2))
    assert np.mean(np.abs(mean - wanted) < 1.96 * std) > 0.9
    assert std.max() < 0.02 and found.notes == ()


def test_a_size_without_runs_follows_a_law_and_its_interval_holds():
    sizes = fitted(MANY)
    for size in ((3e9, 2e10), (1e9, 1e11), (2e8, 4e9), (3e9, 1e11)):
        mean, std = sizes.at(*size).predict(NEW)
        assert np.mean(np.abs(mean - truth(NEW, *size)) < 1.96 * std) > 0.9, size
        assert std.mean() < 0.2, size
    near, far = sizes.at(3e9, 2e10), sizes.at(1e11, 2e10)
    assert far.predict(NEW)[1].mean() > 1.5 * near.predict(NEW)[1].mean()
    assert near.notes == () and any("Far from the runs: 100B parameters" in note for note in far.notes)


def test_differences_at_a_size_do_not_carry_the_level_s_uncertainty():
    found = fitted(MANY).at(3e9, 2e10)
    covariance = found.covariance(NEW[:2])
    apart = covariance[:, 0, 0] + covariance[:, 1, 1] - 2 * covariance[:, 0, 1]
    assert (np.sqrt(np.maximum(apart, 0)) < 0.5 * np.sqrt(covariance[:, 0, 0])).all()
    np.testing.assert_allclose(found.moments(NEW)[1], np.diagonal(found.covariance(NEW), axis1=1, axis2=2).T, rtol=1e-4)


@pytest.mark.parametrize(
    ("sizes", "target", "said"),
    [
        (TWO, (3e8, 2e9), "grow together"),
        ({(1e8, 2e9): 30, (3e8, 2e9): 12}, (3e8, 2e10), "All runs have 2B tokens"),
        ({(1e8, 2e9): 30, (1e8, 2e10): 12}, (3e8, 2e10), "All runs have 100M parameters"),
        ({(1e8, 2e9): 30, (3e8, 2e10): 3}, (3e8, 2e10), "Few mixtures at the largest size: 3 "),
        (TWO, (1e6, 2e10), "Far from the runs: 1M parameters"),
    ],
)
def test_what_widens_intervals_is_named(sizes, target, said):
    found, sure = fitted(sizes).at(*target), fitted(MANY).at(3e8, 2e10)
    assert any(said in note for note in found.notes)
    assert found.predict(NEW)[1].mean() > 1.2 * sure.predict(NEW)[1].mean()
    mean, std = found.predict(NEW)
    assert np.mean(np.abs(mean - truth(NEW, *target)) < 1.96 * std) > 0.8 or target[0] < 1e7


def test_larger_models_that_are_worse_are_named():
    weights, fidelity, losses = runs_at(TWO)
    large = np.flatnonzero(fidelity[:, 0] == 3e8)
    clean = fitted(TWO).at(3e8, 2e10)
    one = losses.copy()
    one[large[2]] += 4
    found = Sizes.fit(weights, fidelity, one, BETTER).at(3e8, 2e10)
    assert any(
        "1 of 12 runs at 300M parameters and 20B tokens are worse" in note and "left out" in note
        for note in found.notes
    )
    np.testing.assert_allclose(found.mean(NEW), clean.mean(NEW), atol=0.02)
    losses[large] += 4
    found = Sizes.fit(weights, fidelity, losses, BETTER).at(3e8, 2e10)
    assert any("12 of 12 runs" in note and "may have diverged" in note for note in found.notes)
    assert found.predict(NEW)[1].min() > 2
    higher = Sizes.fit(weights, fidelity, losses, -BETTER).at(3e8, 2e10)
    assert higher.notes == ()


@pytest.mark.parametrize(
    ("sizes", "target", "said"),
    [
        ({(1e8, 2e9): 20}, (3e8, 2e9), "all runs are of 100M parameters and 2B tokens"),
        ({(1e8, 2e9): 20, (300.0, 2e10): 20}, (3e8, 2e9), "two units"),
        (TWO, (300.0, 2e10), "two units"),
        (TWO, (3e8, 20.0), "two units"),
        (TWO, (3e8, None), "without its tokens"),
        (TWO, (0.0, 2e10), "above 0"),
        (TWO, (3e8, float("nan")), "above 0"),
    ],
)
def test_what_cannot_be_told_is_refused(sizes, target, said):
    with pytest.raises(Problem, match=said):
        fitted(sizes).at(*target)


def test_runs_of_unknown_size_are_refused_or_named():
    weights, fidelity, losses = runs_at(TWO)
    with pytest.raises(Problem, match="none of the 52 runs states"):
        Sizes.fit(weights, np.full_like(fidelity, np.nan), losses, BETTER)
    some = fidelity.copy()
    some[3] = np.nan
    assert any("left out: 1" in note for note in Sizes.fit(weights, some, losses, BETTER).at(3e8, 2e10).notes)
    only = fidelity.copy()
    only[:, 1] = np.nan
    sizes = Sizes.fit(weights, only, losses, BETTER)
    assert np.isfinite(sizes.at(1e9, None).predict(NEW)[0]).all()
    with pytest.raises(Problem, match="no run states how many"):
        sizes.at(1e9, 2e10)


def test_gaps_and_repeats_are_taken():
    weights, fidelity, losses = runs_at(MANY)
    losses[::5, 0] = np.nan
    rows = np.r_[0 : len(weights), 0:10]
    losses = losses[rows]
    losses[-10:] += 0.001
    found = Sizes.fit(weights[rows], fidelity[rows], losses, BETTER)
    mean, std = found.at(1e9, 2e10).predict(NEW)
    assert np.mean(np.abs(mean - truth(NEW, 1e9, 2e10)) < 1.96 * std) > 0.9
    drawn = found.resampled(np.random.default_rng(0)).at(1e9, 2e10)
    assert np.abs(drawn.mean(NEW) - mean).max() < 0.1
