"""Limits of a search: kept where they can be, with their probability, also on items that nobody measured before."""

import numpy as np
import pytest

from benchmarks.flip_limits import PRIOR, SPACE, Items, Windows, answer, tried
from engine.core.errors import Problem
from engine.search import search
from engine.search.limits import SURE, Limits
from engine.search.pool import Pool, front
from engine.surrogates.gp import GP
from engine.surrogates.log_linear import LogLinear


@pytest.mark.parametrize("kind", [Windows, Items])
def test_a_flip_limit_is_kept_on_what_nobody_measured(kind):
    found = tried(kind, range(4), compare=False)
    assert found["kept"] >= 0.75 and found["gained"] > 0.01


@pytest.mark.soak
@pytest.mark.parametrize("kind", [Windows, Items])
def test_a_flip_limit_is_kept_in_90_of_100_tries(kind):
    found = tried(kind, range(100))
    assert found["kept"] >= 0.9 and found["gained"] > 0.01


def test_without_limits_the_answer_is_what_it_was_and_goes_beyond_them():
    world = Windows(5)
    free, everything = answer(world, None)
    assert free.kept is None and free.found.mean[1] > 0.3 and len(everything.points) > 500
    held, pool = answer(Windows(5), 0.25)
    assert held.found.aggregate > free.found.aggregate - 1e-9
    assert held.kept.chance >= SURE - 0.02 and held.kept.inside > 0
    assert pool.mean[:, 1].max() < 0.25, "trade-offs are among draws that keep the limit"
    rows = front(pool, [0, 1], np.ones(2))
    assert len(rows) > 1


def test_limits_that_cannot_be_kept_are_said_with_what_is_nearest():
    found, pool = answer(Windows(5), -0.5)
    assert found.kept.chance < 0.01 and found.kept.inside == 0 and len(pool.points) > 500


def surrogate() -> GP:
    points = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    return GP.fit(points, np.column_stack([points[:, 0], -points[:, 0]]))


def test_margins_are_shared_between_limits():
    one, two = Limits(np.array([0.5, np.nan]), np.ones(2)), Limits(np.array([0.5, 0.0]), np.array([1.0, -1.0]))
    assert one.margin == pytest.approx(1.2816, abs=1e-3) and two.margin == pytest.approx(1.6449, abs=1e-3)
    mean, std = np.array([[0.3, 0.5], [0.5, 0.5], [0.3, 0.1]]), np.array([0.1, 0.1])
    np.testing.assert_array_equal(one.excess(mean, std) <= 0, [True, False, True])
    np.testing.assert_array_equal(two.excess(mean, std) <= 0, [True, False, False])
    assert two.binding(mean[2], std) == 1 and one.binding(mean[2], std) == 0


def test_the_probability_of_an_answer_is_that_of_its_errors():
    point, fitted = np.array([0.4, 0.2, 0.2, 0.2]), surrogate()
    mean, std = fitted.predict(point[None])
    for sign in (1.0, -1.0):
        at = Limits(np.array([mean[0, 0] + 1.0 * sign * std[0, 0], np.nan]), np.array([sign, 1.0]))
        assert at.chance(fitted, point) == pytest.approx(0.841, abs=0.03)


def test_draws_that_keep_no_limit_are_refused():
    fitted = surrogate()
    points = np.random.default_rng(1).dirichlet(np.ones(4), 50)
    pool = Pool(points, fitted.mean(points))
    some = Limits(np.array([0.3, np.nan]), np.ones(2)).within(pool, fitted)
    assert 0 < len(some.points) < 50 and some.mean[:, 0].max() < 0.3
    with pytest.raises(Problem, match="none of 50 draws does with a probability of 90%"):
        Limits(np.array([-9.0, np.nan]), np.ones(2)).within(pool, fitted)


def test_the_convex_method_keeps_no_limits():
    points = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    law = LogLinear.fit(points, 1 + points[:, :2])
    with pytest.raises(Problem, match="by the convex method"):
        search(law, SPACE, PRIOR, np.array([1.0, 0.0]), n=4096, limits=Limits(np.ones(2), np.ones(2)), method="convex")


def test_what_items_have_by_chance_is_counted_where_a_limit_is_to_hold_on_others():
    point, fitted = np.array([0.4, 0.2, 0.2, 0.2]), surrogate()
    mean, std = fitted.predict(point[None])
    room = 1.5 * std[0, 0]
    values, at_most = np.array([mean[0, 0] + room, np.nan]), np.ones(2)
    here, elsewhere = Limits(values, at_most), Limits(values, at_most, np.array([np.sqrt(3) * std[0, 0], 0.0]))
    assert here.chance(fitted, point) == pytest.approx(0.933, abs=0.03)
    assert elsewhere.chance(fitted, point) == pytest.approx(0.773, abs=0.03), "room for .75 standard deviations"
    assert here.excess(mean, std) < 0 < elsewhere.excess(mean, std)
    assert elsewhere.beyond(mean, std) == here.beyond(mean, std), "measured merges bring their own errors"
