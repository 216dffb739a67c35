"""The page Tasks on scores whose truth is known: what is warned of, links, directions, and scores at a larger size."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.service.owner import Owner
from engine.tasks import shelf
from tests.studies.test_steering import METRICS, MIXTURES, REPEATED, TIMES, task, values_at
from tests.support.measured_study import fit, measured_study

LARGER = {(4e6, 4e7): (10, 0.15), (1.6e7, 1.6e8): (8, 0.07)}  # size -> runs, and how far their losses lie lower


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """A study of three sizes whose tasks both count: one follows a loss, one is noise."""
    opened, rng = Owner(Workspace.open(tmp_path_factory.mktemp("steering") / "workspace")), np.random.default_rng(0)
    state.use(opened)
    for name in ("good", "noise"):
        shelf.save(opened.workspace.root, task(name))
    points = rng.dirichlet(np.ones(3), MIXTURES)
    own = np.vstack([points, np.repeat(points[:REPEATED], TIMES - 1, axis=0)])
    parts = [(own, values_at(own, rng, 0.3), np.tile([1e6, 1e7], (len(own), 1)))]
    for place, (count, level) in LARGER.items():
        more = rng.dirichlet(np.ones(3), count)
        parts.append((more, values_at(more, rng, level), np.tile(place, (count, 1))))
    weights, values, sizes = (np.concatenate(one) for one in zip(*parts, strict=True))
    roles = ["baseline", *["design"] * (MIXTURES - 1), *["repeat"] * (REPEATED * (TIMES - 1)), *["design"] * 18]
    counting = {"noise accuracy": 1.0, "good accuracy": 1.0}
    with as_person(SYSTEM):
        study = measured_study(
            *(opened.store, "s", weights, values, METRICS, roles, sizes),
            **{"tasks": ("good", "noise"), "priorities": counting, "surrogates": ("log_linear",)},
        )
        fit(opened.store, study)
    yield opened
    state.use(None)
    opened.close()


def page():
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    pages_for("mixture")["tasks"].function()("s")


def drawn(name: str) -> AppTest:
    app = AppTest.from_function(page, default_timeout=120)
    app.session_state["task-of-study"] = name
    app.run()
    assert not app.exception, app.exception
    return app


@pytest.mark.slow
def test_what_counts_and_cannot_be_steered_is_warned_of(owner):
    (warned,) = [one.value for one in drawn("good").warning if "steer" in one.value]
    assert warned.startswith("noise accuracy counts, but the mixture does not steer it")
    table = next(one.value for one in drawn("good").dataframe if "verdict" in one.value)
    assert table.set_index("metric")["verdict"].to_dict() == {
        "good accuracy": "can be steered",
        "noise accuracy": "cannot be steered",
    }
    assert table["held-out rank, 95%"].str.contains("to").all()


def test_links_are_claimed_where_they_are(owner):
    good, noise = ("\n".join(one.value for one in drawn(name).caption) for name in ("good", "noise"))
    assert "The score follows this loss, by 64 runs" in good
    assert "64 runs do not show that the score follows this loss" in noise
    assert "No direction is more than chance" in good and "from 64 runs" in good


def test_a_score_at_a_larger_size_stands_beside_its_check(owner):
    said = "\n".join(one.value for one in drawn("good").caption)
    assert "best predicted" in said and "exists after a search" in said, "there is no search yet, and that is said"
    from engine.studies.score_forecasts import forecast
    from store import studies

    found = forecast(owner.store, studies.get(owner.store, "s"), 3, np.ones(3) / 3, 4.0)
    assert found.sizes == 3 and found.inside >= 6 and found.target > found.compute.max()
