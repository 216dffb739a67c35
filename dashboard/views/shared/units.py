"""The unit in which a study's losses are read: one choice in the sidebar, kept in the link, for every page."""

from dataclasses import replace

import numpy as np
import streamlit as st

from dashboard.models.units import READINGS, Shown, shown_in
from engine.spec.objectives import BITS, Objective, Scale, common_scale
from store import studies

KEY = "unit"  # of the choice, in the session and in the link
HELP = (
    "Of losses: nats are bits times 0.693, and perplexity per byte is 2 to the bits: how many equally likely bytes the "
    "model chooses among. Differences of losses would be ratios of perplexities, so they stay in bits per byte, as "
    "do files and answers of the API."
)


def ask_unit(study: studies.Study) -> None:
    """Ask for the unit, if the study has losses in bits per byte."""
    if all(one.unit != BITS for one in study.objectives):
        return
    linked = st.query_params.get(KEY)
    if st.session_state.get(KEY) not in READINGS:
        st.session_state[KEY] = linked if linked in READINGS else next(iter(READINGS))
    chosen = st.selectbox("Unit of losses", list(READINGS), format_func=READINGS.get, key=KEY, help=HELP)
    if chosen != next(iter(READINGS)):
        st.query_params[KEY] = chosen
    else:
        st.query_params.pop(KEY, None)


def scale_of(objectives: list[Objective], values: np.ndarray) -> Scale:
    """The common scale of differences of a study's metrics (`common_scale`), as they are read; values (R, M)."""
    scale = common_scale(objectives, values)
    read = reading(scale.unit)
    return replace(scale, factor=read.gap(scale.factor), unit=read.gap_unit)


def reading(unit: str = BITS) -> Shown:
    """How values of a metric or aggregate, kept in this unit, are read."""
    return shown_in(st.session_state.get(KEY, next(iter(READINGS))), unit)
