"""A new source is priced on Next runs: the verdict, what it rests on, and what is said where it cannot be."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from tests.studies.test_contents import made, run_study


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """A page's owner of a study, and of a corpus that no proxy saw."""
    folder = tmp_path_factory.mktemp("source")
    opened = Owner(Workspace.open(folder / "workspace"))
    state.use(opened)
    with as_person(SYSTEM):
        for name in ("alpha", "gamma"):
            made(opened.store, name, folder / name)
        run_study(opened.store, "one", "alpha", seed=1)
    yield opened
    state.use(None)
    opened.close()


def script():
    """What Next runs says of a new source."""
    from dashboard.server import state
    from dashboard.views.understand.new_source import new_source
    from engine.studies.measured import aggregate_of
    from store import studies

    study = studies.get(state.store(), "one")
    new_source(study, aggregate_of(state.store(), study))


def test_a_source_is_chosen_and_priced(owner):
    app = AppTest.from_function(script, default_timeout=60).run()
    assert not app.exception and "before a proxy has seen it" in app.caption[0].value
    app.selectbox(key="source-corpus").set_value("gamma").run()
    app.selectbox(key="source-domain").set_value("same").run()
    assert not app.exception
    assert app.warning[0].value.startswith("**Worse.** 5.0% of same of gamma, taken from all domains")
    assert "change the mean loss by +0.0" in app.warning[0].value and "bits per byte" in app.warning[0].value
    said = " ".join(one.value for one in app.caption).replace("\\", "")
    assert "Based on 20 runs from 1 of 1 studies" in said and "(one: digits 100%)" in said
    assert "was not checked" in said
    app.selectbox(key="source-domain").set_value("strange").run()
    assert app.info[0].value.startswith("**Cannot tell.**")


def test_a_source_that_cannot_be_priced_is_said(owner):
    folder = owner.workspace.corpus("alpha")
    gone = folder.rename(folder.with_name("gone"))
    try:
        app = AppTest.from_function(script, default_timeout=60).run()
        app.selectbox(key="source-corpus").set_value("gamma").run()
        app.selectbox(key="source-domain").set_value("same").run()
        assert not app.exception and "its text is not there" in app.error[0].value
    finally:
        gone.rename(folder)
