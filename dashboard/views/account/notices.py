"""Toasts: a study has finished or needs attention. Each browser session sees each notice once."""

import time

import streamlit as st

from dashboard.server import state
from dashboard.views.shared.text import plain
from store import notices

ICONS = {"finished": ":material/task_alt:", "failed": ":material/error:"}


def toast() -> None:
    """Show the notices since this session last looked."""
    since = st.session_state.setdefault("notices_since", time.time())
    for notice in notices.since(state.store(), since):
        st.toast(plain(notice.text), icon=ICONS[notice.outcome], duration="long")
        st.session_state["notices_since"] = notice.t
