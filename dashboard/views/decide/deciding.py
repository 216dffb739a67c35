"""Where a candidate stands, and deciding on it: direct buttons on its card and in Review, a form on its own page."""

import streamlit as st

from dashboard.components import drafts
from dashboard.models import wording
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.refused import attempt, show_refusal
from dashboard.views.shared.text import local, named_as, plain
from engine.core.people import acting
from engine.core.short_names import told_apart
from engine.review import acts
from store import reviews, studies

# Of the states of a candidate.
BADGES = {
    "open": ":blue-badge[:material/forum: {}]",
    "approved": ":green-badge[:material/verified: {}]",
    "rejected": ":red-badge[:material/block: {}]",
    "superseded": ":gray-badge[:material/history: {}]",
}
UNDECIDED = "open"
APPROVE, REJECT = ":material/check:", ":material/block:"


def badge(standing: dict) -> str:
    """The state as a badge; an approval by nobody but the author says so."""
    return BADGES[standing["state"]].format(wording.state_words(standing))


def rule(author: str, rules: dict) -> str:
    """What an approval by whoever looks counts for."""
    return wording.approving_words(rules, author == acting().name, acts.is_only_user(state.store()))


def direct(candidate: str, author: str, standing: dict, rules: dict, seen: str) -> None:
    """Approve with one click, reject with a reason; nothing where it is decided already."""
    if standing["state"] != UNDECIDED:
        return
    box, given = f"direct-{candidate}", needs_role("reviewer")
    done = acting().name in standing["approvals"]
    row = st.container(horizontal=True, vertical_alignment="center")
    settle = {"on_click": decided, "args": (candidate, "approved", box, seen)}
    approve = needs_role("reviewer", disabled=done)
    row.button("Approved by you" if done else "Approve", key=f"approve-{candidate}", icon=APPROVE, **settle, **approve)
    with row.popover("Reject", icon=REJECT, disabled=given["disabled"]):
        st.text_area("Why is it rejected?", key=box, height=80)
        settle = {"on_click": decided, "args": (candidate, "rejected", box, seen)}
        st.button("Reject", key=f"reject-{candidate}", type="primary", icon=REJECT, **settle, **given)
        show_refusal(f"rejected-{box}")
    row.caption(plain(rule(author, rules)))
    show_refusal(f"approved-{box}")


def decided(candidate: str, verdict: str, box: str, seen: str) -> None:
    """Decide on what was shown. A reason is typed for a rejection only; a refused one stays in its box."""
    reason = st.session_state[box] if verdict == "rejected" else ""
    with attempt(f"{verdict}-{box}"):
        acts.decide(state.store(), candidate, verdict, reason, seen)
        st.session_state[box] = ""


def decision(study: studies.Study, found: dict) -> None:
    """Where it stands, and a form to decide with a reason."""
    st.header("Decision", anchor=False)
    stands(found["standing"])
    box, given, seen = f"reason-{found['id']}", needs_role("reviewer"), found["revision"]
    with st.form(f"form-{box}", border=False):
        st.text_area("Reason (optional for an approval)", key=box, height=80)
        st.caption(plain(rule(found["frozen"]["author"], found["rules"])))
        row = st.container(horizontal=True)
        for label, verdict, icon in (("Approve", "approved", APPROVE), ("Reject", "rejected", REJECT)):
            settle = {"on_click": settled, "args": (found["id"], verdict, box, seen)}
            with row:
                st.form_submit_button(label, key=f"{verdict}-{box}", icon=icon, **settle, **given)
    drafts.keep(box, box)
    supersede(study, found, box)
    show_refusal(box)


def supersede(study: studies.Study, found: dict, box: str) -> None:
    """Name the candidate that takes its place, and why."""
    there = reviews.of_study(state.store(), study.id)
    others = told_apart({one.id: one.frozen["name"] for one in there if one.id != found["id"]})
    if not others:
        return
    with st.popover("Supersede", icon=":material/history:", disabled=needs_role("reviewer")["disabled"]):
        st.selectbox("Superseded by", list(others), format_func=others.get, key=f"{box}-successor")
        st.text_area("Why?", key=f"{box}-why", height=80)
        settle = {"on_click": settled, "args": (found["id"], "superseded", f"{box}-why", found["revision"])}
        st.button("Supersede", key=f"superseded-{box}", type="primary", **settle, **needs_role("reviewer"))
        show_refusal(f"{box}-why")


def settled(candidate: str, verdict: str, box: str, seen: str) -> None:
    """Decide on what was shown, and empty the box; refused text stays in it."""
    typed = st.session_state
    successor = typed[f"reason-{candidate}-successor"] if verdict == "superseded" else None
    with attempt(box):
        acts.decide(state.store(), candidate, verdict, typed[box], seen, successor)
        typed[box] = ""
        drafts.forget(box)


def stands(standing: dict) -> None:
    """The last decision and the approvals so far."""
    st.markdown(badge(standing))
    for person, one in standing["approvals"].items():
        with st.container(border=True):
            st.caption(f":material/check: **{named_as(person)}** approved, {local(one['t'])}")
            if one["reason"]:
                st.text(one["reason"])
    last = standing["decided"]
    if last and last["verdict"] != "approved":
        with st.container(border=True):
            st.caption(f"**{named_as(last['author'])}**: {last['verdict']}, {local(last['t'])}")
            st.text(last["reason"])
    if standing["missing"]:
        st.caption(f"Not approved yet: {plain(wording.needed(standing['missing']))}.")
