"""The page Runs while runs train: what they are predicted to measure, and how far that is to be trusted."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from tests.studies.test_endings import trained


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    opened = Owner(Workspace.open(tmp_path_factory.mktemp("endings") / "workspace"))
    state.use(opened)
    with as_person(SYSTEM):
        trained(opened.store, "many")
        trained(opened.store, "few", done=5)
    yield opened
    state.use(None)
    opened.close()


def page(study: str) -> None:
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for("mixture")["runs"].function()(study)


def drawn(study: str) -> AppTest:
    found = AppTest.from_function(page, args=(study,), default_timeout=120).run()
    assert not found.exception, found.exception
    return found


def test_runs_in_training_stand_with_their_predicted_ends(owner):
    found = drawn("many")
    (table,) = (one.value for one in found.dataframe if "against the best finished" in one.value)
    assert len(table) == 6 and set(table["read"]) == {"25%"} and " ± " in table["mean loss, bits per byte"][0]
    assert table["against the best finished"].tolist()[-2:] == ["better (95%)", "worse (95%)"]
    assert table.notna().all().all() and "quiz [accuracy]" in table
    checked = [one.value for one in found.caption if "Checked on 30 finished runs" in one.value]
    assert len(checked) == 2 and "after 25% of its tokens" in checked[0] and "is missed by 0.0" in checked[0]


def test_where_too_few_have_finished_the_page_says_what_it_takes(owner):
    found = drawn("few")
    assert any("8 finished runs of the same size" in one.value for one in found.caption)
    assert not any("against the best finished" in one.value for one in found.dataframe)
