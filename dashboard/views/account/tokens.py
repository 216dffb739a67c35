"""API tokens: what programs use to act for you. Made here, shown once, revoked at once."""

from datetime import UTC, datetime

import streamlit as st

from dashboard.components import drafts
from dashboard.server import state
from dashboard.views.shared.text import plain, refusal
from engine.core.errors import Problem
from engine.core.people import ROLES, acting, allows
from engine.service import api_tokens
from store.api_tokens import TokenRow

INTRODUCTION = (
    "Training jobs post their results as runs, and CI fetches recipes, with a token. It acts for you, may do at most "
    "what you may, and loses what you lose. docs/API.md has every command, with examples."
)


def render(study: str | None) -> None:
    st.title("API tokens")
    st.markdown(INTRODUCTION)
    ask()
    if secret := st.session_state.get("token-made"):
        st.success("Copy the token now: it is not shown again.", icon=":material/key:")
        st.code(secret, language=None)
    rows = api_tokens.listed(state.store())
    if not rows:
        st.info("No token yet.")
    for row in rows:
        card(row)


def ask() -> None:
    """What a new token is for, what it may do, how long it lives."""
    left, middle, right, button = st.columns([4, 2, 2, 1], vertical_alignment="bottom")
    left.text_input("What it is for", key="token-label", placeholder="CI of the training repository")
    drafts.keep("token-label", "token-label")
    mine = [role for role in ROLES if allows(acting(), role)]
    role = middle.selectbox("It may do what a ... may", mine, key="token-role")
    days = right.selectbox("Days", [7, 30, 90, 365], 2, key="token-days")
    button.button("Make", type="primary", width="stretch", on_click=make, args=(role, days))
    if problem := st.session_state.pop("token-refused", None):
        refusal(problem)


def make(role: str, days: int) -> None:
    """Make the token, before the page is drawn anew: the box can then be emptied."""
    st.session_state.pop("token-made", None)
    try:
        label = st.session_state["token-label"]
        st.session_state["token-made"], _ = api_tokens.create(state.store(), label, role, days)
    except Problem as problem:
        st.session_state["token-refused"] = str(problem)
        return
    st.session_state["token-label"] = ""
    drafts.forget("token-label")


def card(row: TokenRow) -> None:
    """One token: whose, since when, last used, and its end."""
    with st.container(border=True):
        words, button = st.columns([5, 1], vertical_alignment="center")
        whose = "" if row.person == acting().name else f" · of {row.person}"
        words.markdown(f"**{plain(row.label)}** · {row.role}{plain(whose)}")
        used = f"last used about {day(row.used_at)}" if row.used_at else "never used"
        words.caption(f"{row.id} · made {day(row.created_at)} · {used} · {ends(row)}")
        if is_open(row) and button.button("Revoke", key=f"revoke-{row.id}", icon=":material/block:", width="stretch"):
            api_tokens.revoke(state.store(), row.id)
            st.session_state.pop("token-made", None)
            st.rerun()


def is_open(row: TokenRow) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > datetime.now(UTC).timestamp())


def ends(row: TokenRow) -> str:
    if row.revoked_at is not None:
        return f"revoked {day(row.revoked_at)}"
    if row.expires_at is None:
        return "never expires"
    return f"{'expires' if is_open(row) else 'expired'} {day(row.expires_at)}"


def day(t: float) -> str:
    """A moment, to the minute, in UTC."""
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M UTC")
