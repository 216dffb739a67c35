"""What pages tell from the third run on, where they wait for a fit, and the word that the answer rests on the prior."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyMetric
from engine.service.owner import Owner
from engine.spec.objectives import BITS
from engine.studies.early import early_answers
from store import studies
from tests.support.measured_study import fit, measured_study

METRICS = [StudyMetric(metric=f"d{k}", unit=BITS, higher_is_better=False, domain=f"d{k}") for k in range(3)]


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """Studies of 2, 4 and 10 runs; the last is fitted."""
    opened = Owner(Workspace.open(tmp_path_factory.mktemp("early") / "workspace"))
    state.use(opened)
    with as_person(SYSTEM):
        for count in (2, 4, 10):
            weights = np.random.default_rng(count).dirichlet(np.ones(3), count).round(6)
            weights[:, 2] = 1 - weights[:, :2].sum(axis=1)
            losses, spec = 1 + (weights + 0.1) ** -0.3, {"surrogates": ("in_context",), "runs": 30}
            study = measured_study(opened.store, f"of-{count}", weights, losses, METRICS, ["design"] * count, **spec)
        fit(opened.store, study)
    yield opened
    state.use(None)
    opened.close()


def page(study: str) -> None:
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for("mixture")["explore"].function()(study)


def texts(study: str) -> tuple[AppTest, str]:
    found = AppTest.from_function(page, args=(study,), default_timeout=120).run()
    assert not found.exception, found.exception
    return found, " ".join(str(one.value) for one in (*found.markdown, *found.caption))


@pytest.mark.slow
def test_the_third_run_is_the_first_that_tells_something(owner):
    assert early_answers(owner.store, studies.get(owner.store, "of-2")) is None
    found = early_answers(owner.store, studies.get(owner.store, "of-4"))
    assert found.runs == 4 and found.names and found.mean.shape == found.half.shape == (len(found.names), 3)
    assert (found.half > 0).all() and (np.abs(found.mean - 2) < 1).all()


def test_pages_that_wait_show_intervals_and_say_what_they_rest_on(owner):
    found, said = texts("of-4")
    (table,) = (one.value for one in found.dataframe)
    assert table["metric"].tolist() == ["d0", "d1", "d2"] and table["uniform"].str.contains("±").all()
    assert "few" in said and "4 runs" in said and "synthetic studies" in said
    assert not texts("of-2")[0].dataframe


def test_explore_says_that_few_runs_rest_on_the_prior(owner):
    _, said = texts("of-10")
    assert ": few]" in said and "With 10 runs for 3 weights" in said
