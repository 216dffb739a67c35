"""The predicted trade-off of a merge study: the Pareto front of losses, tasks and negative flips. Part of Search."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts import merges as merge_charts
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.faders import set_faders
from dashboard.views.shared.front import along_the_front
from dashboard.views.shared.moment import show_moment
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import refusal
from engine.core.errors import Problem
from engine.studies.merges.questions import measure_points
from engine.studies.moments import Moment

ON_THE_FRONT = "on the predicted front"


def show(moment: Moment) -> None:
    """A slider along the front of the draws of the search in use; what stands there is set, measured or nominated."""
    if moment.search is None:
        words = "A trade-off is read off the predictions of many merges, which follow the first fit."
        nothing_yet(words, moment.study, runs="Watch the merges")
        return
    show_moment(moment, "search")
    study = moment.study
    try:
        point = along_the_front(moment, moment.search, coefficients_along)
    except Problem as problem:
        refusal(problem)
        return
    if point is None:
        return
    with st.container(horizontal=True):
        if st.button("Set faders to this point", icon=":material/tune:", key="front-to-faders"):
            set_faders(study, point)
        allowed = needs_role("operator")
        if st.button("Measure this point", icon=":material/science:", key="measure-front", **allowed):
            act("measure-front", lambda: measure_points(state.store(), study, point, ON_THE_FRONT))
        nominate(study, {"this point on the front": point}, "front", moment.search["settings"]["surrogate"])
    show_refusal("measure-front")


def coefficients_along(names: Named, points: np.ndarray, place: int) -> go.Figure:
    """The coefficients of the merges on a front."""
    return merge_charts.along_front(names.coordinates, names.colours, points, place)
