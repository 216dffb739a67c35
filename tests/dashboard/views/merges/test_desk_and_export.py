"""Pages of a merge study without a browser: a merge that continues a text, and one that is written as a checkpoint."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from dashboard.views.merges import measuring
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from store import jobs, studies
from tests.support.running import copied


@pytest.fixture(scope="module")
def study(merged, tmp_path_factory):
    """The id of a merge study, in a workspace that this process owns."""
    owner = Owner(Workspace.open(copied(merged, tmp_path_factory.mktemp("desk") / "workspace")))
    state.use(owner)
    yield next(one.id for one in studies.all_studies(owner.store) if one.kind == "merge")
    state.use(None)
    owner.close()


def page(path: str, study: str) -> None:
    import streamlit as st

    from dashboard.views import MERGE, pages_for

    st.session_state["pages"] = {}
    pages_for(MERGE)[path].function()(study)


def press(shown: AppTest, label: str) -> None:
    next(one for one in shown.button if one.label == label).click().run()
    assert not shown.exception


def texts(shown) -> str:
    return "\n".join(str(one.value) for one in [*shown.caption, *shown.text])


def test_a_good_merge_writes_on_where_it_is_asked(study, monkeypatch):
    monkeypatch.setattr(measuring, "QUALITY", 99.0)
    monkeypatch.setattr(measuring, "SAMPLE_SECONDS", 60.0)
    shown = AppTest.from_function(page, args=("explore", study), default_timeout=120)
    shown.session_state["merge-look"] = "Passages"
    shown.run()
    assert "drawn from its predictions" not in texts(shown)
    press(shown, "Continue the text")
    assert "drawn from its predictions, draw 1" in texts(shown) and len(shown.text) == 1
    press(shown, "digits alone")
    assert "drawn from its predictions" not in texts(shown)  # another merge, which nobody asked


def test_the_merge_that_is_exported_is_written_as_a_checkpoint(study):
    shown = AppTest.from_function(page, args=("export", study), default_timeout=120).run()
    store = state.store()
    shown.text_input[0].set_value("../outside").run()
    press(shown, "Write checkpoint")
    assert "'../outside'" in shown.error[0].value and not writing(store, study)
    shown.text_input[0].set_value("mine").run()
    for _ in range(2):  # the same merge under the same name is one job
        press(shown, "Write checkpoint")
        (job,) = writing(store, study)
        assert not shown.error and jobs.spec(store, job)["out"] == "mine.safetensors"


def writing(store, study: str) -> list[str]:
    return [job.id for job in jobs.of_study(store, study) if job.kind == "merge_write"]
