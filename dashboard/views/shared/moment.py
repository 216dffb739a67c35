"""Where fit, search and runs of a study are of different moments: which is which, and what brings them together."""

import streamlit as st

from dashboard.models.moments import notes, search_notes
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.dialogs import redraw
from dashboard.views.shared.live import live
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import plain, zone
from engine.spec.objectives import Aggregate
from engine.studies.fits import ask_fit
from engine.studies.moments import Moment
from engine.studies.questions import queue_search
from engine.studies.steering import warnings
from store import jobs, results, studies

UNDER_WAY = {"fit": "A fit is under way.", "search": "A search is under way."}


def show_moment(moment: Moment, key: str) -> None:
    """One line, and the button that brings fit and search up to date; nothing where they are. key: of the page.

    Before it a warning of each metric that counts although the mixture does not steer it.
    """
    for words in warnings(state.store(), moment.study, moment.aggregate):
        st.warning(plain(words), icon=":material/casino:")
    if not (lines := notes(moment, zone())):
        return
    there = [job.kind for job in jobs.of_study(state.store(), moment.study.id) if job.state in jobs.UNFINISHED]
    busy = [words for kind, words in UNDER_WAY.items() if kind in there]
    name = f"moment-{key}-{moment.study.id}"
    with st.container(horizontal=True, vertical_alignment="center", key=name):
        st.caption(" ".join([":material/history:", *lines, *busy]))
        if not busy:
            bring_together(moment, name)
    show_refusal(name)


def bring_together(moment: Moment, name: str) -> None:
    """The button: a fit, after which the study is searched again by itself, or a search on the fit there is."""
    store, study = state.store(), moment.study
    style = {"type": "tertiary", "icon": ":material/refresh:", "key": f"{name}-now", **needs_role("operator")}
    if moment.since:
        if st.button("Fit and search again", **style):
            act(name, lambda: ask_fit(store, study))
    elif search_notes(moment, zone()) and st.button("Search now", **style):
        act(name, lambda: queue_search(store, study, moment.fit.name, priorities_asked(study, moment.aggregate)))


def follow(study: studies.Study) -> None:
    """Draw the page again once there is another fit or search than it was drawn with."""
    seen = latest(study)

    def look() -> None:
        if latest(study) != seen:
            redraw()

    live(look)


def latest(study: studies.Study) -> tuple[str | None, str | None]:
    """The fingerprint of the latest fit, and the job of the latest search."""
    fit, found = studies.league(state.store(), study.id), results.searches(state.store(), study.id)
    return fit and fit["fingerprint"], found[0]["job"] if found else None


def priorities_asked(study: studies.Study, aggregate: Aggregate) -> dict[str, float]:
    """Priorities as a search stores them: relative to the largest, without those that metrics have anyway."""
    top = max(aggregate.priorities.values())
    asked = {one.metric: round(aggregate.priorities[one.metric] / top, 4) for one in study.objectives}
    return {one.metric: asked[one.metric] for one in study.objectives if asked[one.metric] != one.usual}
