"""API tokens, with which programs act for you: created here, shown once, revoked at once."""

from datetime import UTC, datetime

import streamlit as st

from dashboard.components import drafts
from dashboard.server import state
from dashboard.server.paths import under
from dashboard.views.shared.refused import attempt, show_refusal
from dashboard.views.shared.text import local, plain
from engine.core.people import ROLES, acting, allows
from engine.service import api_tokens
from store.api_tokens import TokenRow

INTRODUCTION = (
    "With a token, training jobs post results as runs and CI fetches recipes. It acts on your behalf, and its "
    "permissions follow yours. "
)


def render(study: str | None) -> None:
    st.title("API tokens")
    st.markdown(f"{INTRODUCTION}[Every command and what it takes, as JSON]({under('/api/v1/openapi.json')})")
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
    """A form for a new token: purpose, role, lifetime."""
    left, middle, right, button = st.columns([4, 2, 2, 2], vertical_alignment="bottom")
    left.text_input("Purpose", key="token-label", placeholder="CI of the training repository")
    drafts.keep("token-label", "token-label")
    mine = [role for role in ROLES if allows(acting(), role)]
    role = middle.selectbox("Role", mine, key="token-role")
    days = right.selectbox("Days valid", [7, 30, 90, 365], 2, key="token-days")
    button.button("Create token", type="primary", width="stretch", on_click=create, args=(role, days))
    show_refusal("token")


def create(role: str, days: int) -> None:
    """Create the token in the button's callback, where the box can still be emptied."""
    st.session_state.pop("token-made", None)
    with attempt("token"):
        label = st.session_state["token-label"]
        st.session_state["token-made"], _ = api_tokens.create(state.store(), label, role, days)
        st.session_state["token-label"] = ""
        drafts.forget("token-label")


def card(row: TokenRow) -> None:
    """One token: its owner, and when it was created, last used, and expires."""
    with st.container(border=True):
        words, button = st.columns([5, 1], vertical_alignment="center")
        whose = "" if row.person == acting().name else f" · of {row.person}"
        words.markdown(f"**{plain(row.label)}** · {row.role}{plain(whose)}")
        used = f"last used about {local(row.used_at)}" if row.used_at else "never used"
        words.caption(f"{row.id} · created {local(row.created_at)} · {used} · {ends(row)}")
        if is_open(row) and button.button("Revoke", key=f"revoke-{row.id}", icon=":material/block:", width="stretch"):
            api_tokens.revoke(state.store(), row.id)
            st.session_state.pop("token-made", None)
            st.rerun()


def is_open(row: TokenRow) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > datetime.now(UTC).timestamp())


def ends(row: TokenRow) -> str:
    if row.revoked_at is not None:
        return f"revoked {local(row.revoked_at)}"
    if row.expires_at is None:
        return "never expires"
    return f"{'expires' if is_open(row) else 'expired'} {local(row.expires_at)}"
