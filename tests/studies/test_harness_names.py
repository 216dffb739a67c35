"""Harness tasks of one name in several studies: each keeps its own items and answers, and finds its own scores."""

import json

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.importing.harness_samples import Sample, Sampled
from engine.jobs.decisions import StudyMetric
from engine.studies import task_scores
from engine.studies.harness_samples import add_samples
from engine.tasks import shelf
from store.database import Store
from tests.support.measured_study import measured_study

METRICS = [
    *(StudyMetric(metric=f"d{k}", unit="loss", higher_is_better=False, domain=f"d{k}") for k in range(2)),
    StudyMetric(metric="colours|0 acc", unit="score", higher_is_better=True),
]


@pytest.fixture
def store(tmp_path):
    opened = Store(Workspace.open(tmp_path / "w"))
    yield opened
    opened.close()


def study(store, name: str):
    weights = np.random.default_rng(0).dirichlet(np.ones(2), 3)
    values = np.column_stack([1 + weights, np.linspace(0.2, 0.4, 3)])
    return measured_study(store, name, weights, values, METRICS)


def asked(run: str, words: str, task: str = "colours|0") -> Sampled:
    samples = [Sample(f"{words} {k}?", [" red"], " red", float(k)) for k in range(2)]
    return Sampled([run], "2026-01-01", task, "acc", samples)


def add(store, one, *samples: Sampled, private: bool = False) -> dict:
    with as_person(SYSTEM):
        return add_samples(store, one, samples, private)["tasks"]


def test_each_study_keeps_its_own_items_of_one_name(store):
    first, second, third = (study(store, name) for name in ("first", "second", "third"))
    assert add(store, first, asked("first-00001", "old"), asked("first-00002", "old")) == {"colours-0": 2}
    assert add(store, second, asked("second-00001", "new"), private=True) == {"colours-0.2": 1}
    assert add(store, third, asked("third-00001", "new")) == {"colours-0.2": 1}, "the same items are one task"
    assert add(store, second, asked("second-00002", "new")) == {"colours-0.2": 1}
    for one, task, count in ((first, "colours-0", 2), (second, "colours-0.2", 2), (third, "colours-0.2", 1)):
        assert len(task_scores.answered(store, one, task)) == count
        assert [each.objective.metric for each in task_scores.scored(store, one, task)] == ["colours|0 acc"]
    root = store.workspace.root
    assert shelf.load(root, "colours-0.2").private and "in second" in shelf.load(root, "colours-0.2").source
    with pytest.raises(Problem, match=r"first-00003 was asked 2 items, and first-00001 of this study others \(2\)"):
        add(store, first, asked("first-00003", "new"))


def test_a_workspace_of_before_still_opens_and_what_has_that_name_already_stays(store):
    """A task of before has no title; one of another kind, or a damaged one, is no reason to refuse."""
    one, root = study(store, "first"), store.workspace.root
    assert add(store, one, asked("first-00001", "old")) == {"colours-0": 1}
    path = shelf.file_of(root, "colours-0")
    kept = json.loads(path.read_text())
    del kept["title"]
    path.write_text(json.dumps(kept))
    assert add(store, one, asked("first-00002", "old")) == {"colours-0": 1}
    assert len(task_scores.answered(store, one, "colours-0")) == 2
    shelf.file_of(root, "long-0").write_text("{")
    assert add(store, study(store, "second"), asked("second-00001", "x", "long|0")) == {"long-0.2": 1}
