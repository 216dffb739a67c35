"""Ranks, picks and aggregates stay as they are under another order of runs, another batch, or noise of rounding."""

import numpy as np
import pytest
import scipy  # its parts are imported where they are used: statistics take half a second

from engine.spec.objectives import Aggregate
from engine.spec.statistics import (
    Z50,
    Z80,
    Z90,
    Z95,
    ci_half_width,
    first_lowest,
    groups,
    lowest,
    lowest_key,
    ordered,
    ranks,
    spearman,
    weighted_sum,
)

THIRDS = np.ones(3) / 3


def tied(rows=40, seed=0):
    """(R, 3) values of one decimal: many aggregates are equal on paper and differ in the last bit."""
    return np.random.default_rng(seed).normal(size=(rows, 3)).round(1)


def test_an_aggregate_has_the_same_bits_alone_in_a_batch_and_in_any_layout():
    values = np.random.default_rng(1).normal(size=(7, 40, 3))
    wanted = weighted_sum(values, THIRDS)
    assert (weighted_sum(np.asfortranarray(values), THIRDS) == wanted).all()
    assert (np.array([weighted_sum(part, THIRDS) for part in values]) == wanted).all()
    alone = np.array([[weighted_sum(row, THIRDS) for row in part] for part in values])
    assert (alone == wanted).all()
    assert (Aggregate(THIRDS, 1, "mean loss", "bits", {}).of(values) == wanted).all()
    np.testing.assert_allclose(wanted, values @ THIRDS)


def test_a_metric_that_does_not_count_may_be_missing():
    assert weighted_sum([[1.0, np.nan]], np.array([2.0, 0.0])).tolist() == [2.0]
    assert np.isnan(weighted_sum([1.0, np.nan], np.array([0.0, 1.0])))


@pytest.mark.parametrize("noise", [0.0, 1e-16, 1e-15])
def test_ties_on_paper_are_ties(noise):
    values = tied()
    exact = np.rint(values.sum(axis=1) * 10).astype(int)
    shaken = values @ THIRDS + noise * np.random.default_rng(2).normal(size=len(values))
    assert (ranks(shaken) == scipy.stats.rankdata(exact)).all()
    assert (groups(shaken) == scipy.stats.rankdata(exact, method="dense") - 1).all()
    assert (ordered(shaken) == np.argsort(exact, kind="stable")).all()
    assert (lowest(shaken, 5) == np.argsort(exact, kind="stable")[:5]).all()
    assert first_lowest(shaken) == exact.argmin()
    other = np.random.default_rng(3).normal(size=len(values))
    assert spearman(shaken, other) == pytest.approx(scipy.stats.spearmanr(exact, other)[0], abs=1e-12)


def test_the_key_of_the_lowest_value_is_the_first_of_tied_ones():
    assert lowest_key({"a": 0.3, "b": 0.1 + 0.2, "c": 0.4}) == "a"
    assert lowest_key({"b": 0.1 + 0.2, "a": 0.3, "c": 0.4}) == "b"
    assert lowest_key({"nothing": float("nan"), "all": float("inf"), "low": 2.0}) == "low"


def test_an_interval_holds_as_much_of_a_normal_curve_as_it_says():
    assert scipy.stats.norm.cdf(Z95) - scipy.stats.norm.cdf(-Z95) == pytest.approx(0.95, abs=1e-4)
    for deviations, inside in ((Z50, 0.5), (Z80, 0.8), (Z90, 0.9)):
        assert 2 * scipy.stats.norm.cdf(ci_half_width(1.0, deviations)) - 1 == pytest.approx(inside, abs=1e-4)
    assert ci_half_width(np.array([0.0, 2.0])).tolist() == [0.0, 2 * Z95]


def test_other_orders_and_batches_give_the_same_ranks():
    values = weighted_sum(tied(), THIRDS)
    moved = np.random.default_rng(4).permutation(len(values))
    assert (ranks(values[moved]) == ranks(values)[moved]).all()
    batch = np.stack([values, values[moved], np.zeros_like(values)])
    assert (ranks(batch) == [ranks(values), ranks(values[moved]), np.full(len(values), (len(values) + 1) / 2)]).all()
    assert first_lowest(batch).tolist() == [first_lowest(values), first_lowest(values[moved]), 0]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3])
def test_what_differs_is_not_tied(scale, offset):
    """A millionth of the spread apart, at any unit, and beside one that diverged."""
    values = scale * (offset + np.r_[np.arange(0, 1, 1e-4), 1e-6, 1e12])
    assert len(set(groups(values).tolist())) == len(values)


def test_the_lowest_few_are_those_of_a_full_sort():
    values = np.random.default_rng(5).normal(size=2000).round(2)
    assert all(
        (lowest(values, count) == np.argsort(values, kind="stable")[:count]).all() for count in (1, 7, 300, 1999)
    )


def test_missing_values_come_last_and_nothing_is_empty():
    values = np.array([np.nan, 2.0, np.nan, 1.0])
    assert ranks(values).tolist() == [3.5, 2.0, 3.5, 1.0]
    assert first_lowest(values) == 3
    assert ranks(np.empty(0)).shape == groups(np.empty(0)).shape == ordered(np.empty(0)).shape == (0,)


def test_what_cannot_be_ranked():
    rising = np.arange(5.0)
    assert np.isnan(spearman(np.full(5, 0.1 + 0.2), rising))
    assert spearman(rising, np.full(5, 0.3)) == 0
    assert spearman(np.r_[rising, np.nan], np.r_[-rising, 9.0]) == pytest.approx(-1)
