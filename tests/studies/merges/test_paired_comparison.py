"""Rank correlations of merges and proxies, with intervals by resampling."""

import warnings

import numpy as np
import pytest
import scipy  # its parts are imported where they are used: statistics take half a second

from engine.spec.statistics import counted_ranks, ranks
from engine.studies.merges.paired_comparison import correlations


def test_correlations_are_spearmans_with_intervals_around_them():
    rng = np.random.default_rng(1)
    trained = rng.normal(size=(40, 3))
    merged = trained + [0.1, 1.0, 10.0] * rng.normal(size=(40, 3))
    rank, low, high = correlations(merged, trained)
    assert rank == pytest.approx([scipy.stats.spearmanr(merged[:, c], trained[:, c]).statistic for c in range(3)])
    assert (low <= rank).all() and (rank <= high).all()
    assert (np.diff(high - low) > 0).all(), "the weaker the relation, the wider the interval"


def test_values_that_differ_by_rounding_share_a_rank():
    trained = np.arange(12.0)[:, None]
    merged = np.repeat(np.arange(6.0), 2)[:, None]
    nudged = merged + 1e-15 * np.tile([1, -1], 6)[:, None]
    assert correlations(nudged, trained)[0] == pytest.approx(correlations(merged, trained)[0], abs=1e-12)


def test_a_metric_on_which_proxies_do_not_differ_has_no_correlation():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for found in correlations(np.arange(8.0)[:, None], np.ones((8, 1))):
            assert np.isnan(found).all()


def test_resamples_are_ranked_as_if_each_were_sorted():
    rng = np.random.default_rng(2)
    values = rng.integers(5, size=(2, 12)).astype(float)  # with ties
    drawn = rng.integers(12, size=12)
    counts = np.broadcast_to(np.bincount(drawn, minlength=12).astype(float), (2, 1, 12))
    assert counted_ranks(values, counts)[:, 0, drawn] + 0.5 == pytest.approx(ranks(values[:, drawn]))
