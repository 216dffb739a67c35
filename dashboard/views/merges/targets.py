"""Targets of a merge study: which merges are predicted to keep limits on the metrics. Part of Search."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.models.units import digits
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.faders import set_faders
from dashboard.views.shared.front import places_of, pool_of, surrogate_of
from dashboard.views.shared.limits import ask_limits, limits_on
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain, refusal
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import beside
from engine.search.pool import Pool, Targets, meet_targets
from engine.studies.merges.questions import measure_points
from engine.studies.moments import Moment
from store import studies

SHOWN = 6  # merges, the likeliest first
LIKELIEST = "likeliest for the targets"


def show(moment: Moment) -> None:
    """The merges that most likely keep limits that are typed in, by the search in use."""
    if moment.search is None:
        words = "Targets are read off the predictions of many merges, which follow the first fit."
        nothing_yet(words, moment.study, runs="Watch the merges")
        return
    show_moment(moment, "targets")
    study = moment.study
    st.caption("Set a target for each metric you care about: a maximum for losses, a minimum for scores.")
    limits = ask_limits(study, "merge-targets", "target", moment.search["found"]["found"]["mean"])
    if not np.isfinite(limits).any():
        return
    try:
        pool = pool_of(moment.search)
        found = meet_targets(pool, surrogate_of(study, moment.search), limits_on(study, limits))
    except Problem as problem:
        refusal(problem)
        return
    answer(moment, pool, found)


def answer(moment: Moment, pool: Pool, found: Targets) -> None:
    """How many draws are predicted to keep the targets, and the likeliest of them."""
    study = moment.study
    st.markdown(
        f"**{found.expected:,} of {len(pool.points):,}** draws are predicted to meet every target. The most likely one "
        f"meets them all with a probability of **{found.chance[0]:.0%}** when measured."
    )
    if found.chance[0] < 0.5:
        st.warning(f"Binding constraint: {plain(named_of(study).metrics[found.binding])}. Relax this target first.")
    st.dataframe(table(study, moment.search, pool, found), hide_index=True)
    with st.container(horizontal=True):
        best = pool.points[found.rows[0]]
        if st.button("Set faders to the most likely", icon=":material/tune:"):
            set_faders(study, best)
        if st.button("Measure the most likely", icon=":material/science:", **needs_role("operator")):
            act("measure-target", lambda: measure_points(state.store(), study, best, LIKELIEST))
    show_refusal("measure-target")


def table(study: studies.Study, search: dict, pool: Pool, found: Targets) -> pd.DataFrame:
    """The likeliest merges: the probability, where each stands, its coefficients, and the metrics predicted."""
    rows, names = found.rows[:SHOWN], named_of(study)
    places = places_of(study, search, pool.points[rows])
    read = [reading(unit) for unit in names.units]
    predicted = [f"{metric}, predicted [{by.unit}]" for metric, by in zip(names.metrics, read, strict=True)]
    titles = beside(("probability", "place", *predicted), study.coordinates, "coefficient")
    return pd.DataFrame(
        [
            {
                "probability": f"{found.chance[k]:.0%}",
                "place": place,
                **dict(zip(titles, (digits(x, ".3f") for x in pool.points[row]), strict=True)),
                **{title: by.words(x) for title, by, x in zip(predicted, read, pool.mean[row], strict=True)},
            }
            for k, (row, place) in enumerate(zip(rows, places, strict=True))
        ]
    )
