"""The workspace that tests of reviews share: a finished study, in which they nominate, discuss and decide."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from store import studies
from store.database import Store
from tests.support.running import copied


@pytest.fixture(scope="module")
def desk(finished, tmp_path_factory):
    """A copy of the finished workspace that these tests may change."""
    return copied(finished, tmp_path_factory.mktemp("review") / "workspace")


@pytest.fixture
def open_desk(desk):
    """The desk's store and study; candidates of earlier tests are there."""
    store = Store(Workspace.open(desk))
    yield store, studies.get(store, "Small")
    store.close()


def page(path: str, study: str) -> None:
    import streamlit as st

    from dashboard.views import MIXTURE, pages_for

    st.session_state["pages"] = {}
    pages_for(MIXTURE)[path].function()(study)


@pytest.fixture
def pages(desk):
    """The owner's store and study, as the page's process has them, and a function that opens a page."""
    owner = Owner(Workspace.open(desk))
    state.use(owner)
    study = studies.get(owner.store, "Small")

    def opened(path: str, **query: str) -> AppTest:
        found = AppTest.from_function(page, args=(path, study.id), default_timeout=60)
        found.query_params.update({"study": study.id, **query})
        return found.run()

    yield owner.store, study, opened
    state.use(None)
    owner.close()
