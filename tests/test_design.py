"""Designs and baselines: inside the bounds, all different, the same for the same seed, and as published."""

import numpy as np
import pytest

from engine.baselines import baselines, epoch_caps, epochs, unimax
from engine.design import DESIGNS, dirichlet, regmix
from engine.errors import Problem
from engine.space import Simplex

PRIOR = np.array([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
SPACE = Simplex(tuple("abcdef"))
CAPPED = Simplex(tuple("abcdef"), [0, 0.05, 0, 0, 0, 0], [0.5, 0.5, 0.3, 0.3, 0.1, 0.05])


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
@pytest.mark.parametrize("space", [SPACE, CAPPED], ids=["free", "capped"])
def test_a_design(design, space):
    points = design(space, PRIOR, 64, 3)
    assert points.shape == (64, 6)
    assert space.contains(points, 1e-9).all()
    assert len(np.unique(points.round(6), axis=0)) == 64
    np.testing.assert_array_equal(points, design(space, PRIOR, 64, 3))
    assert not np.array_equal(points, design(space, PRIOR, 64, 4))


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_a_space_of_one_point_has_no_design(design):
    with pytest.raises(Problem, match="Widen the bounds"):
        design(Simplex(("a", "b"), [0.5, 0.5], [0.5, 0.5]), np.ones(2), 5, 0)


def test_regmix_limits():
    points = regmix(SPACE, PRIOR, 512, 0)
    assert (points <= 15 * PRIOR + 1e-9).all()
    assert not ((points > 0) & (points < 2e-4)).any()
    assert (points.max(axis=1) > 0.95).any(), "some mixtures are nearly one domain"
    assert (points.max(axis=1) < 0.5).any(), "some lie near the prior"


def test_regmix_flattens_the_prior():
    flat, steep = (
        regmix(SPACE, PRIOR, 400, 0, max_ratio=1e9),
        regmix(SPACE, PRIOR, 400, 0, max_ratio=1e9, temperature=1),
    )
    assert flat[:, 0].mean() < steep[:, 0].mean() - 0.02


def test_dirichlet_has_its_moments():
    """Dirichlet(s p): mean p, variance p (1 - p) / (s + 1)."""
    draws = dirichlet(PRIOR, 200_000, np.random.default_rng(0), (2.0, 2.0))
    np.testing.assert_allclose(draws.mean(axis=0), PRIOR, atol=4e-3)
    np.testing.assert_allclose(draws.var(axis=0), PRIOR * (1 - PRIOR) / 3, atol=3e-3)


def test_dirichlet_of_tiny_strength_does_not_underflow():
    draws = dirichlet(np.array([0.5, 0.5, 0.0]), 2000, np.random.default_rng(0), (1e-4, 1e-4))
    np.testing.assert_allclose(draws.sum(axis=1), 1)
    assert abs(draws[:, 0].mean() - 0.5) < 0.05
    assert (draws[:, 2] == 0).all()


@pytest.mark.parametrize("prior", [[1, -1], [0, 0], [np.nan, 1]])
def test_bad_priors(prior):
    with pytest.raises(Problem, match="as a prior"):
        regmix(Simplex(("a", "b")), prior, 8, 0)


def test_unimax_known_answer():
    """1M tokens at 4 epochs fill 0.1 of 40M; the other two share the rest evenly."""
    np.testing.assert_allclose(unimax([1e6, 5e7, 9e7], 4e7, 4), [0.1, 0.45, 0.45], atol=1e-9)


def test_baselines_and_epochs():
    available = np.array([1e6, 3e6, 6e6])
    found = baselines(available, 1e7, 4)
    assert list(found) == ["natural", "uniform", "unimax"]
    np.testing.assert_allclose(epochs(found["natural"], available, 1e7), 1)
    assert (epochs(found["unimax"], available, 1e7) <= 4 + 1e-9).all()


def test_text_that_does_not_last():
    with pytest.raises(Problem, match="Allow 5 epochs"):
        epoch_caps([1e6, 1e6], 1e7, 4)
