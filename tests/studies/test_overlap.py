"""What is left of a gain without the items that stand in training text, on answers that are known."""

import dataclasses

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.metrics import ITEM_METRICS, objective_of
from engine.spec.kinds.overlap import TaskOverlap
from engine.studies import overlap
from engine.studies.overlap import HOLDS, NONE, UNSURE, VANISHES
from engine.tasks import outcomes
from engine.tasks.outcomes import Outcome
from engine.tasks.task import EvalTask, Item
from store.database import Store

COUNT, STANDING = 200, 60


@pytest.fixture
def store(tmp_path):
    opened = Store(Workspace.open(tmp_path / "w"))
    yield opened
    opened.close()


def task(metric: str = "accuracy") -> EvalTask:
    items = [Item(f"{k}?", choices=["a", "b"], scores=[1.0, 0.0]) for k in range(COUNT)]
    return EvalTask("asked", [metric], items, "by hand")


def kept(store, run: str, right: np.ndarray) -> None:
    """A run that answers these items right."""
    scores = right.astype(float)
    found = Outcome(scores, ["a"] * COUNT, items={"accuracy": scores[:, None]})
    outcomes.save(outcomes.file_of(store.workspace.root, run), {"asked": found})


def counted(standing: int = STANDING) -> TaskOverlap:
    places = [*range(standing)]
    return TaskOverlap(items=COUNT, untold=[], domains={"web": places}, answered={"web": []})


def gain(store, found: TaskOverlap) -> overlap.Gain:
    one = task()
    return overlap.gain(store, one, objective_of(one, ITEM_METRICS["accuracy"]), found, "run", "reference")


def runs(store, standing: float, others: float) -> None:
    """A reference that knows half of the items, and a run that knows such parts of those that stand and of others."""
    rng = np.random.default_rng(1)
    inside = np.arange(COUNT) < STANDING
    kept(store, "reference", rng.random(COUNT) < 0.5)
    kept(store, "run", rng.random(COUNT) < np.where(inside, standing, others))


def test_a_gain_by_heart_vanishes_and_an_honest_one_holds(store):
    runs(store, 1.0, 0.5)
    found = gain(store, counted())
    assert found.verdict == VANISHES and found.whole > 0.1 and abs(found.left) < 0.1
    assert (found.items, found.left_items) == (COUNT, COUNT - STANDING)
    runs(store, 0.8, 0.8)
    assert gain(store, counted()).verdict == HOLDS
    runs(store, 0.5, 0.5)
    assert gain(store, counted()).verdict == NONE


def test_too_few_items_left_tell_nothing(store):
    runs(store, 0.7, 0.7)
    found = gain(store, counted(COUNT - 8))
    assert found.verdict == UNSURE and found.left_items == 8
    with pytest.raises(Problem, match="1 of its 200 items stand in no training text"):
        gain(store, counted(COUNT - 1))


def test_lower_is_better_is_read_so(store):
    """The same answers by a metric of which less is better: what was a gain is a loss."""
    runs(store, 0.9, 0.9)
    one = task()
    other = dataclasses.replace(objective_of(one, ITEM_METRICS["accuracy"]), higher_is_better=False)
    assert overlap.gain(store, one, other, counted(), "run", "reference").verdict == NONE
    assert overlap.gain(store, one, other, counted(), "reference", "run").verdict == HOLDS


def test_verdicts_hold_as_often_as_they_say(store):
    """Of honest gains of two standard errors and more, hardly any is said to vanish; of those by heart most are."""
    said = {"honest": [], "by heart": []}
    for seed in range(30):
        rng, inside = np.random.default_rng(seed), np.arange(COUNT) < STANDING
        reference = rng.random(COUNT) < 0.5
        for name, chance in (("honest", 0.75), ("by heart", np.where(inside, 0.98, 0.5))):
            kept(store, "reference", reference)
            kept(store, "run", rng.random(COUNT) < chance)
            said[name].append(gain(store, counted()).verdict)
    assert said["honest"].count(VANISHES) <= 1 and said["honest"].count(HOLDS) >= 27
    assert said["by heart"].count(HOLDS) <= 3 and said["by heart"].count(VANISHES) >= 15


def test_what_was_not_kept_is_said(store):
    runs(store, 0.9, 0.9)
    outcomes.save(outcomes.file_of(store.workspace.root, "run"), {"asked": Outcome(np.ones(COUNT), ["a"] * COUNT)})
    with pytest.raises(Problem, match="an earlier version measured it"):
        gain(store, counted())
    with pytest.raises(Problem, match="9 were looked for, and it has 200 now"):
        gain(store, TaskOverlap(items=9, untold=[], domains={}, answered={}))


def test_scores_of_single_items_are_kept_by_metric(tmp_path):
    values = {"accuracy": np.array([[1.0], [np.nan]]), "answer_bits": np.array([[1.5, 3.0], [np.nan, np.nan]])}
    outcomes.save(tmp_path / "one.npz", {"a": Outcome(np.array([1.0, np.nan]), ["x", ""], 0, values)})
    back = outcomes.load(tmp_path / "one.npz")["a"].items
    assert back.keys() == values.keys()
    for name, one in values.items():
        np.testing.assert_array_equal(back[name], one)


def test_places_beyond_the_items_are_refused():
    with pytest.raises(Problem, match="places must be below 2"):
        TaskOverlap(items=2, untold=[2], domains={}, answered={})
