"""Negative flips of merges: what they do worse than the base, counted as they are measured, in searches, trade-offs and
targets, by commands and on the page."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.merging.measuring.proxies import ProxyMerges
from engine.proxies.evaluate import validation_windows
from engine.service.owner import Owner
from engine.spec.flips import WINDOWS, items_of
from engine.spec.statistics import Z95
from engine.studies.merges.questions import merge_spec, task_of
from store import runs, studies
from tests.support.running import STUDY, answer, engine

ITEMS = items_of("brackets")
FLIPPED = (
    STUDY.replace('"Small"', '"Flipped"')
    .replace("runs = 16", "runs = 12")
    .replace("tokens = 32768", "tokens = 16384")
    .replace('["log_linear", "ridge", "gp", "stack"]', '["gp"]\nflips = true\ntasks = ["brackets"]')
    .replace("[fidelity]", "[merge]\n[fidelity]")
)


@pytest.fixture(scope="module")
def flipped(desk):
    """The workspace with a finished merge study that counts flips."""
    (desk / "flipped.toml").write_text(FLIPPED)
    engine(desk, "add-task", "brackets", "--generate", "brackets", "--items", "20")
    engine(desk, "start", str(desk / "flipped.toml"), "--wait")
    return desk


@pytest.fixture
def owner(flipped):
    opened = Owner(Workspace.open(flipped))
    state.use(opened)
    yield opened
    state.use(None)
    opened.close()


def test_the_base_is_worse_on_nothing_and_a_window_counts_beyond_the_noise_of_its_tokens(own):
    store, study = own
    task = replace(task_of(study, merge_spec(study)), flips=True)
    merges = ProxyMerges(task, store.workspace.root, "cpu")
    assert merges.measures[-1] == WINDOWS
    points = np.vstack([np.zeros(3), np.eye(3)])
    losses, errors = merges.measure(points)
    assert losses[0, -1] == 0 < errors[0, -1] and (losses[1:, -1] > 0.1).all(), "experts forget other domains"
    plain = ProxyMerges(replace(task, flips=False), store.workspace.root, "cpu").measure(points)[0]
    np.testing.assert_array_equal(losses[:, :-1], plain)
    shares = []  # by hand, of the first expert
    for domain in merges.domains:
        shard = merges.corpus.valid(domain)
        windows = validation_windows(shard, merges.fidelity.context, merges.fidelity.eval_tokens, domain)
        own, base = (nats_of(merges, point, windows) for point in points[[1, 0]])
        gap = own - base
        shares.append(np.mean(gap.mean(1) > Z95 * gap.std(1, ddof=1) / np.sqrt(gap.shape[1])))
    assert losses[1, -1] == pytest.approx(np.mean(shares), abs=1e-9)
    fewer = merges.measure(points[:1], tokens=512)[0]
    assert fewer[0, -1] == 0, "live measurements have windows of their own"


def nats_of(merges: ProxyMerges, point: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The losses of the tokens of windows under the merge at a point."""
    tokens = torch.from_numpy(windows.astype(np.int64))[None]
    return merges._stacked(point[None]).token_nll(tokens)[0].double().numpy()


def test_a_study_counts_flips_of_every_merge_as_it_is_measured(owner):
    study = studies.get(owner.store, "Flipped")
    assert study.metrics[-2:] == [WINDOWS, ITEMS] and {one.reference for one in study.objectives[-2:]} == {"base"}
    rows = runs.table(owner.store, study.id).to_pylist()
    worse = {row["label"]: row["losses"][-2:] for row in rows if row["role"] == "baseline"}
    assert worse["base"] == [0, 0]
    assert all(None not in row["losses"] and row["state"] == "done" for row in rows if row["role"] != "expert")
    assert studies.league(owner.store, study.id) is not None, "nothing waits for a count"


def test_searches_trade_offs_and_targets_keep_limits(flipped):
    limit = ("--limit", f"{WINDOWS}=0.4")
    found = answer(flipped, "search-merges", "Flipped", "--by", "random", "--evaluations", "12", *limit, "--wait")
    kept, losses = found["found"]["kept"], found["found"]["losses"]
    assert found["settings"]["limits"] == {WINDOWS: 0.4}
    assert (kept["inside"] > 0) == (kept["chance"] >= 0.9 - 1e-9) and (losses[-2] < 0.4 or not kept["inside"])
    again = answer(flipped, "search-merges", "Flipped", "--by", "random", "--evaluations", "12", "--wait")
    assert "limits" not in again["settings"] and again["found"].get("kept") is None
    guided = answer(flipped, "search-merges", "Flipped", "--evaluations", "8", *limit, "--wait")
    assert guided["found"]["losses"][-2] < 0.4 and guided["found"]["kept"]["chance"] > 0.5
    told = answer(flipped, "search", "Flipped", "--points", "2000", *limit, "--wait")
    assert told["found"]["kept"]["wanted"] == 0.9
    for row in answer(flipped, "trade-off", "Flipped", "--metric", "prose", "--metric", WINDOWS, *limit):
        assert row["predicted"][WINDOWS] < 0.4
    assert answer(flipped, "targets", "Flipped", *limit)["mixtures"]
    wrong = engine(flipped, "search-merges", "Flipped", "--limit", "latin=1", check=False)
    assert wrong.returncode == 1 and "Cannot limit 'latin'" in wrong.stderr


def page(view: str):
    import streamlit as st

    from dashboard.views import pages_for

    st.session_state["pages"] = {}
    st.session_state["merge-search"] = view
    pages_for("merge")["search"].function()("Flipped")


@pytest.mark.parametrize("view", ["Search", "Trade-off", "Targets"])
def test_the_page_asks_for_limits_and_says_what_is_compared(owner, view):
    with as_person(SYSTEM):
        shown = AppTest.from_function(page, kwargs={"view": view}, default_timeout=120).run()
    assert not shown.exception, shown.exception
    said = "\n".join(one.value for one in [*shown.caption, *shown.markdown]).replace("\\", "")
    if view == "Search":
        assert "compared with the base; a merge that equals it has at most 2.5%" in said
        assert "on other text, keeps its limits" in "\n".join(one.value for one in [*shown.caption, *shown.warning])
    elif view == "Trade-off":
        assert shown.multiselect[0].value[-1] == studies.get(owner.store, "Flipped").metrics.index(WINDOWS)
        assert "At this point: " in said and f"{WINDOWS} " in said and " draws are on the front" in said
        assert "A merge at each point of the front is to keep all of them" in said
        buttons = [one.label for one in shown.button]
        assert {"Set faders to this point", "Measure this point"} <= {*buttons}
    else:
        assert "Set a target for each metric" in said
