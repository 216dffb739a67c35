"""Level meters: the aggregate first, what is not counted apart, one scale for what is compared; on every page of a
review."""

import numpy as np
import pytest

from dashboard.charts.style import LABEL, short_labels
from dashboard.models.names import named
from dashboard.views.shared.levels import Values, metric_rows, rows_with_total, ruler
from engine.spec.objectives import DEVIATIONS, Objective, aggregate

LOSSES = np.array([[2.0, 3.0, 5.0], [1.0, 2.0, 9.0], [3.0, 1.0, 7.0]])


def rows(objectives: list[Objective], means, gaps):
    by = ruler(named(["web", "code"], objectives), aggregate(objectives, LOSSES), objectives, LOSSES)
    values = [
        Values(np.array(one), np.array([0.1, 0.1, 0.1]), float(by.aggregate.of(np.array(one))), 0.05)
        for one in (means, gaps)
    ]
    return by, rows_with_total(by, *values, "natural")


def test_the_mean_is_first_and_what_is_not_counted_is_said_to_be_so():
    objectives = [Objective("web", domain="web"), Objective("code", domain="code"), Objective("junk", priority=0.0)]
    by, found = rows(objectives, [2.0, 3.0, 9.0], [-0.2, 0.1, 4.0])
    assert [one.name for one in found] == ["mean loss", "web", "code", "junk"]
    assert [one.total for one in found] == [True, False, False, False]
    assert [one.counted for one in found] == [True, True, True, False]
    assert found[0].change == pytest.approx(-0.05) and found[0].better and found[0].value == "2.500 ± 0.050"
    assert "−0.050 ± 0.050 bits per byte vs. natural" in found[0].words
    assert found[3].change == 4.0 and "left is better" in by.caption("natural")


def test_scores_are_better_to_the_right_and_their_mean_too():
    objectives = [Objective(name, "accuracy", higher_is_better=True) for name in ("a", "b", "c")]
    by, found = rows(objectives, [0.2, 0.3, 0.4], [0.1, 0.1, 0.1])
    assert by.side == "right" and found[0].change == pytest.approx(0.1)
    assert all(one.better for one in found) and found[0].value.startswith("0.300")


def test_metrics_of_several_units_are_in_standard_deviations():
    objectives = [Objective("web", domain="web"), Objective("code", domain="code"), Objective("a", "accuracy", True)]
    by, found = rows(objectives, [2.0, 3.0, 0.5], [-0.2, 0.1, 0.4])
    assert by.scale.unit == DEVIATIONS and found[-1].better and found[-1].change < 0
    counted = [
        Objective("web", domain="web"),
        Objective("code", domain="code"),
        Objective("a", "accuracy", True, priority=0.0),
    ]
    by, found = rows(counted, [2.0, 3.0, 0.5], [-0.2, 0.1, 0.4])
    own = by.aggregate.of(LOSSES).std()
    assert found[0].change == pytest.approx(by.aggregate.of(np.array([-0.2, 0.1, 0.4])) / own)


def test_an_unknown_interval_is_not_shown():
    objectives = [Objective("web", domain="web")]
    by = ruler(named(["web"], objectives), aggregate(objectives, LOSSES[:, :1]), objectives, LOSSES[:, :1])
    here, gap = (
        Values(np.array([2.0]), np.array([np.nan]), 2.0, np.nan),
        Values(np.array([0.1]), np.array([0.2]), 0.1, 0.2),
    )
    (row,) = metric_rows(by, here, gap, "predicted")
    assert row.value == "2.000" and "nan" not in row.words


def test_long_names_are_told_apart_on_two_lines():
    long = "a name that is as long as names of candidates can be, or so"
    found = short_labels([long, long + "!", "short", "<b>x</b>", ""])
    assert len(set(found)) == 5 and found[2:] == ["short", "&lt;b&gt;x&lt;/b&gt;", ""]
    assert all(len(line) <= LABEL + 3 for label in found[:2] for line in label.split("<br>"))
    assert all(label.count("<br>") <= 1 for label in found) and "…" in found[0]
