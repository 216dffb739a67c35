"""What every page says: that a study has finished or needs attention, once each; and that nobody runs its jobs."""

import time

import streamlit as st

from dashboard.server import state
from dashboard.views.shared.text import plain
from store import jobs, notices

ICONS = {"finished": ":material/task_alt:", "failed": ":material/error:"}


def show() -> None:
    """All of them."""
    toast()
    worker()


def toast() -> None:
    """Show the notices since this session last looked."""
    since = st.session_state.setdefault("notices_since", time.time())
    for notice in notices.since(state.store(), since):
        if notice.outcome in ICONS:  # reviews stand in the inbox of whom they are about
            st.toast(plain(notice.text), icon=ICONS[notice.outcome], duration="long")
        st.session_state["notices_since"] = notice.t


def worker() -> None:
    """Say on every page that jobs wait and nobody runs them."""
    store = state.store()
    if jobs.any_busy(store) and not store.workspace.is_held("worker"):
        st.warning(
            "No worker is running, so queued jobs do not start. `make run` starts one along with the page, "
            "`python -m engine.worker` on its own.",
            icon=":material/power_off:",
        )
