"""What a surrogate believes around a mixture, where the answer is known; and what is odd about runs, in words."""

import numpy as np
import pytest

from engine.analysis.explain import influence, interactions, response, with_share, with_shares
from engine.core.errors import Problem
from engine.league.notes import notes
from engine.space.simplex import Simplex
from engine.surrogates import SURROGATES

SLOPES = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 2.0]])
WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(3), 60)
AT = np.array([0.5, 0.3, 0.2])


def test_one_domain_gives_way():
    np.testing.assert_allclose(with_share(AT, 0, 0.6, giver=2), [0.6, 0.3, 0.1])
    np.testing.assert_allclose(with_share(AT, 0, 0.9, giver=2), [0.7, 0.3, 0.0], err_msg="no more than the two hold")
    np.testing.assert_allclose(with_share(AT, 0, 0.0, giver=2), [0.0, 0.3, 0.7])
    np.testing.assert_allclose(with_share(AT, 2, 0.4, giver=2), with_share(AT, 2, 0.4), err_msg="not to itself")


def test_influence_of_a_line_with_one_giver():
    """Moving 0.1 from domain 1 to domain 0 changes a linear loss by a tenth of the difference of their slopes."""
    fitted = SURROGATES["linear"].fit(WEIGHTS, WEIGHTS @ SLOPES)
    found = influence(fitted, AT, Simplex(("a", "b", "c")), giver=1)
    np.testing.assert_allclose(found.step, [0.1, 0.0, 0.1])
    np.testing.assert_allclose(found.effect[0], 0.1 * (SLOPES[0] - SLOPES[1]), atol=2e-3)
    np.testing.assert_allclose(found.effect[1], 0)


def test_response_with_one_giver_stays_a_mixture():
    fitted = SURROGATES["linear"].fit(WEIGHTS, WEIGHTS @ SLOPES)
    mean, _ = response(fitted, AT, 0, np.array([0.0, 0.8]), giver=1)
    np.testing.assert_allclose(mean, np.array([[0.0, 0.8, 0.2], [0.8, 0.0, 0.2]]) @ SLOPES, atol=2e-3)


def test_a_line_has_no_interactions():
    found = interactions(SURROGATES["linear"].fit(WEIGHTS, WEIGHTS @ SLOPES), AT)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(found.effect[off], 0, atol=1e-9)
    assert np.isnan(found.effect[~off]).all()


def test_interactions_of_a_known_product():
    """Of loss = w_a w_b the second difference is that of the function itself; its sign is certain."""
    losses = WEIGHTS[:, :1] * WEIGHTS[:, 1:2]
    found = interactions(SURROGATES["gp"].fit(WEIGHTS, losses), AT)

    def exact(gain):
        point = (1 - sum(gain)) * AT + gain
        return point[0] * point[1]

    a, b = np.array([0.05, 0, 0]), np.array([0, 0.05, 0])
    wanted = exact(a + b) - exact(a) - exact(b) + exact(0 * a)
    assert found.effect[0, 1, 0] == pytest.approx(wanted, abs=4e-4)
    np.testing.assert_allclose(found.effect[0, 1], found.effect[1, 0])
    assert abs(found.effect[0, 1, 0]) > 1.96 * found.std[0, 1, 0]


def test_interactions_take_the_largest_of_many_domains():
    weights = np.random.default_rng(1).dirichlet(np.ones(30), 50)
    at = np.arange(1, 31) / np.arange(1, 31).sum()
    found = interactions(SURROGATES["ridge"].fit(weights, weights[:, :1]), at, most=5)
    assert found.domains.tolist() == [25, 26, 27, 28, 29]
    with pytest.raises(Problem, match="two domains"):
        interactions(SURROGATES["linear"].fit(np.ones((5, 1)), np.arange(5.0)), np.ones(1))


