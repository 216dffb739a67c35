"""Phases: what a study may ask for, and the runs that are planned for it."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.spec.compute import groups_of
from engine.spec.frame import frame_of
from engine.spec.phases import (
    BRANCHES,
    PHASED,
    contrast,
    furthest,
    order_of,
    phase_ends,
    phases_at,
    random_order,
    total_of,
    triples_of,
    whole_trainings,
)
from engine.spec.study import StudySpec, plan_runs
from tests.spec.test_pools import DOMAINS, manifest

TWO = [{"fraction": 0.8}, {"fraction": 0.2}]
FRACTIONS = np.array([0.8, 0.2])


def spec(phases=TWO, **settings) -> StudySpec:
    return StudySpec.from_dict({"name": "x", "fidelity": "demo", "runs": 20, "phases": phases, **settings})


def planned(**settings) -> list[dict]:
    asked = spec(**settings)
    return plan_runs(asked, "s", frame_of(asked, DOMAINS, manifest()))


def test_presets_are_trained_with_a_stable_part_and_a_decay():
    assert spec().fidelity.schedule == "wsd" and spec(fidelity={"width": 64, "heads": 2}).fidelity.schedule == "wsd"
    assert spec(fidelity={"schedule": "cosine"}).fidelity.schedule == "cosine"
    assert StudySpec.from_dict({"name": "x"}).fidelity.schedule == "cosine"
    assert StudySpec.from_dict(spec().to_dict()) == spec() and triples_of(spec()) == 12


WRONG = [
    ([{"fraction": 0.8}, {"fraction": 0.3}], {}, "sum to 1.1, past 1"),
    ([{"fraction": 0.8}, {"fraction": 0.1}], {}, "0.1 of the tokens belongs to none"),
    ([{"fraction": 0.97}, {"fraction": 0.03}], {}, "phase 2 is shorter than the warm-up, 0.05 of the steps"),
    ([{"fraction": 1.0}, {"fraction": 0.0}], {}, "between 0 and 1"),
    ([{"fraction": 1.0}], {}, "give 2 to 4"),
    ([{"fraction": 0.5, "shares": {"web": 0.5}}, {"fraction": 0.5}], {}, "sum to 0.5, and must to 1"),
    ([{"fraction": 0.5, "share": {}}, {"fraction": 0.5}], {}, "no field 'share'"),
    ([{"fraction": 0.9999}, {"fraction": 0.0001}], {"fidelity": {"warmup": 0.0}}, "phase 2 has no step of the 2,048"),
    (TWO, {"order_triples": 21}, "from 0 to 20"),
    (TWO, {"order_triples": 0}, "no run would have any"),
    ([], {"branches": 3}, "the study has no phases"),
    (TWO, {"corpus": None}, "only studies that train proxies of their own"),
]


@pytest.mark.parametrize(("phases", "settings", "words"), WRONG)
def test_phases_that_cannot_be_trained_are_refused(phases, settings, words):
    with pytest.raises(Problem, match=words):
        spec(phases, **settings)


def test_shares_of_a_domain_that_is_not_there_are_refused():
    with pytest.raises(Problem, match="Cannot plan phases with 'poems': the domains of 'x' are web, code, books"):
        planned(phases=[{"fraction": 0.5, "shares": {"poems": 1.0}}, {"fraction": 0.5}])


@pytest.mark.parametrize("fractions", [[0.8, 0.2], [0.5, 0.3, 0.2]])
def test_an_order_moves_text_and_keeps_the_totals(fractions):
    fractions, rng = np.array(fractions), np.random.default_rng(0)
    for _ in range(20):
        total = rng.dirichlet([0.5, 1, 2, 0.1])
        total[0] = 0
        total /= total.sum()
        direction = random_order(total, rng)
        step = furthest(total, direction, fractions)
        order = step * direction
        assert step > 0 and direction[0] == 0 and abs(direction.sum()) < 1e-12
        for sign in (1, -1):
            phases = phases_at(total, sign * order, fractions)
            assert phases.min() > -1e-12 and np.allclose(phases.sum(axis=1), 1)
            np.testing.assert_allclose(total_of(phases, fractions), total, atol=1e-12)
            np.testing.assert_allclose(order_of(phases, fractions), sign * order, atol=1e-12)
        beyond = np.concatenate([phases_at(total, sign * 1.01 * order, fractions) for sign in (1, -1)])
        assert beyond.min() < 0
    assert abs(fractions @ contrast(fractions)) < 1e-12


def test_triples_are_one_mixture_and_both_orders_with_one_seed():
    runs = planned(order_triples=5, common_random_numbers=False)
    phased, design = ([run for run in runs if run["role"] == role] for role in (PHASED, "design"))
    assert len(phased) == 10 and [run["number"] for run in runs] == list(range(1, len(runs) + 1))
    for one, other in zip(phased[::2], phased[1::2], strict=True):
        place = int(one["label"].split()[-1]) - 1
        orders = [order_of(np.array(run["phases"]), FRACTIONS) for run in (one, other)]
        np.testing.assert_allclose(orders[0], -orders[1], atol=1e-12)
        assert np.abs(orders[0]).sum() > 0.2, "mixtures whose order moves much"
        for run in (one, other):
            np.testing.assert_allclose(run["weights"], design[place]["weights"], atol=1e-9)
            assert run["seed"] == design[place]["seed"] and run["trunk"] is None
    assert runs == planned(order_triples=5, common_random_numbers=False), "the same for the same seed"


def test_branches_leave_their_trunk_in_the_last_phase_and_cost_that_alone():
    runs = planned(order_triples=0, branches=4)
    branches = [run for run in runs if run["role"] == PHASED]
    design = {run["id"]: run for run in runs if run["role"] == "design"}
    for run in branches:
        assert run["phases"][0] == design[run["trunk"]]["weights"] and run["seed"] == design[run["trunk"]]["seed"]
        assert run["phases"][1] in [other["weights"] for other in design.values()]
    assert len({run["trunk"] for run in branches}) == 2 and len({str(run["phases"]) for run in branches}) == 4
    assert whole_trainings(spec(order_triples=0, branches=4), PHASED, 4) == pytest.approx(0.8, abs=0.01)
    groups = groups_of(runs, 8, 2)
    assert sorted(run["number"] for group in groups for run in group) == [run["number"] for run in runs]
    for group in groups:
        own = {run["id"] for run in group}
        assert all(run.get("trunk") is None or run["trunk"] in own for run in group)
        assert sum(run.get("trunk") is None for run in group) <= 8 and len(group) <= 4 * (1 + BRANCHES)


def test_planned_phases_are_trained_beside_one_mixture_of_their_totals():
    shares = {"code": 0.5, "books": 0.5}
    runs = planned(order_triples=0, phases=[{"fraction": 0.8}, {"fraction": 0.2, "shares": shares}])
    one, twin = (run for run in runs if run["role"] == PHASED)
    assert one["label"] == "planned phases" and one["phases"][1] == [0.0, 0.5, 0.5]
    assert twin["phases"][0] == twin["phases"][1] == pytest.approx(one["weights"])


def test_phases_end_with_whole_steps():
    assert phase_ends([0.8, 0.2], 11) == [9, 11] and phase_ends([1.0], 7) == [7]
