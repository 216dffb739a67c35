"""Objectives: signed weighted means, standard deviations where units differ, priorities afterwards, short names."""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.core.short_names import short_names
from engine.spec.objectives import Aggregate, Objective, aggregate, common_scale, domain_losses

LOSSES = np.array([[1.0, 3.0], [2.0, 2.0], [4.0, 2.5]])
MIXED = [Objective("web_loss", "loss"), Objective("quiz", "accuracy", higher_is_better=True)]
SCORES = np.array([[1.0, 0.2], [3.0, 0.6], [2.0, 0.7]])


def test_one_unit_is_a_plain_weighted_mean():
    whole = aggregate(domain_losses(["web", "code"]), LOSSES, {"code": 3.0})
    assert whole.of(LOSSES).tolist() == [2.5, 2.0, 2.875]
    assert (whole.unit, whole.title, whole.sign, whole.note) == ("bits per byte", "mean loss", 1, None)
    assert whole.best(LOSSES) == 1


def test_higher_is_better_is_read_as_it_is_and_searched_turned():
    whole = aggregate([Objective("a", "accuracy", True), Objective("b", "accuracy", True)], SCORES)
    assert whole.better == "higher" and whole.title == "mean score"
    assert whole.sign * whole.of(SCORES) == pytest.approx([0.6, 1.8, 1.35])
    assert whole.best(SCORES) == 1


def test_different_units_are_divided_by_their_spread_and_it_is_said():
    whole = aggregate(MIXED, SCORES)
    spread = SCORES.std(axis=0)
    assert whole.of(SCORES) == pytest.approx((SCORES[:, 0] / spread[0] - SCORES[:, 1] / spread[1]) / 2)
    assert whole.unit == "standard deviations" and "over 3 runs" in whole.note
    scaled = aggregate(MIXED, SCORES * [1, 100])
    assert scaled.of(SCORES * [1, 100]) == pytest.approx(whole.of(SCORES)), "wildly different scales change nothing"


def test_losses_relative_to_a_mixture_are_divided_by_its_own():
    whole = aggregate(domain_losses(["latin", "dna"]), LOSSES, {"dna": 3.0}, np.array([2.0, 0.5]), "of two scripts")
    assert whole.of(np.array([2.0, 0.5])) == pytest.approx(1.0)
    assert whole.of(LOSSES) == pytest.approx(LOSSES @ [0.125, 1.5])
    assert whole.unit == "of the natural mixture's loss" and whole.note == "of two scripts"
    none = aggregate(domain_losses(["latin", "dna"]), LOSSES, {"dna": 0.0}, reference=np.array([2.0, np.inf]))
    assert none.weights.tolist() == [0.5, 0.0]


def test_scores_are_not_divided_by_losses():
    found = aggregate(MIXED, SCORES, reference=np.ones(2), note="of two scripts")
    assert found.unit == "standard deviations" and "over 3 runs" in found.note


def test_the_unit_of_before_reads_as_todays():
    now = aggregate(MIXED, SCORES).to_dict()
    assert Aggregate.from_dict({**now, "unit": "spreads"}).to_dict() == now
    asked = aggregate([Objective("a", "spreads")], SCORES[:, :1]).to_dict()
    assert Aggregate.from_dict(asked).unit == "spreads", "a file's own unit is its own"


def test_priorities_decide_whether_units_differ():
    whole = aggregate(MIXED, SCORES, {"web_loss": 0.0})
    assert (whole.unit, whole.better, whole.best(SCORES)) == ("accuracy", "higher", 2)


def test_a_missing_metric_matters_only_where_it_counts():
    gaps = np.array([[1.0, np.nan], [np.nan, 0.5]])
    assert np.isnan(aggregate(MIXED, gaps).of(gaps)).all() and aggregate(MIXED, gaps).best(gaps) is None
    assert aggregate(MIXED, gaps, {"quiz": 0.0}).best(gaps) == 0


def test_it_goes_through_json():
    whole = aggregate(MIXED, SCORES, {"quiz": 2.0})
    again = Aggregate.from_dict(json.loads(json.dumps(whole.to_dict())))
    assert again.of(SCORES) == pytest.approx(whole.of(SCORES)) and again.priorities == {"web_loss": 1.0, "quiz": 2.0}


@pytest.mark.parametrize(
    ("priorities", "said"),
    [
        ({"latin": 1.0}, "'latin'"),
        ({"quiz": -1}, "-1"),
        ({"quiz": float("nan")}, "nan"),
        ({"quiz": "x"}, "'x'"),
        ({"quiz": 0, "web_loss": 0}, "every priority is 0"),
    ],
)
def test_unusable_priorities(priorities, said):
    with pytest.raises(Problem, match=said):
        aggregate(MIXED, SCORES, priorities)


def test_one_axis_for_all_metrics():
    plain = common_scale(domain_losses(["web", "code"]), LOSSES)
    assert plain.factor.tolist() == [1, 1] and (plain.unit, plain.better) == ("bits per byte", "lower")
    mixed = common_scale(MIXED, SCORES)
    assert mixed.factor * SCORES.std(axis=0) == pytest.approx([1, -1]) and mixed.unit == "standard deviations"


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["train_the_pile_arxiv", "train_the_pile_pile_cc"], ["arxiv", "pile_cc"]),
        (["metric/the_pile_arxiv_val_loss", "metric/the_pile_pile_cc_val_loss"], ["arxiv", "pile_cc"]),
        (["prose", "prosody"], ["prose", "prosody"]),
        (["a_x", "a_x_y"], ["x", "x_y"]),
        (["web", "web_code"], ["web", "web_code"]),
        (["only"], ["only"]),
    ],
)
def test_short_names(names, short):
    assert short_names(names) == short
