"""Limits on Search: asked for, kept with a probability that is told, in trade-offs too; and by commands."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyMetric
from engine.jobs.spool import Job
from engine.search.job import run as run_search
from engine.service.owner import Owner
from engine.spec.flips import WINDOWS, flips_of
from engine.spec.objectives import BITS
from engine.studies import moments
from engine.studies.questions import limits_in
from store import results, studies
from tests.support.measured_study import fit, measured_study

LIMIT = 0.1


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """A loss that falls with the first domain, and windows that get worse with it."""
    opened, rng = Owner(Workspace.open(tmp_path_factory.mktemp("limits") / "workspace")), np.random.default_rng(0)
    state.use(opened)
    metrics = [StudyMetric(metric="d0", unit=BITS, higher_is_better=False, domain="d0")]
    metrics += [StudyMetric(**asdict(one)) for one in flips_of("natural", [])]
    weights = rng.dirichlet(np.ones(3), 40)
    values = np.column_stack([2 - weights[:, 0], 0.02 + 0.3 * weights[:, 0]]) + 0.004 * rng.standard_normal((40, 2))
    with as_person(SYSTEM):
        study = measured_study(opened.store, "s", weights, values, metrics, surrogates=("gp",), flips=True)
        fit(opened.store, study)
        for limits in (None, {WINDOWS: LIMIT}, {WINDOWS: -1.0}):
            asked = COMMANDS["search"](opened.store, "s", points=10_000, limits=limits)
            folder = opened.store.spool.find(asked["job"])
            run_search(Job(folder, opened.workspace.root, json.loads((folder / "spec.json").read_text())))
            opened.store.ingest()
    yield opened
    state.use(None)
    opened.close()


def found_with(owner, limits) -> dict:
    return next(one for one in results.searches(owner.store, "s") if one["settings"].get("limits", {}) == limits)


@pytest.mark.slow
def test_the_answer_keeps_its_limit_and_stays_out_of_what_is_best(owner):
    free, kept = found_with(owner, {}), found_with(owner, {WINDOWS: LIMIT})
    assert free["found"]["kept"] is None and free["found"]["found"]["mean"][1] > 0.25
    assert kept["found"]["found"]["mean"][1] < LIMIT and kept["found"]["kept"]["chance"] >= 0.88
    assert free["found"]["found"]["mean"][0] < kept["found"]["found"]["mean"][0]
    assert moments.moment_of(owner.store, studies.get(owner.store, "s")).search["job"] == free["job"]
    assert found_with(owner, {WINDOWS: -1.0})["found"]["kept"]["chance"] < 0.01


def test_limits_on_flips_are_to_hold_on_what_nobody_measured(owner):
    loss, worse = limits_in(owner.store, studies.get(owner.store, "s"), {WINDOWS: LIMIT, "d0": 2.0})
    assert (loss.others, worse.others) == (0.0, pytest.approx(0.01)), "runs say .01 of each metric"


def test_commands_take_limits(owner):
    rows = COMMANDS["trade_off"](owner.store, "s", ["d0", WINDOWS], {WINDOWS: LIMIT})
    assert len(rows) > 0 and max(row["predicted"][WINDOWS] for row in rows) < LIMIT
    assert max(row["predicted"][WINDOWS] for row in COMMANDS["trade_off"](owner.store, "s", ["d0", WINDOWS])) > 0.2
    likely = COMMANDS["targets"](owner.store, "s", {WINDOWS: LIMIT})["mixtures"][0]
    assert likely["chance"] > 0.95
    with pytest.raises(Problem, match="Cannot limit 'poems'"):
        COMMANDS["search"](owner.store, "s", limits={"poems": 1.0})
    with pytest.raises(Problem, match="Relax them"):
        COMMANDS["trade_off"](owner.store, "s", ["d0", WINDOWS], {WINDOWS: -1.0})


def page():
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for("mixture")["search"].function()("s")


def drawn(owner, limits, view: str = "Best mixture") -> AppTest:
    app = AppTest.from_function(page, default_timeout=120)
    app.session_state["result"] = found_with(owner, limits)["job"]
    app.session_state["search-look"] = view
    app.run()
    assert not app.exception, app.exception
    return app


@pytest.mark.slow
def test_the_page_says_whether_limits_are_kept(owner):
    said = "\n".join(one.value for one in drawn(owner, {WINDOWS: LIMIT}).caption)
    assert "keeps its limits (worse windows 0.100) with a probability of" in said
    assert "compared with the" in said and "a run that equals it has at most 2.5%" in said
    warned = "\n".join(one.value for one in drawn(owner, {WINDOWS: -1.0}).warning)
    assert "was wanted" in warned and "Relax the limit of worse windows first" in warned
    assert "keeps its limits" not in "\n".join(one.value for one in drawn(owner, {}).caption)
    shown = "\n".join(one.value for one in drawn(owner, {WINDOWS: LIMIT}, "Trade-off").caption)
    assert "Of draws that keep the limits of this search" in shown
