"""Studies that continue from a saved proxy: what training from it is predicted to change, metric by metric."""

import pandas as pd
import streamlit as st

from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.spec.objectives import Aggregate
from engine.studies.moments import moment_of
from engine.studies.starts import changes
from store import studies


def since_start(study: studies.Study, aggregate: Aggregate, names: Named) -> None:
    """A table of the start and the best mixture. Nothing in a study whose runs begin with random weights."""
    if not study.spec.get("start"):
        return
    st.subheader("Since the start", anchor=False)
    try:
        name, found = changes(state.store(), moment_of(state.store(), study, aggregate))
    except Problem as problem:
        st.caption(f":material/hourglass_top: {plain(str(problem))}")
        return
    units = [reading(unit) for unit in names.units]
    rows = {
        "metric": names.metrics,
        "the start": [unit.words(one.start) for unit, one in zip(units, found, strict=True)],
        f"{name}, 95%": [unit.words(one.predicted, one.half) for unit, one in zip(units, found, strict=True)],
        "change, 95%": [unit.gap_words(one.gap, one.half) for unit, one in zip(units, found, strict=True)],
        "beyond noise": ["yes" if one.beyond else "no" for one in found],
        "unit": [unit.unit for unit in units],
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True)
    st.caption(
        f"Every run begins with {plain(study.spec['start'])}, measured here as it is. What one run of {plain(name)} is "
        "predicted to measure, minus the start: a loss that rises is forgotten text. The interval is that of one run."
    )
