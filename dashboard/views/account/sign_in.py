"""Signing in, where the workspace requires it; who is signed in, and signing out."""

import streamlit as st

from dashboard.components import drafts
from dashboard.server import session, state
from dashboard.views.shared.text import plain, refusal
from engine.core import people
from engine.core.errors import Problem
from engine.core.people import NotSignedIn, Person


def gate() -> Person:
    """Who is signed in. If somebody must sign in first or has no access, the page says so and stops."""
    try:
        person = people.acting()
    except NotSignedIn as why:
        ask(str(why))
    except Problem as problem:
        turn_away(problem)
    if state.access() is not None:
        st.session_state["was-signed-in"] = True
        drafts.go_back()
    return person


def ask(why: str) -> None:
    """Ask to sign in. The browser keeps the link and unsent text."""
    drafts.remember_place()
    with middle():
        st.title("Mixdesk")
        st.markdown(plain(why))
        home = state.access().url
        if not f"{st.context.url or home}/".startswith(f"{home}/"):  # the cookie is for that address only
            st.link_button(f"Go to {home}", home, type="primary", icon=":material/login:")
        elif st.button("Sign in", type="primary", icon=":material/login:"):
            st.login()
        if st.session_state.get("was-signed-in"):
            st.caption("Your unsent text is kept in this tab.")
    st.stop()


def turn_away(problem: Problem) -> None:
    """Signed in, but without access."""
    with middle():
        st.title("Mixdesk")
        refusal(problem)
        if st.button("Sign in as someone else", icon=":material/logout:"):
            st.logout()
    st.stop()


def middle():
    """A column in the middle of the page."""
    return st.columns([1, 2, 1])[1].container(border=True)


def badge(person: Person) -> None:
    """In the sidebar: who is signed in, their role, and signing out; nothing if the workspace needs no sign-in."""
    if state.access() is None:
        return
    with st.sidebar.container(border=True):
        st.text(person.name)  # Markdown would make a link of an e-mail
        st.caption(f"{person.role}: {MAY[person.role]}")
        if st.button("Sign out", icon=":material/logout:", width="stretch"):
            session.end()


MAY = {
    "viewer": "can read everything",
    "reviewer": "can comment, vote and decide",
    "operator": "can also start and cancel",
}
