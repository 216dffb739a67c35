"""Blind votes: two candidates side by side, their names hidden until whoever looks has voted. Part of Candidates.

The link holds the pair, so a colleague can be asked about the same one.
"""

import numpy as np
import streamlit as st

from dashboard.charts import review as review_charts
from dashboard.components.meters import meters
from dashboard.models import wording
from dashboard.models.names import named_in
from dashboard.server import state
from dashboard.views.decide.frozen import rows_of, ruler_of
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.plot import plot
from dashboard.views.shared.refused import attempt, show_refusal
from dashboard.views.shared.text import local, named_as, plain
from dashboard.views.shared.units import reading
from engine.core.people import acting
from engine.review import acts, ballots
from engine.spec.objectives import Aggregate
from store import reviews, studies

NEXT, BOX = "next", "ballot"
SIDES = "AB"


def render(study: studies.Study) -> bool:
    """The pair in the link, or the next that waits; False where it is no pair of this study."""
    store = state.store()
    ids = [one for one in st.query_params["vote"].split(",") if one]
    if ids == [NEXT]:
        ids = [one["id"] for one in ballots.ballot(store, study)["pair"]]
        st.query_params["vote"] = ",".join(ids)
    there = {one.id: one for one in reviews.of_study(store, study.id)}
    if len(set(ids)) != 2 or not set(ids) <= set(there):
        del st.query_params["vote"]
        st.info("You have voted on every pair." if not ids else "The link names no two candidates of this study.")
        return False
    if st.button("All candidates", icon=":material/arrow_back:", type="tertiary"):
        del st.query_params["vote"]
        st.rerun()
    st.title("Which merge would you take?" if study.kind == "merge" else "Which would you train?")
    pair, given = [there[one] for one in ids], ballots.votes_on(store, study, ids)
    voted = any(one["author"] == acting().name for one in given)
    note = "You have voted; voting again replaces it." if voted else "Names stay hidden until you have voted."
    st.caption(f"{note} Numbers are as they were frozen when each was nominated.")
    cards(study, pair, voted)
    choices(ids, voted)
    if voted:
        result(pair, given)
        left = ballots.ballot(store, study)["left"]
        if left and st.button(f"Next pair ({left} left)", icon=":material/arrow_forward:"):
            st.query_params["vote"] = NEXT
            st.rerun()
        if not left and st.button("What the team prefers", icon=":material/arrow_forward:", key="to-preferences"):
            del st.query_params["vote"]
            st.rerun()
    return True


def choices(ids: list[str], voted: bool) -> None:
    """A, B or neither. Votes after the names were seen are kept as such."""
    row = st.container(horizontal=True, horizontal_alignment="center")
    given = needs_role("reviewer")
    for label, pair in (("A", ids), ("Neither", None), ("B", ids[::-1])):
        vote = {"on_click": cast, "args": (pair or ids, pair is None, not voted)}
        kind = "secondary" if pair is None else "primary"
        row.button(label, key=f"vote-{label}", icon=":material/how_to_vote:", type=kind, **vote, **given)
    show_refusal(BOX)


def cast(pair: list[str], neither: bool, blind: bool) -> None:
    """Keep the vote: for the first of the pair, or neither."""
    with attempt(BOX):
        acts.vote(state.store(), *pair, neither=neither, blind=blind)


def cards(study: studies.Study, pair: list[reviews.Candidate], named: bool) -> None:
    """The two points and what is predicted of each against the same baseline, all on the same scales."""
    frozen = [one.frozen for one in pair]
    beside, other = (one["baselines"] for one in frozen)  # schedules have a baseline each of their own
    common = [name for name in beside if name in other and beside[name]["point"] == other[name]["point"]]
    rulers = [ruler_of(study, one) for one in frozen]
    rows = [rows_of(by, one, common[0]) for by, one in zip(rulers, frozen, strict=True)] if common else []
    drawn = [wording.places_of(one, side) for one, side in zip(frozen, SIDES, strict=True)]
    ends = review_charts.reach(np.array([point for one in drawn for point in one.values()]))
    for k, place in enumerate(st.columns(2)):
        with place.container(border=True, key=f"ballot-{SIDES[k]}"):
            st.header(SIDES[k] + (f": {named_as(frozen[k]['name'])}" if named else ""), anchor=False)
            numbers(frozen[k])
            labels, points = list(drawn[k]), np.array(list(drawn[k].values()))
            plot(review_charts.points(frozen[k]["kind"], labels, named_in(frozen[k]), points, ends), f"ab-{k}")
            if rows:
                meters(rows[k], rulers[k].caption(common[0]), f"ab-losses-{k}", beside=rows[1 - k])


def numbers(frozen: dict) -> None:
    """The aggregate with its interval, and the runs behind it."""
    aggregate = Aggregate.from_dict(frozen["aggregate"])
    text = wording.predicted_words(frozen["predicted"], aggregate, reading(aggregate.unit))
    runs = wording.counted(frozen["surrogate"]["runs"], wording.RUN[frozen["kind"]])
    st.markdown(plain(f"{aggregate.title.capitalize()}: {text} (95%), from {runs}"))


def result(pair: list[reviews.Candidate], given: list[dict]) -> None:
    """Who voted for which, once whoever looks has voted too."""
    names = {one.id: f"{side}: {one.frozen['name']}" for side, one in zip(SIDES, pair, strict=True)}
    rows = [
        {
            "who": one["author"],
            "preferred": names.get(one["preferred"], "neither"),
            "names": "hidden" if one["blind"] else "seen",
            "when": local(one["t"]),
        }
        for one in given
    ]
    st.dataframe(rows, hide_index=True)
