"""Results of lm-evaluation-harness on the page Tasks, and the form that runs it on a model."""

import importlib.util

import pandas as pd
import streamlit as st

from dashboard.models import harness as words
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role, say_if_there
from dashboard.views.shared.dialogs import dialog
from dashboard.views.shared.live import live
from dashboard.views.shared.progress import under_way
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.spec.harness import FOLDER, files_in, is_proxy, models_in
from engine.studies.harness import queue_harness
from store import jobs, results

MOST = 10**6  # items of a task


def render() -> None:
    """The results of all models, and the button."""
    head, button = st.columns([5, 1], vertical_alignment="bottom")
    head.header("Results of a harness", anchor=False)
    style = {"icon": ":material/play_arrow:", "width": "stretch"}
    if button.button("Run a harness", **style, **needs_role("operator")):
        new_run()
    live(results_so_far)


def results_so_far() -> None:
    """What runs, and what was measured."""
    store = state.store()
    under_way(jobs.of_kind(store, "harness"), "harness", "harness")
    found = results.harness(store)
    if not found:
        st.caption(
            "lm-evaluation-harness asks language models and saved proxies of this workspace the tasks that many papers "
            "report, or tasks of your own."
        )
        return
    st.dataframe(pd.DataFrame(words.table(found)), hide_index=True, key="harness-results")
    versions = ", ".join(sorted({one["version"] for one in found}))
    st.caption(
        f"lm-evaluation-harness {plain(versions)}. ± is 95% over items, by its own standard errors; n is the number of "
        "items; chance is what guessing scores, where the task says so. Of several runs on one model the latest counts."
    )
    if lost := words.cut(found):
        st.caption(plain(listed(lost, between="; ")) + ".")


@dialog("Run a harness", width="large")
def new_run() -> None:
    """The form, in a dialog."""
    form()


def form() -> None:
    """Ask for a model and tasks, then queue the job."""
    store = state.store()
    root = store.workspace.root
    models, files = models_in(root), files_in(root)
    if importlib.util.find_spec("lm_eval") is None:
        st.caption(
            ":material/warning: lm-evaluation-harness is not installed here. Jobs need it: "
            "`python -m pip install -r requirements-harness.txt`"
        )
    if not models:
        st.caption(
            "No model yet. Put a language model's folder into the workspace's checkpoints folder, or finish a merge "
            "study, whose proxies are saved."
        )
        return
    model = st.selectbox("Model", models)
    study = st.text_input("Study that trained it", help="Its id or name.") if asks_study(model) else None
    own = st.multiselect(f"Tasks of your own, in the workspace's folder {FOLDER}", files)
    named = st.text_input("Tasks of the harness, by name", placeholder="arc_easy, hellaswag")
    limit = st.number_input("Items of each task", 0, MOST, 0, help="0: all.")
    st.caption("Nothing is downloaded: data sets are local files, or lie in the cache that HF_HOME names.")
    tasks = [*own, *(one.strip() for one in named.split(",") if one.strip())]
    if st.button("Run", type="primary", icon=":material/play_arrow:", **needs_role("operator", not tasks)):
        try:
            asked = queue_harness(store, model, tasks, int(limit) or None, study or None)
        except Problem as problem:
            refusal(problem)
            return
        say_if_there(asked.already_there)
        st.rerun()


def asks_study(model: str) -> bool:
    """Whether a model's path does not tell which study it is of."""
    return is_proxy(model) and model.startswith("exports/")
