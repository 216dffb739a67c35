"""Buttons that need a role, and the one that starts a study."""

import streamlit as st

from dashboard.server import state
from dashboard.views.shared.text import refusal
from engine.core.errors import Problem
from engine.core.people import acting, allows
from engine.spec.study import StudySpec
from engine.studies import lifecycle
from store.jobs import UNFINISHED, JobRow


def needs_role(role: str, disabled: bool = False) -> dict:
    """Arguments of a button that needs a role: for everybody else it is disabled, with the reason."""
    person = acting()
    if allows(person, role):
        return {"disabled": disabled}
    return {"disabled": True, "help": f"This needs the role {role}. You are signed in as a {person.role}."}


def cancel_button(job: JobRow, key: str, place=st, **looks) -> bool:
    """The button that cancels a job, and says so until it has ended: a running one saves its checkpoint first."""
    if job.asked == "cancel" and job.state in UNFINISHED:
        place.button("Cancelling", key=key, icon=":material/hourglass_top:", disabled=True, **looks)
        return False
    return place.button("Cancel", key=key, icon=":material/stop_circle:", **looks, **needs_role("operator"))


def say_if_there(already_there: bool) -> None:
    """Say of what was asked for that it was there already, where nothing on the page would change."""
    if already_there:
        st.toast("This was already requested: it exists, and nothing new was started.", icon=":material/check:")


def start_button(spec: StudySpec) -> None:
    """The button that creates a study and opens it, or says why that is refused."""
    if st.button("Start", type="primary", icon=":material/play_arrow:", **needs_role("operator")):
        try:
            begun = lifecycle.begin(state.store(), spec)
        except Problem as problem:
            refusal(problem)
            return
        st.session_state["next_study"] = begun.id
        say_if_there(begun.already_there)
        st.rerun()
