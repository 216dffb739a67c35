"""The page Phases: the verdict, faders for each phase with the totals, epochs, and what the order adds."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from tests.studies.test_phases import made


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    opened = Owner(Workspace.open(tmp_path_factory.mktemp("phases") / "workspace"))
    state.use(opened)
    with as_person(SYSTEM):
        made(opened.store, "late", 0.3)
        made(opened.store, "same", 0.0)
    yield opened
    state.use(None)
    opened.close()


def page(study: str) -> None:
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for("mixture")["phases"].function()(study)


def drawn(study: str) -> AppTest:
    found = AppTest.from_function(page, args=(study,), default_timeout=120).run()
    assert not found.exception, found.exception
    return found


@pytest.mark.slow
def test_an_order_that_pays_is_told_and_its_schedule_stands_at_the_faders(owner):
    found = drawn("late")
    assert "Order matters" in found.success[0].value
    laws, shares, metrics, runs = (one.value for one in found.dataframe)
    assert laws["beyond noise"].tolist() == ["yes", "no", "no", "yes"]
    assert shares["phase 2, 20%"][0] > shares["phase 1, 80%"][0], "the best schedule"
    assert "epochs, total" in shares and len(metrics) == 3 and len(runs) == 24
    assert any(one.key == "set-phases-best schedule" for one in found.button)
    found.button(key="set-phases-natural").click().run()
    assert not found.exception
    shares = found.dataframe[1].value
    assert shares["phase 2, 20%"].tolist() == pytest.approx(shares["phase 1, 80%"].tolist(), abs=1e-6)


def test_an_order_that_does_nothing_is_called_nothing(owner):
    found = drawn("same")
    assert "keep one mixture" in found.info[0].value and not found.success
    assert all(row == "0" for row in found.dataframe[2].value["by order, 95%"])
