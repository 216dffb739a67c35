"""Candidates: what was nominated in a study, its state and the votes; one, or several side by side."""

import numpy as np
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.models import wording
from dashboard.server import state
from dashboard.views.decide import candidate, comparing, deciding
from dashboard.views.decide.deciding import BADGES, badge
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.live import watch
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import study_of
from dashboard.views.shared.text import local, named_as, plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.people import acting
from engine.core.short_names import told_apart
from engine.review import acts
from engine.review.compare import FEWEST, MOST
from engine.review.dossier import overview
from engine.spec.objectives import Aggregate
from store import reviews, studies

SHOWN = 30  # candidates listed at once


def render(name: str | None) -> None:
    if (study := study_of(name)) is None:
        st.title("Candidates")
        return
    store = state.store()
    watch(lambda: reviews.state(store, study.id))
    if "compare" in st.query_params and comparing.render(study):
        return
    if "candidate" in st.query_params and candidate.render(study):
        return
    st.title("Candidates")
    listed(study, overview(store, study))


def listed(study: studies.Study, found: dict) -> None:
    """All of them, newest first; choose several to see them side by side."""
    rows = found["candidates"]
    if not rows:
        st.info(
            "No candidates yet. Explore, Search, Runs, Next runs and Confirm have a button *Nominate* at each point.",
            icon=":material/how_to_vote:",
        )
        rules(study, found["rules"])
        return
    states = [one for one in BADGES if any(row["standing"]["state"] == one for row in rows)]
    wanted = st.pills("State", states, selection_mode="multi", key="candidate-states") if len(states) > 1 else []
    wished = [row for row in rows if not wanted or row["standing"]["state"] in wanted]
    chosen = [row["id"] for row in wished[:SHOWN] if card(row, found["rules"])]
    if len(wished) > SHOWN:
        st.caption(f"Showing the newest {SHOWN} of {len(wished)}; filter them by state.")
    compare_button(chosen)
    ballot(rows)
    preferences(rows, found["votes"])
    rules(study, found["rules"])
    history(rows, found["history"])


def card(row: dict, now: dict) -> bool:
    """One candidate in a line; returns whether it is selected."""
    aggregate = Aggregate.from_dict(row["aggregate"])
    read = reading(aggregate.unit)
    with st.container(border=True):
        tick, name, prediction, counts, open_ = st.columns([0.5, 4, 4, 2.5, 1.2], vertical_alignment="center")
        ticked = tick.checkbox("compare", key=f"tick-{row['id']}", label_visibility="collapsed")
        name.markdown(f"**{named_as(row['name'])}** {badge(row['standing'])}")
        name.caption(f"{named_as(row['author'])}, {local(row['t'])}")
        prediction.markdown(plain(wording.predicted_words(row["predicted"], aggregate, read)))
        prediction.caption(plain(wording.against_words(row["baselines"], aggregate, read)))
        counts.caption(
            f"{wording.counted(row['comments'], 'comment')} · {wording.counted(row['measured'], 'run')} measured"
            + (f" · {wording.needed(row['standing']['missing'])}" if row["standing"]["missing"] else "")
        )
        if open_.button("Open", key=f"open-{row['id']}", width="stretch"):
            st.query_params["candidate"] = row["id"]
            st.rerun()
        deciding.direct(row["id"], row["author"], row["standing"], now, row["revision"])
    return ticked


def compare_button(chosen: list[str]) -> None:
    """Leads on to the comparison of the selected ones."""
    fits = FEWEST <= len(chosen) <= MOST
    label = f"Compare {len(chosen)}" if chosen else "Compare"
    help_ = None if fits else f"Select {FEWEST} to {MOST} candidates."
    if st.button(label, icon=":material/compare:", disabled=not fits, help=help_, type="primary"):
        st.query_params["compare"] = ",".join(chosen)
        st.rerun()


def ballot(rows: list[dict]) -> None:
    """Which of two would you train?"""
    if len(rows) < 2:
        return
    st.header("Which would you train?", anchor=False)
    names = told_apart({row["id"]: row["name"] for row in rows})
    left, middle, right, button = st.columns([3, 2, 3, 1], vertical_alignment="bottom")
    one = left.selectbox("This one", list(names), format_func=names.get, key="vote-one")
    other = right.selectbox("Or this one", [i for i in names if i != one], format_func=names.get, key="vote-other")
    choice = middle.segmented_control(
        "Preferred",
        ["left", "neither", "right"],
        key="vote-choice",
        required=True,
        default="neither",
        format_func={"left": ":material/arrow_back:", "neither": "neither", "right": ":material/arrow_forward:"}.get,
    )
    if button.button("Vote", icon=":material/how_to_vote:", width="stretch", **needs_role("reviewer")):
        pair = (other, one) if choice == "right" else (one, other)
        try:
            acts.vote(state.store(), *pair, neither=choice == "neither")
        except Problem as problem:
            refusal(problem)
            return
        st.toast(f"{acting().name}'s vote on this pair is counted. Voting again replaces it.")
        st.rerun()


def preferences(rows: list[dict], votes: list[dict]) -> None:
    """Bradley-Terry strengths, and which ones are tied."""
    if not votes:
        st.caption("No votes yet.")
        return
    names = told_apart({row["id"]: row["name"] for row in rows})
    labels = [names[one["id"]] for one in votes]
    values = (np.array([one[key] for one in votes]) for key in ("strength", "half", "group"))
    plot(review_charts.strengths(labels, *values), key="strengths")
    groups = len({one["group"] for one in votes})
    best = votes[0]
    total = sum(one["of"] for one in votes) / 2
    level = ", ".join(named_as(names[other]) for other in best["level"])
    apart = f"No vote connects these {groups} groups, so they cannot be compared with each other."
    st.caption(
        f"Bradley-Terry on {wording.counted(total, 'vote')}, each person's latest on each pair; *neither* counts as "
        "half a vote for each. "
        + (f"The votes cannot separate {named_as(labels[0])} from {level}. " if level else "")
        + (apart if groups > 1 else "")
    )


def rules(study: studies.Study, now: dict) -> None:
    """The rules of approval, and a form to change them."""
    title = wording.rules_words(now["approvals"], now["author_alone"])
    with st.expander(title, icon=":material/rule:"), st.form("rules", border=False):
        approvals = st.number_input("Approvals", 1, acts.MOST_APPROVALS, now["approvals"], key="rule-approvals")
        alone = acts.is_only_user(state.store()) if now["author_alone"] is None else now["author_alone"]
        author = st.checkbox("Allow authors to approve their own", alone, key="rule-author")
        if st.form_submit_button("Save rules", **needs_role("operator")):
            try:
                acts.set_rules(state.store(), study, int(approvals), author)
            except Problem as problem:
                refusal(problem)
                return
            st.rerun()
        st.caption("Applies from now on: earlier approvals stay. The history records who changed this.")


def history(rows: list[dict], found: list[dict]) -> None:
    """Who did what to which candidate and when; nothing is ever removed."""
    names = told_apart({row["id"]: row["name"] for row in rows})
    with st.expander(f"History ({len(found)})", icon=":material/history:"):
        table = [
            {
                "when": local(one["t"]),
                "who": one["author"],
                "action": wording.did(one),
                "candidate": names.get(one["candidate"], ""),
                "details": wording.words(one),
            }
            for one in found[::-1]
        ]
        st.dataframe(table, hide_index=True)
