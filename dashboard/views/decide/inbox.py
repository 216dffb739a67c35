"""Inbox: what mentions whoever looks, what was decided of theirs, and what waits for their vote or decision."""

import streamlit as st

from dashboard.models import wording
from dashboard.server import state
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.live import watch
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import local, named_as
from engine.review import inbox
from store import reviews

ICONS = {"mention": ":material/alternate_email:", "decision": ":material/gavel:"}
SHOWN = 40  # entries at once
BOX = "inbox"


def render(name: str | None) -> None:
    """Of all studies, whichever is chosen."""
    store = state.store()
    watch(lambda: reviews.state_of_all(store))
    found = inbox.inbox(store)
    st.title("Inbox")
    st.caption(f"For {named_as(found['person'])}, from the reviews of all studies.")
    show_refusal(BOX)
    waits(found["waiting"])
    st.header(f"For you ({found['unread']} unread)", anchor=False)
    if found["unread"] and st.button("Mark all as read", icon=":material/done_all:"):
        act(BOX, lambda: inbox.mark_read(store))
    unread_first = sorted(found["entries"], key=lambda one: one["read"])
    for one in unread_first[:SHOWN]:
        shown(one)
    if len(unread_first) > SHOWN:
        st.caption(f"Showing {SHOWN} of {len(unread_first)}.")
    if not found["entries"]:
        st.caption("Nobody has mentioned you with @ in a comment or decided on a candidate of yours.")


def waits(waiting: list[dict]) -> None:
    """What is to be voted or decided on, by study."""
    st.header("Waiting for you", anchor=False)
    if not waiting:
        nothing_yet("Nothing needs your vote or decision.", candidates="To the candidates", explore="To Explore")
    for one in waiting:
        with st.container(border=True):
            st.markdown(f"**{named_as(one['study_name'])}**")
            row = st.container(horizontal=True, vertical_alignment="center")
            label = f"Vote on {wording.counted(one['pairs'], 'pair')}"
            if one["pairs"] and row.button(label, key=f"vote-{one['study']}", icon=":material/how_to_vote:"):
                go(one["study"], vote="next")
            for candidate in one["candidates"]:
                label, key = f"Decide on {named_as(candidate['name'])}", f"decide-{candidate['id']}"
                if row.button(label, key=key, icon=ICONS["decision"]):
                    go(one["study"], candidate=candidate["id"])


def shown(one: dict) -> None:
    """An entry; opening it marks it as read."""
    with st.container(border=True):
        about = f"{named_as(one['name'])} in {named_as(one['study_name'])}"
        did = "mentioned you on" if one["kind"] == "mention" else f"decided on your candidate ({one['verdict']})"
        new = "" if one["read"] else ":orange-badge[new] "
        st.markdown(f"{ICONS[one['kind']]} {new}**{named_as(one['author'])}** {did} {about}")
        st.caption(local(one["t"]))
        if one["text"]:
            st.text(one["text"][:600] + ("…" if len(one["text"]) > 600 else ""))
        row = st.container(horizontal=True)
        if row.button("Open", key=f"open-{one['n']}", icon=":material/forum:"):
            inbox.mark_read(state.store(), [one["n"]])
            go(one["study"], candidate=one["candidate"])
        if not one["read"] and row.button("Mark as read", key=f"read-{one['n']}", icon=":material/done:"):
            act(BOX, lambda: inbox.mark_read(state.store(), [one["n"]]))


def go(study: str, **query: str) -> None:
    """To a candidate or a vote of a study, which may be another than the chosen one."""
    st.session_state["next_study"] = study
    st.switch_page(st.session_state["pages"]["candidates"], query_params={"study": study, **query})
