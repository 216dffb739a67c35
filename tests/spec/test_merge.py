"""What a merge study turns, as plain data: its settings, coordinates, points, box, and rank correlations."""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.core.workspace import within
from engine.space.box import Box
from engine.spec.merge import (
    MergeSpec,
    baselines_of,
    block_of,
    coordinates,
    first_points,
    point_from,
    setting_of,
)
from engine.spec.study import StudySpec
from engine.studies.merges.paired_comparison import correlations

EXPERTS = ["digits", "prose", "python"]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"method": "magic"}, "the methods are"),
        ({"knobs": {"densitty": 0.5}}, "densitty"),
        ({"method": "ties", "knobs": {"density": "much"}}, "'much' as density: it must be a number from 0 to 1"),
        ({"method": "ties", "knobs": {"normalize": 1.0}}, "true or false"),
        ({"method": "ties", "knobs": {"density": [0.5, -0.5]}}, "-0.5 as density"),
        ({"method": "ties", "tuned": {"density": [0.1, 1.5]}}, "1.5 as density"),
        ({"method": "consensus", "tuned": {"agree": [1.5, 3]}}, "a whole number from 0 to"),
        ({"method": "ties", "tuned": {"density": [0.9, 0.1]}}, "rising"),
        ({"method": "ties", "tuned": {"normalize": [0, 1]}}, "rising numbers"),
        ({"method": "ties", "tuned": {"density": [0.1, 0.9]}, "knobs": {"density": 0.5}}, "both fix and tune"),
        ({"method": "slerp"}, "must be fixed or tuned"),
        ({"by": "neuron"}, "model or layer"),
        ({"lower": 1.0, "upper": 0.5}, "rising"),
        ({"upper": float("nan")}, "must be a number"),
        ({"share": 0}, "above 0"),
        ({"base": "llama"}, "both a base and experts"),
        ({"base": "llama", "experts": {"a @ b": "x"}}, "a @ b"),
        ({"experst": {}}, "experst"),
        ("task_arithmetic", "unknown"),
    ],
)
def test_what_cannot_be_turned_is_refused_with_a_sentence(values, word):
    with pytest.raises(Problem, match=word):
        MergeSpec.from_dict(values)


def test_a_spec_survives_json():
    spec = MergeSpec(method="ties", knobs={"normalize": False}, tuned={"density": (0.1, 0.9)}, by="layer", of="demo")
    assert MergeSpec.from_dict(json.loads(json.dumps(spec.to_dict()))).to_dict() == spec.to_dict()
    study = StudySpec.from_dict({"name": "M", "merge": spec.to_dict()})
    assert StudySpec.from_dict(json.loads(json.dumps(study.to_dict()))).to_dict() == study.to_dict()


def test_settings_go_by_their_former_names_too():
    assert MergeSpec.from_dict({"share": 0.25}) == MergeSpec(token_fraction=0.25)
    assert "share" not in MergeSpec.from_dict({"share": 0.25}).to_dict()
    with pytest.raises(Problem, match="'share' is unknown"):
        MergeSpec.from_dict({"share": 0.25, "token_fraction": 0.5})


def test_experts_that_a_method_cannot_take_are_refused():
    with pytest.raises(Problem, match="it takes 1 besides the base"):
        coordinates(MergeSpec(method="slerp", tuned={"t": (0, 1)}), EXPERTS, 2)
    with pytest.raises(Problem, match="at least 2"):
        coordinates(MergeSpec(method="model_stock"), ["one"], 2)
    with pytest.raises(Problem, match="has no coefficients"):
        coordinates(MergeSpec(method="karcher"), EXPERTS, 2)
    with pytest.raises(Problem, match="at most 64 are allowed"):
        coordinates(MergeSpec(), [f"e{i}" for i in range(65)], 2)
    with pytest.raises(Problem, match="Use one per expert"):
        coordinates(MergeSpec(by="layer"), [f"e{i}" for i in range(40)], 30)


def test_a_point_says_which_weight_each_tensor_gets():
    spec = MergeSpec(method="ties", tuned={"density": (0.1, 0.9)}, by="layer")
    names = coordinates(spec, ["a", "b"], 2)
    assert names == ["a @ rest", "a @ layer 0", "a @ layer 1", "b @ rest", "b @ layer 0", "b @ layer 1", "density"]
    setting = setting_of(spec, ["a", "b"], names, np.array([1, 2, 3, 4, 5, 6, 0.5]))
    assert setting.weight("layers.1.mlp.up").tolist() == [3, 6] and setting.weight("embedding").tolist() == [1, 4]
    assert setting.knobs == {"density": 0.5} and setting.whole is None
    same = point_from(spec, ["a", "b"], names, {"b": 0.7})
    assert same.tolist() == [0, 0, 0, 0.7, 0.7, 0.7, 0.5]
    assert block_of("model.layers.10.self_attn.q_proj.weight") == "layer 10" and block_of("lm_head.weight") == "rest"


def test_baselines_and_first_points_lie_where_they_should():
    spec = MergeSpec(upper=1.0)
    names = coordinates(spec, EXPERTS, 1)
    found = baselines_of(spec, EXPERTS, names)
    assert found["base"].tolist() == [0, 0, 0] and found["prose alone"].tolist() == [0, 1, 0]
    assert found["uniform soup"] == pytest.approx(1 / 3) and found["task arithmetic at 0.3"] == pytest.approx(0.3)
    points = first_points(spec, EXPERTS, names, 64, 1)
    assert points.shape == (64, 3) and (points >= 0).all() and (points <= 1).all()
    assert len(np.unique(points.round(9), axis=0)) == 64 and points[1::2].sum(1).max() <= 1.5 + 1e-9


def test_a_box_draws_inside_and_shows_surrogates_no_zero():
    box = Box(("a", "b"), [0, -1], [2, 1])
    points = box.draw(np.array([0.3, 0]), 4001, np.random.default_rng(0))
    assert points.shape == (4001, 2) and box.contains(points).all()
    assert box.features(points).min() >= 1 and box.features(points).max() <= 2
    assert Box.from_dict(json.loads(json.dumps(box.to_dict()))).upper.tolist() == [2, 1]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", ".", "a\0b"])
def test_a_path_stays_in_the_workspace(tmp_path, name):
    with pytest.raises(Problem, match="must not leave it"):
        within(tmp_path, name)


def test_rank_correlations_carry_their_interval():
    rng = np.random.default_rng(0)
    left = rng.normal(size=(40, 2))
    right = np.column_stack([left[:, 0], rng.normal(size=40)])
    rank, low, high = correlations(left, right)
    assert (rank[0], low[0], high[0]) == pytest.approx((1, 1, 1))
    assert low[1] < 0 < high[1] and high[1] - low[1] > 0.4