def test_contributions_sum_to_the_prediction():
    fitted = SURROGATES["lightgbm"].fit(WEIGHTS, WEIGHTS @ SLOPES)
    values = fitted.contributions(WEIGHTS[:4])
    assert values.shape == (4, 2, 4)
    np.testing.assert_allclose(values.sum(axis=2), fitted.mean(WEIGHTS[:4]), rtol=1e-6)


# What is odd about the runs ----------------------------------------------------------------------------------

NAMES, METRICS = ["code", "docs", "web"], ["loss", "score"]
PLAIN = WEIGHTS @ SLOPES


def test_runs_without_limits_need_no_note():
    assert notes(WEIGHTS, PLAIN, NAMES, METRICS) == []


def without(column: int) -> np.ndarray:
    weights = WEIGHTS.copy()
    weights[:, column] = 0
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("weights", "losses", "said"),
    [
        (WEIGHTS[:3], PLAIN[:3], "There are 3 runs for 3 domains"),
        (np.repeat(WEIGHTS[:30], 2, axis=0), PLAIN, "30 of 60 runs repeat a mixture"),
        (without(1), PLAIN, "No run has any of docs"),
        (np.hstack([WEIGHTS[:, :2] * 0.5, np.full((60, 1), 0.25)]), PLAIN, "the same share of web"),
        (WEIGHTS, np.where(np.arange(60)[:, None] < [58, 0], np.nan, PLAIN), "Fewer than 3 runs measured loss"),
        (WEIGHTS, np.where(np.arange(60)[:, None] < [10, 0], np.nan, PLAIN), "Not every run measured loss (50 of 60)"),
        (WEIGHTS, np.stack([PLAIN[:, 0], np.full(60, 0.1)], axis=1), "All runs measured the same score"),
        (WEIGHTS, PLAIN * [1, 1e6], "-fold: in a plain weighted mean"),
    ],
)
def test_limits_of_the_runs_are_named(weights, losses, said):
    found = notes(weights, losses, NAMES, METRICS)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (WEIGHTS[:3], "There are 3 runs for 3 coefficients"),
        (np.repeat(WEIGHTS[:30], 2, axis=0), "repeat a merge: they measure the noise, and only 30 merges remain"),
        (np.hstack([WEIGHTS[:, :2], np.full((60, 1), -0.5)]), "the same coefficient of web"),
    ],
)
def test_merges_are_called_merges(weights, said):
    assert said in notes(weights, PLAIN[: len(weights)], NAMES, METRICS, "merge")[0]


def test_locked_domains_keep_their_share():
    locked = np.array([False, True, False])
    found = with_shares(AT, 0, np.array([0.0, 0.5, 1.0]), locked=locked)
    left = 1 - AT[1]
    np.testing.assert_allclose(found, [[0, AT[1], left], [0.5, AT[1], left - 0.5], [left, AT[1], 0]])
    nobody = with_shares(AT, 0, np.array([0.0, 1.0]), locked=np.array([False, True, True]))
    np.testing.assert_allclose(nobody, [AT, AT], err_msg="nobody is left to give")
    np.testing.assert_allclose(with_shares(AT, 0, np.array([0.9]), 1, locked), [AT], err_msg="the giver is locked")


def test_of_many_domains_those_that_do_most_are_told_with_the_same_numbers():
    fitted = SURROGATES["linear"].fit(WEIGHTS, WEIGHTS @ SLOPES)
    space = Simplex(("a", "b", "c"))
    whole, part = influence(fitted, AT, space), influence(fitted, AT, space, most=2)
    assert whole.domains.tolist() == [0, 1, 2] and len(part.domains) == 2
    left_out = {*range(3)} - set(part.domains.tolist())
    assert np.abs(whole.effect[[*left_out]]).sum() <= np.abs(part.effect).sum(axis=1).min()
    for one, other in ((whole.effect, part.effect), (whole.std, part.std), (whole.step, part.step)):
        np.testing.assert_allclose(one[part.domains], other, atol=1e-12)
