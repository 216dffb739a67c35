"""Who a session of the page belongs to. Asked at every action, so callbacks and fragments are checked as well."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard.server import state
from engine.core.people import NotSignedIn, Person


def who() -> Person | None:
    """The person of the current session; None if nobody has to sign in.

    Raises NotSignedIn outside a session or without a valid sign-in, Refused for somebody without a role.
    """
    access = state.access()
    if access is None:
        return None
    if get_script_run_ctx(suppress_warning=True) is None:
        raise NotSignedIn("Cannot do that: nobody has signed in.")
    return access.person(st.user.to_dict())
