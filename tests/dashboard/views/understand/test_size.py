"""The size of the target on Explore: what is predicted there, how the best mixture moves, and what is said instead."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.spool import Job
from engine.league import run as run_league
from engine.service.owner import Owner
from engine.studies import fits, imports, size_moves
from engine.studies.measured import for_fitting
from store import studies
from tests.importing.flat import write
from tests.studies.test_sizes import ALL, SIZES, columns_of


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """A page's owner of two fitted studies: one of several sizes, one of a single one."""
    opened = Owner(Workspace.open(tmp_path_factory.mktemp("size") / "workspace"))
    state.use(opened)
    folder = opened.workspace.root / "imports"
    folder.mkdir()
    with as_person(SYSTEM):
        for name, sizes, answers in (("Many", SIZES, ALL), ("One", {(1e8, 2e9): 24}, {})):
            write(folder / f"{name}.csv", columns_of(sizes))
            imports.import_runs(opened.store, name, "flat", f"{name}.csv", answers=answers)
            fit(opened.store, studies.get(opened.store, name))
    yield opened
    state.use(None)
    opened.close()


def fit(store, study) -> None:
    job = fits.fit_id(study, for_fitting(store, study.id))
    folder = store.spool.find(job)
    spec = json.loads((folder / "spec.json").read_text()) | {"surrogates": ["own_share", "power_law"], "repeats": 1}
    run_league(Job(folder, store.workspace.root, spec))
    store.ingest()


def script(name: str):
    """Explore's target and what follows from it."""
    import streamlit as st

    from dashboard.server import state
    from dashboard.views.shared.size import best_at_size, fit_at_size
    from dashboard.views.shared.study import named_of
    from dashboard.views.shared.target import target_fader
    from engine.studies.fits import fit_of
    from engine.studies.measured import aggregate_of, frame_of_study
    from store import studies

    study = studies.get(state.store(), name)
    aggregate = aggregate_of(state.store(), study)
    target = target_fader(study, frame_of_study(study))
    sized = target.size and fit_at_size(study, fit_of(state.store(), study), target.size)
    st.write(f"by {sized.title if sized else 'shares'}")
    if sized:
        best_at_size(study, named_of(study), sized, aggregate, target.size, target.tokens)


def opened(name: str, **link: str) -> AppTest:
    app = AppTest.from_function(script, kwargs={"name": name}, default_timeout=60)
    for key, value in link.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


@pytest.mark.slow
def test_predictions_follow_the_size_where_the_runs_are_of_several(owner, monkeypatch):
    assert opened("Many").markdown[0].value == "by shares"
    app = opened("Many", size="3e8", target="2e10")
    assert app.markdown[0].value == "by One process over all sizes"
    assert app.expander[0].label == "The best mixture at 300M parameters and 20B tokens"
    assert len(app.dataframe[0].value) == 3 and not app.warning
    monkeypatch.setattr(size_moves, "REFITS", 4)
    app.toggle[0].set_value(True).run()
    assert not app.exception
    moved = app.dataframe[0].value
    assert set(moved["the share"]) <= {"rises", "falls", "cannot tell"}
    assert moved["best at 300M parameters and 20B tokens"].sum() == pytest.approx(1)


def test_what_has_to_be_known_of_a_far_size_is_said(owner):
    app = opened("Many", size="1e10", target="2e10")
    assert any("10B parameters, and they have 100M to 300M" in one.value for one in app.warning)


def test_one_size_tells_nothing_of_others_and_it_is_said(owner):
    app = opened("One", size="1e10")
    assert app.markdown[0].value == "by shares"
    assert any("all runs are of 100M parameters and 2B tokens" in one.value for one in app.caption)


def plan_script(name: str):
    """The plan over sizes on Next runs."""
    from dashboard.server import state
    from dashboard.views.understand.size_plan import size_plan
    from engine.studies.measured import aggregate_of
    from store import studies

    study = studies.get(state.store(), name)
    size_plan(study, aggregate_of(state.store(), study))


def test_next_runs_plans_a_budget_over_sizes(owner):
    app = AppTest.from_function(plan_script, kwargs={"name": "Many"}, default_timeout=60).run()
    assert not app.exception and not app.info
    app.toggle(key="size-plan").set_value(True).run()
    (said,) = app.info
    assert "is ahead of" in said.value and "expected after them" in said.value
    assert "this size alone" in app.dataframe[0].value["budget"].tolist()
    app.text_input[2].set_value("plenty").run()
    assert "Cannot read 'plenty' as a number" in app.error[0].value
    app.text_input[2].set_value("1").run()
    assert "Cannot buy a run for 1 FLOPs" in app.error[0].value


def test_runs_of_one_size_need_no_such_plan(owner):
    app = AppTest.from_function(plan_script, kwargs={"name": "One"}, default_timeout=60).run()
    assert not app.exception and not app.expander
