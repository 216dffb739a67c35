"""What to run next: proposals go where the optimum may still be, and stop where nothing is left to gain."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.search import search
from engine.search.acquisition import PROPOSERS, draws, is_informed, relevance, worth
from engine.space.simplex import Simplex
from engine.surrogates import SURROGATES

NAMES, PRIOR, METRIC_WEIGHTS = ("web", "code", "junk"), np.array([0.4, 0.3, 0.3]), np.array([0.5, 0.5])
SPACE = Simplex(NAMES, upper=[0.8, 0.8, 1])


def law(weights):
    return np.exp(-3 * np.asarray(weights)[:, :2])


@pytest.fixture(scope="module")
def measured():
    """30 noisy runs, none of them near the optimum of half web, half code."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([1, 1, 4], 30)
    return weights, law(weights) + 0.003 * rng.normal(size=(30, 2))


@pytest.fixture(scope="module", params=["gp", "log_linear"])
def fitted(request, measured):
    return SURROGATES[request.param].fit(*measured)


@pytest.fixture(scope="module")
def pool(fitted):
    return search(fitted, SPACE, PRIOR, [1, 1], n=20_000)[1].points


@pytest.mark.parametrize("name", ["improvement", "thompson", "climb"])
def test_proposals_are_new_mixtures_near_the_optimum(name, fitted, pool, measured):
    found = PROPOSERS[name](fitted, SPACE, METRIC_WEIGHTS, pool, measured[0], 6, 0)
    assert found.points.shape == (6, 3) and SPACE.contains(found.points, 1e-9).all()
    assert len(np.unique(found.points.round(4), axis=0)) == 6
    here = (law(found.points) @ METRIC_WEIGHTS).min()
    assert here < (law(measured[0]) @ METRIC_WEIGHTS).min() - 0.02


def test_the_gain_grows_with_the_batch_and_is_about_right(fitted, pool, measured):
    """The best run measured about 0.31; the optimum is exp(-1.5) = 0.223."""
    gain = PROPOSERS["improvement"](fitted, SPACE, METRIC_WEIGHTS, pool, measured[0], 6, 0).gain
    assert (np.diff(gain) >= 0).all()
    truth = (law(measured[0]) @ METRIC_WEIGHTS).min() - np.exp(-1.5)
    assert 0.4 * truth < gain[-1] < 2.5 * truth


def test_nothing_is_left_to_gain_at_a_known_optimum():
    rng = np.random.default_rng(0)
    weights = np.concatenate([rng.dirichlet(np.ones(3), 40), np.tile([[0.5, 0.5, 0]], (6, 1))])
    surrogate = SURROGATES["log_linear"].fit(weights, law(weights) + 0.01 * rng.normal(size=(46, 2)))
    pool = search(surrogate, SPACE, PRIOR, [1, 1], n=20_000)[1].points
    gain = PROPOSERS["improvement"](surrogate, SPACE, METRIC_WEIGHTS, pool, weights, 4, 0).gain[-1]
    noise = float(np.sqrt((METRIC_WEIGHTS**2 * surrogate.noise).sum()))
    assert worth(gain, 3600.0, noise).stop
    clear = worth(1.0, 1800.0, noise)
    assert not clear.stop and clear.gain_an_hour == pytest.approx(2.0) and clear.hours == 0.5
    assert worth(1.0, None, noise).gain_an_hour is None


def test_climb_narrows(fitted, pool, measured):
    first, third = (
        PROPOSERS["climb"](fitted, SPACE, METRIC_WEIGHTS, pool, measured[0], 8, 0, rounds_done=n).points for n in (0, 2)
    )
    assert (fitted.mean(third) @ METRIC_WEIGHTS).mean() < (fitted.mean(first) @ METRIC_WEIGHTS).mean()


def test_joint_draws_have_the_surrogates_moments(fitted):
    points = np.random.default_rng(1).dirichlet(np.ones(3), 7)
    found = draws(fitted, points, METRIC_WEIGHTS, np.random.default_rng(0))
    np.testing.assert_allclose(found.mean(axis=0), fitted.mean(points) @ METRIC_WEIGHTS, atol=0.02)
    variance = np.maximum(fitted.moments(points)[1], 0) @ METRIC_WEIGHTS**2
    np.testing.assert_allclose(found.var(axis=0), variance, rtol=0.25, atol=1e-6)


def test_what_is_beyond_all_knowledge_is_not_proposed(fitted):
    assert is_informed(fitted, PRIOR[None], METRIC_WEIGHTS, 0.05).all()


def test_relevance_finds_the_domains_that_matter():
    """Two metrics, three domains: junk acts on neither but through what it takes away, so only shares count."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(6), 60)
    losses = -np.log(weights[:, :2] + 1e-3) + 0.05 * rng.normal(size=(60, 2))
    found = relevance(weights, losses, METRIC_WEIGHTS)
    assert found.strength[0, 0] > 5 * found.strength[1:, 0].max()
    assert found.support[0, 0] == found.support[1, 1] == 1
    assert found.effort[:2].sum() > 0.8 and found.effort.sum() == pytest.approx(1)
    assert not found.idle[:2].any()
    with pytest.raises(Problem, match="from 5 runs: at least 12"):
        relevance(weights[:5], losses[:5], METRIC_WEIGHTS)
    losses[7:, 1] = np.nan
    with pytest.raises(Problem, match="from 7 runs: at least 12"):
        relevance(weights, losses, METRIC_WEIGHTS)
    assert relevance(weights, losses, np.array([1.0, 0.0])).effort[0] > 0.5


def measured_at(points: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (np.log(points + 1e-3) @ truth + 0.3 * rng.standard_normal(len(points)))[:, None]


def test_runs_for_a_new_target_vary_the_sources_that_matter():
    """A metric of two of twelve domains: their effects are known better after as many runs than by runs at random."""
    space, missed = Simplex(tuple("abcdefghijkl")), {"sources": [], "random": []}
    truth = np.zeros(12)
    truth[[2, 7]] = [-0.5, -0.3]
    for seed in range(6):
        rng = np.random.default_rng(seed)
        runs, pool = rng.dirichlet(np.ones(12), 16), rng.dirichlet(np.ones(12), 600)
        losses = measured_at(runs, truth, rng)
        chosen = PROPOSERS["sources"](None, space, np.ones(1), pool, runs, 8, seed, losses=losses).points
        for name, more in (("sources", chosen), ("random", pool[:8])):
            weights, values = np.vstack([runs, more]), np.concatenate([losses, measured_at(more, truth, rng)])[:, 0]
            logs = np.log(weights + 1e-3)
            logs = logs - logs.mean(axis=0)
            found = np.linalg.solve(logs.T @ logs + 0.1 * np.eye(12), logs.T @ (values - values.mean()))
            missed[name].append(np.abs(found - truth)[[2, 7]].mean())
    assert np.mean(missed["sources"]) < 0.8 * np.mean(missed["random"])
    assert len(np.unique(chosen.round(6), axis=0)) == 8 and space.contains(chosen).all()
