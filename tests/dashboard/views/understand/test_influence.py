"""The page Influence: domains, pairs, a new metric and how far to trust them; each says what it rests on."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from dashboard.views.understand.influence import cannot_tell, domain_words
from engine.analysis.rows import Row, Shares, judge_metric_rows
from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyMetric
from engine.service.owner import Owner
from engine.spec.objectives import BITS
from engine.studies.influence import NewDomain
from engine.studies.measured import frame_of_study
from tests.analysis.test_left_out import METRICS, World, without
from tests.support.measured_study import fit, measured_study


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    opened = Owner(Workspace.open(tmp_path_factory.mktemp("influence") / "workspace"))
    state.use(opened)
    world = World(1)
    metrics = [StudyMetric(metric=f"skill {m}", unit=BITS, higher_is_better=False) for m in range(METRICS)]
    with as_person(SYSTEM):
        empty = measured_study(opened.store, "plan", world.design(8), np.ones((8, METRICS)), metrics)
        prior = frame_of_study(empty).prior
        weights = np.vstack([world.design(30), prior, prior, prior, without(prior, (0,))])
        roles = [*["design"] * 30, "baseline", "repeat", "repeat", "proposed"]
        study = measured_study(opened.store, "s", weights, world.runs(weights), metrics, roles, surrogates=("gp",))
        fit(opened.store, study)
    yield opened
    state.use(None)
    opened.close()


def page():
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for("mixture")["influence"].function()("s")


def drawn(view: str) -> tuple[AppTest, str]:
    found = AppTest.from_function(page, default_timeout=120)
    found.session_state["influence-look"] = view
    found.run()
    assert not found.exception, found.exception
    assert not found.info, [one.value for one in found.info]
    return found, "\n".join(one.value for one in found.caption).replace("\\", "")


@pytest.mark.slow
def test_domains_are_predicted_and_measured(owner):
    found, said = drawn("Domains")
    assert "minus the metric without the row's domain" in said and "± is 95%, of the prediction's mean" in said
    assert "on 32 runs" in said
    assert found.button(key="train-without-False").label == "Train the 4 mixtures without one domain"
    found.segmented_control(key="influence-by").set_value("measured").run()
    assert not found.exception
    assert any("1 of 5 are trained" in one.value for one in found.caption)


def test_pairs_say_what_two_do_together(owner):
    found, said = drawn("Pairs")
    assert "beyond the sum of both" in said
    assert len(found.selectbox(key="pair-left-out").options) == 10


def test_a_new_metric_has_a_row_with_its_judgement(owner):
    found, said = drawn("New metric")
    assert "Judged by leaving each of 7 other metrics out" in said
    assert len(found.dataframe[0].value) == 5


def test_trust_tells_of_rows_and_combinations(owner):
    found, said = drawn("Trust")
    assert "1 is as good as saying that nothing has an effect" in said
    assert any("runs of a new metric" in one.value for one in found.dataframe)


def test_what_cannot_be_judged_names_its_own_cure():
    row = Row(np.zeros(2), np.ones(2))
    lacking = NewDomain(["a", "b"], 18, 0.1, row, row, None, "Two domains are too few.")
    assert cannot_tell(lacking).endswith("by 18 runs with it. Two domains are too few.")
    assert "drawn towards" not in domain_words(lacking)
    with pytest.raises(Problem, match=r"4 known metrics are the fewest.*there are 3"):
        judge_metric_rows(np.ones((9, 3)), np.ones((2, 3)), Shares(np.ones((9, 2)), np.ones((2, 2))), 4)
