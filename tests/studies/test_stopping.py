"""Hopeless runs are stopped where a study asks for it: which, from when on, and what is said of it."""

import json

import numpy as np
import pytest

from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs import stops
from engine.spec.study import StudySpec
from engine.studies.advance import advance
from store import runs, studies
from store.database import Store
from tests.studies.test_endings import METRICS
from tests.support.measured_study import in_training, measured_study
from tests.support.nasty import tell

TOKENS = {"tokens": 250, "step": 25, "steps": 100, "seconds": 1.0, "cpu_seconds": 1.0, "message": "It was worse."}


def trained(store: Store, name: str, done: int = 30, **spec) -> list[str]:
    """A study of finished runs, and four that train: the last is far worse than all, the one before far better."""
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.ones(3), done + 4)
    early = 2.5 - shares @ [[0.6, 0.1, 0.0], [0.1, 0.5, 0.0], [0.0, 0.0, 0.4]] + 0.05 * rng.random((done + 4, 3))
    early[-2:] += [[-0.5], [0.5]]
    finals = 0.3 + 0.7 * early + 0.003 * rng.standard_normal(early.shape)
    values = np.column_stack([finals, 0.9 - 0.2 * finals.mean(axis=1)])
    study = measured_study(store, name, shares[:done], values[:done], METRICS, looks={250: early[:done]}, **spec)
    return in_training(store, study, shares[done:], {250: early[done:]})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(Workspace.open(tmp_path_factory.mktemp("stopping") / "workspace"))
    with as_person(SYSTEM):
        yield opened
    opened.close()


def asked(store: Store, study: str) -> dict[str, str]:
    return stops.asked(store.spool.find(f"{study}-more"))


def test_only_what_is_worse_is_stopped_and_only_where_asked(store):
    trained(store, "off")
    names = trained(store, "on", stop_hopeless=True)
    advance(store)
    assert not asked(store, "off")
    found = asked(store, "on")
    assert names[-1] in found and names[-2] not in found
    worse = {one["run"] for one in COMMANDS["curves"](store, "on")["runs"] if one["verdict"] == "worse"}
    assert set(found) == worse and "Stopped early: by its losses after 250 of 1,000 tokens" in found[names[-1]]
    advance(store)
    assert asked(store, "on") == found


def test_none_is_stopped_before_enough_are_trained_whole(store):
    trained(store, "few", done=11, stop_hopeless=True)
    advance(store)
    assert not asked(store, "few"), "eight teach an interval, and twelve are trained whole"


def test_roles_that_others_rest_on_are_never_stopped(store):
    names = trained(store, "roles", stop_hopeless=True)
    from store.stopped import jobs_of

    assert jobs_of(store, names, ("baseline", "repeat")) == {}
    assert jobs_of(store, names, ("design",)) == {"roles-more": names}


def test_what_stopping_saved_is_said_and_a_retry_leaves_it(store):
    names = trained(store, "told", stop_hopeless=True)
    tell(store, "told-more", {"kind": "run.stopped", "run": names[-1], **TOKENS})
    study = studies.get(store, "told")
    assert study.counts["stopped"] == 1 and study.lost == 3, "the job ended without the others"
    found = COMMANDS["curves"](store, "told")["stopped"]
    assert found["runs"] == [{"number": 34, "tokens": 250, "whole": 1000}]
    assert found["saved"] == pytest.approx(750 / (750 + 30 * 1000 + 250))
    assert found["note"].startswith("1 run stopped early, after 25% of the tokens, which saved 2% of the tokens")
    assert names[-1] not in runs.measured(store, study.id).ids
    store.spool.retry("told-more")
    store.ingest()
    assert studies.get(store, "told").counts["stopped"] == 1, "a retry does not plan it again"
    assert studies.get(store, "told").open == 3


def test_a_study_of_merges_or_of_another_trainer_refuses_it():
    with pytest.raises(Problem, match="stop_hopeless"):
        StudySpec.from_dict({"name": "x", "merge": {}, "stop_hopeless": True})
    with pytest.raises(Problem, match="stop_hopeless"):
        StudySpec.from_dict({"name": "x", "trainer": "external", "stop_hopeless": True})
    assert json.loads(json.dumps(StudySpec.from_dict({"name": "x"}).to_dict()))["stop_hopeless"] is False
