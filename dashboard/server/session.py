"""Who a session of the page belongs to. Asked at every action, so callbacks and fragments are checked as well."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.server import state
from engine.core.errors import Problem
from engine.core.people import NotSignedIn, Person
from engine.core.sign_in import sign_in_of
from engine.jobs.api import SignInEnded


def who() -> Person | None:
    """The person of the current session; None if nobody has to sign in.

    Raises NotSignedIn outside a session or without a valid sign-in, Refused for somebody without a role.
    """
    if state.access() is None:
        return None
    if get_script_run_ctx(suppress_warning=True) is None:
        raise NotSignedIn("Cannot do that: nobody has signed in.")
    return state.person_of(st.user.to_dict())


def end() -> None:
    """Sign out: this sign-in's cookies, wherever they are, open nothing any more."""
    claims = st.user.to_dict()
    try:
        by = state.person_of(claims)
    except Problem:  # not allowed in, or over: there is nothing to end
        by = None
    if by is not None:
        state.store().write(SignInEnded(sign_in_of(claims)), by=by.name)
    st.logout()
