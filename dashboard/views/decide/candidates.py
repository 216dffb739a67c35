"""Candidates: what was nominated in a study, its state and the votes; one, or several side by side."""

import streamlit as st

from dashboard.models import wording
from dashboard.server import state
from dashboard.views.decide import ballot, candidate, comparing, deciding, preferences
from dashboard.views.decide.deciding import BADGES, badge
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.live import watch
from dashboard.views.shared.study import study_of
from dashboard.views.shared.text import local, named_as, plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import told_apart
from engine.review import acts, ballots
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
    if "vote" in st.query_params and ballot.render(study):
        return
    if "candidate" in st.query_params and candidate.render(study):
        return
    st.title("Candidates")
    listed(study, overview(store, study))


def listed(study: studies.Study, found: dict) -> None:
    """All of them, newest first; choose several to see them side by side."""
    rows = found["candidates"]
    if not rows:
        where = "Explore, Search and Runs" if study.kind == "merge" else "Explore, Search, Runs, Next runs and Confirm"
        nothing_yet(
            f"No candidates yet. {where} have a button *Nominate* at each point.",
            study,
            ":material/how_to_vote:",
            explore="To Explore",
            search="To Search",
        )
        rules(study, found["rules"])
        return
    states = [one for one in BADGES if any(row["standing"]["state"] == one for row in rows)]
    wanted = st.pills("State", states, selection_mode="multi", key="candidate-states") if len(states) > 1 else []
    wished = [row for row in rows if not wanted or row["standing"]["state"] in wanted]
    chosen = [row["id"] for row in wished[:SHOWN] if card(study, row, found["rules"])]
    if len(wished) > SHOWN:
        st.caption(f"Showing the newest {SHOWN} of {len(wished)}; filter them by state.")
    leads_on(study, chosen)
    if found["votes_open"]:
        preferences.show(found)
    else:
        st.caption("What others voted is shown once you have voted on the same pairs.")
    rules(study, found["rules"])
    history(rows, found["history"])


def card(study: studies.Study, row: dict, now: dict) -> bool:
    """One candidate in a line; returns whether it is selected."""
    aggregate = Aggregate.from_dict(row["aggregate"])
    read = reading(aggregate.unit)
    with st.container(border=True):
        tick, name, prediction, counts, open_ = st.columns([0.5, 4, 4, 2.5, 1.2], vertical_alignment="center")
        ticked = tick.checkbox("compare", key=f"tick-{row['id']}", label_visibility="collapsed")
        name.markdown(f"**{named_as(row['name'])}** {badge(row['standing'])}")
        name.caption(f"{named_as(row['author'])}, {local(row['t'])}")
        predicted = wording.predicted_words(row["predicted"], aggregate, read)
        prediction.markdown(plain(f"{predicted}, from {wording.counted(row['runs'], wording.RUN[study.kind])}"))
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


def leads_on(study: studies.Study, chosen: list[str]) -> None:
    """To the comparison of the selected ones, and to votes: on the two that are selected, or on the next pair."""
    fits, two = FEWEST <= len(chosen) <= MOST, len(chosen) == 2
    row = st.container(horizontal=True, vertical_alignment="center")
    label = f"Compare {len(chosen)}" if chosen else "Compare"
    help_ = None if fits else f"Select {FEWEST} to {MOST} candidates."
    if row.button(label, icon=":material/compare:", disabled=not fits, help=help_, type="primary"):
        st.query_params["compare"] = ",".join(chosen)
        st.rerun()
    left = ballots.ballot(state.store(), study)["left"]
    label = "Vote on these two" if two else "Vote"
    if row.button(label, icon=":material/how_to_vote:", disabled=not (two or left), help="Names are hidden."):
        st.query_params["vote"] = ",".join(chosen) if two else ballot.NEXT
        st.rerun()
    row.caption(f"{wording.counted(left, 'pair')} without your vote")


def rules(study: studies.Study, now: dict) -> None:
    """The rules of approval, and a form to change them."""
    title = wording.rules_words(now["approvals"], now["author_alone"])
    with st.expander(title, icon=":material/rule:", key="rules-of-approval"), st.form("rules", border=False):
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
    with st.expander(f"History ({len(found)})", icon=":material/history:", key="history"):
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
