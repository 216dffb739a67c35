"""A merge that is good enough writes on where a passage stops, when it is asked, and only where it was asked."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from dashboard.views.merges import measuring
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from store import studies
from tests.support.running import copied


@pytest.fixture
def study(merged, tmp_path):
    """The id of a merge study, in a workspace that this process owns."""
    owner = Owner(Workspace.open(copied(merged, tmp_path / "workspace")))
    state.use(owner)
    yield next(one.id for one in studies.all_studies(owner.store) if one.kind == "merge")
    state.use(None)
    owner.close()


def page(study: str) -> None:
    import streamlit as st

    from dashboard.views.merges.explore import render

    st.session_state["pages"] = {}
    render(study)


def texts(shown) -> str:
    return "\n".join(str(one.value) for one in [*shown.caption, *shown.text])


def test_a_good_merge_writes_on_where_it_is_asked(study, monkeypatch):
    monkeypatch.setattr(measuring, "QUALITY", 99.0)
    monkeypatch.setattr(measuring, "SAMPLE_SECONDS", 60.0)
    shown = AppTest.from_function(page, args=(study,), default_timeout=120)
    shown.session_state["merge-look"] = "Passages"
    shown.run()
    assert "drawn from its predictions" not in texts(shown)
    next(one for one in shown.button if one.label == "Let it write on").click().run()
    assert not shown.exception and "drawn from its predictions, draw 1" in texts(shown) and len(shown.text) == 1
    next(one for one in shown.button if one.label == "digits alone").click().run()
    assert "drawn from its predictions" not in texts(shown)  # another merge, which nobody asked
