"""A study's fidelity lab: its plan and cost, what is made of its results, and a study that takes one."""

from dataclasses import replace

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.jobs.decisions import StudyMetric
from engine.spec.fidelity import Fidelity
from engine.spec.lab import CHANGES, OWN, REFERENCE, candidates
from engine.studies import fidelity_lab
from engine.studies.measured import frame_of_study
from store import studies
from tests.support.measured_study import measured_study
from tests.support.nasty import tell


def made(store, **spec) -> studies.Study:
    """A study of three domains whose losses are its metrics."""
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    metrics = [
        StudyMetric(metric=f"d{k}", unit="bits per byte", higher_is_better=False, domain=f"d{k}") for k in range(3)
    ]
    return measured_study(store, "s", weights, np.ones((6, 3)), metrics, **spec)


@pytest.fixture
def study(store) -> studies.Study:
    return made(store)


def told(store, study, plan, losses: dict[str, np.ndarray]) -> None:
    """What the jobs of a plan say."""
    for asked, task in zip(fidelity_lab.start_lab(store, study, plan), plan.tasks, strict=True):
        if task.name not in losses:
            continue
        values = losses[task.name]
        found = {
            "losses": [[[None if np.isnan(one) else one for one in seed] for seed in row] for row in values.tolist()],
            "flops": plan.flops[task.name],
            "seconds": 1.0,
        }
        said = {"kind": "lab.measured", "study": study.id, "settings": task.to_dict(), "found": found}
        tell(store, asked.id, {"kind": "job.started"}, said)


def test_candidates_change_one_thing_and_only_what_changes():
    base = Fidelity(width=64, heads=2, learning_rate=3e-3)
    found = candidates(base)
    assert found[OWN] == base and "cosine schedule" not in found and found["muP"].mup
    assert found["half the width"].width == 32 and found["half the width"].learning_rate == pytest.approx(1e-2)
    assert "muP" not in candidates(Fidelity()) and "half the width" not in candidates(Fidelity(width=16))
    for name in ("a quarter of the tokens", "a quarter of the tokens, rate x 0.01"):
        assert found[name].flops(256) == pytest.approx(base.flops(256) / 4, rel=0.01)
    assert set(found) <= set(CHANGES)


def test_a_lab_says_its_cost_and_recommends_the_cheapest_that_is_sure(store, study):
    names = ["half the tokens", "rate x 0.1", OWN]
    plan = fidelity_lab.plan_lab(store, study, names)
    assert len(plan.mixtures) == 24 and list(plan.fidelities) == [REFERENCE, *names]
    assert plan.runs == pytest.approx(sum(plan.flops.values()) / plan.one) and plan.runs > 48 * 2.5
    assert frame_of_study(study).design_space.contains(plan.mixtures).all()
    assert fidelity_lab.lab_of(store, study) is None
    rng = np.random.default_rng(1)
    truth = rng.standard_normal((24, 1, 3))
    seen = {name: truth + 0.05 * rng.standard_normal((24, 2, 3)) for name in (REFERENCE, "half the tokens", OWN)}
    broken = truth + np.zeros((24, 2, 3))
    broken[3, 1] = np.nan
    told(store, study, plan, {"half the tokens": seen["half the tokens"]})
    half = fidelity_lab.lab_of(store, study)
    assert half.reference is None and not half.found and half.chosen is None
    told(store, study, plan, seen | {"rate x 0.1": broken})
    lab = fidelity_lab.lab_of(store, studies.get(store, study.id))
    assert [one.name for one in lab.found] == ["half the tokens", OWN] and lab.reliability > 0.9
    assert lab.lost == {"rate x 0.1": "1 of 48 proxies diverged"}
    assert lab.chosen.name == "half the tokens" and lab.chosen.cost == pytest.approx(
        plan.flops["half the tokens"] / plan.flops[REFERENCE]
    )
    begun = fidelity_lab.take(store, study, "half the tokens")
    spec = studies.get(store, begun.id).spec
    assert spec["fidelity"]["tokens"] == round(study.spec["fidelity"]["tokens"] / 2)
    assert spec["name"] == "s, half the tokens" and fidelity_lab.take(store, study, "half the tokens").already_there
    with pytest.raises(Problem, match="measured in 's' are"):
        fidelity_lab.take(store, study, "muP")


def test_a_domain_that_does_not_count_decides_nothing(store):
    study = made(store, priorities={"d2": 0.0})
    plan = fidelity_lab.plan_lab(store, study, [OWN])
    rng = np.random.default_rng(2)
    truth = rng.standard_normal((24, 1, 3)) + 0.05 * rng.standard_normal((2, 24, 2, 3))
    truth[0, :, :, 2] = 100 * rng.standard_normal((24, 2))
    told(store, study, plan, {OWN: truth[0], REFERENCE: truth[1]})
    assert fidelity_lab.lab_of(store, study).found[0].rank > 0.9


def test_what_no_lab_can_try(store, study):
    for words, asked in {
        "from 24 to 256": {"mixtures": 8},
        "above 1, up to 64": {"times": 1.0},
        "the candidates of": {"names": ["nothing"]},
    }.items():
        with pytest.raises(Problem, match=words):
            fidelity_lab.plan_lab(store, study, **asked)
    imported = replace(study, imported={"source": "file"})
    with pytest.raises(Problem, match="no text to train on"):
        fidelity_lab.plan_lab(store, imported)
