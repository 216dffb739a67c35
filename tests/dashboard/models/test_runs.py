"""Curves that are smoothed, the best so far, and what runs lack."""

import numpy as np

from dashboard.charts import runs as run_charts
from dashboard.models.runs import best_so_far, gaps, smoothed


def test_smoothing_starts_at_the_first_value_and_keeps_a_constant():
    assert smoothed(np.array([3.0, 1.0]), 0.0).tolist() == [3.0, 1.0]
    np.testing.assert_allclose(smoothed(np.array([3.0, 1.0]), 0.5), [3.0, (0.5 * 3 + 1) / 1.5])
    np.testing.assert_allclose(smoothed(np.full(9, 2.0), 0.95), 2.0)


def test_the_best_so_far_follows_the_direction():
    score = np.array([2.0, 3.0, 1.0, 2.0])
    assert best_so_far(score, "lower").tolist() == [2.0, 2.0, 1.0, 1.0]
    assert best_so_far(score, "higher").tolist() == [2.0, 3.0, 3.0, 3.0]


def test_a_metric_that_finished_runs_lack_is_named_with_the_reason():
    finished = np.array([[1.0, np.nan, 2.0], [1.5, np.nan, np.inf], [1.2, np.nan, 2.2]])
    said = gaps(finished, ["web", "code", "quiz"], np.array([True, False, True]), "mean loss", imported=False)
    assert said == [
        "code is missing in all 3 finished runs (nothing finite was measured), so it has no column and no axis here.",
        "quiz is missing in 1 of 3 finished runs (nothing finite was measured): these have no mean loss, in which it "
        "counts.",
    ]
    assert gaps(finished[:, :1], ["web"], np.array([True]), "mean loss", imported=True) == []
    assert gaps(finished[:0], ["web", "code", "quiz"], np.ones(3, bool), "mean loss", imported=True) == []


def test_bad_runs_do_not_flatten_the_best_so_far():
    score = np.array([3.6, 3.5, 3.3, 3.4, 10.0, 9.0])
    best = np.minimum.accumulate(score)
    low, high = run_charts.scale_of_best(score, best)
    assert low == 3.3 and 3.6 <= high < 5
    for values in (score[:4], np.array([1.0, 1.0])):  # none is far, or none differs
        low, high = run_charts.scale_of_best(values, np.minimum.accumulate(values))
        assert low <= values.min() and high >= values.max() and high > low
