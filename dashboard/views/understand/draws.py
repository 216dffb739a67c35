"""What can be read off the draws of a search: trade-offs between metrics, and targets. Part of Search."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts import mixtures as mixture_charts
from dashboard.charts import rounds as round_charts
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.faders import set_faders
from dashboard.views.shared.front import along_the_front, places_of, pool_of, surrogate_of
from dashboard.views.shared.limits import ask_limits, limits_on
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.plot import plot
from dashboard.views.shared.study import named_of
from dashboard.views.shared.text import plain
from engine.search.pool import meet_targets
from engine.studies.moments import Moment
from engine.studies.reach import extrapolation_note
from engine.studies.steering import warnings


def trade_off(moment: Moment, search: dict) -> None:
    """A slider along the Pareto front of two or three metrics."""
    study = moment.study
    if (point := along_the_front(moment, search, shares_along)) is None:
        return
    with st.container(horizontal=True):
        if st.button("Set faders to this point", icon=":material/instant_mix:", key="front-to-faders"):
            set_faders(study, point)
        nominate(study, {"this point on the front": point}, "front", search["settings"]["surrogate"])


def shares_along(names: Named, points: np.ndarray, place: int) -> go.Figure:
    """The shares of the mixtures on a front."""
    return round_charts.along_front(names.coordinates, names.colours, points, place)


def targets(moment: Moment, search: dict) -> None:
    """Mixtures that meet limits on the metrics, with the probability that a run there meets all of them."""
    study = moment.study
    names, pool = named_of(study), pool_of(search)
    st.caption("Set a target for each metric you care about: a maximum for losses, a minimum for scores.")
    limits = ask_limits(study, "targets", "target", search["found"]["found"]["mean"])
    if not np.isfinite(limits).any():
        return
    limited = {study.metrics[m] for m in np.flatnonzero(np.isfinite(limits))}
    known = warnings(state.store(), study, moment.aggregate)  # which the page says already
    for words in warnings(state.store(), study, moment.aggregate, limited):
        if words not in known:
            st.warning(plain(words), icon=":material/casino:")
    found = meet_targets(pool, surrogate_of(study, search), limits_on(study, limits))
    chance = found.chance[0]
    st.markdown(
        f"**{found.expected:,} of {len(pool.points):,}** draws are predicted to meet every target. The most likely one "
        f"meets them all with a probability of **{chance:.0%}** when trained."
    )
    if chance < 0.5:
        st.warning(f"Binding constraint: {plain(names.metrics[found.binding])}. Relax this target first.")
    top = pool.points[found.rows[:6]]
    labels = [f"{chance:.0%} likely ({place})" for place, chance in enumerate(found.chance[:6], 1)]
    if beyond := extrapolation_note(places_of(study, search, top)):
        st.caption(f":material/explore: {plain(beyond)}")
    left, right = st.columns(2)
    with left:
        plot(mixture_charts.shares_bar(labels, names, top), key="target-mixtures")
        if st.button("Set faders to the most likely", icon=":material/instant_mix:", key="target-to-faders"):
            set_faders(study, top[0])
        nominate(study, dict(zip(labels, top, strict=True)), "target", search["settings"]["surrogate"])
    if found.lowest is not None:
        with right:
            marks = {"most likely": top[0]}
            figure = mixture_charts.ranges(names.coordinates, names.colours, found.lowest, found.highest, marks)
            plot(figure, key="target-ranges")
            st.caption("The range of each share among the draws predicted to meet every target.")
