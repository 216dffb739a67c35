"""Runs in training: what each is predicted to measure at its end, and how far such predictions are to be trusted."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.models.names import Named
from dashboard.models.units import number
from dashboard.server import state
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.short_names import counted
from engine.spec.objectives import Aggregate
from engine.studies.endings import BETTER, OPEN, WORSE, Ending, Judged, endings_of
from store import studies

STANDS = {WORSE: "worse (95%)", BETTER: "better (95%)", OPEN: "open"}


def predicted_ends(study: studies.Study, aggregate: Aggregate, names: Named) -> None:
    """A table of the runs in training, and a line on how finished runs would have been predicted. Nothing where there
    is nothing to tell."""
    found = endings_of(state.store(), study, aggregate)
    if not (found.runs or found.judged or found.waiting):
        return
    st.subheader("Predicted ends", anchor=False)
    if found.runs:
        st.dataframe(table(found.runs, aggregate, names), hide_index=True)
        st.caption(
            "What runs in training are predicted to measure once they are finished, with 95% intervals: from their "
            "losses per domain so far, their shares, and finished runs of the same size. They assume that "
            "no run diverges."
        )
    if found.note:
        st.caption(f":material/hourglass_top: {plain(found.note)}")
    for one in found.judged:
        st.caption(f":material/rule: {judged_words(one, aggregate)}")


def table(runs: list[Ending], by: Aggregate, names: Named) -> pd.DataFrame:
    """The aggregate, how it stands to the best finished run, and every metric."""
    read, units = reading(by.unit), [reading(unit) for unit in names.units]
    rows = {
        "run": [one.number for one in runs],
        "read": [f"{one.tokens / one.whole:.0%}" for one in runs],
        f"{by.title}, {read.unit}": [read.words(by.sign * one.mean[-1], one.half[-1]) for one in runs],
        "against the best finished": [STANDS[one.verdict] for one in runs],
    }
    for m, (name, unit) in enumerate(zip(names.metrics, units, strict=True)):
        rows[f"{name} [{unit.unit}]"] = [
            unit.words(one.mean[m], one.half[m]) if np.isfinite(one.mean[m]) else None for one in runs
        ]
    return pd.DataFrame(rows)


def judged_words(one: Judged, by: Aggregate) -> str:
    """How well finished runs were predicted after some of their tokens."""
    read = reading(by.unit)
    error, spread = (f"{number(read.gap(value))} {plain(read.gap_unit)}" for value in (one.error, one.spread))
    nothing = " So they tell nothing yet." if one.error >= one.spread else ""
    part = f"{one.tokens / one.whole:.0%}"
    return (
        f"Checked on {counted(one.runs, 'finished run')}, each predicted by the others after {part} of its tokens: the "
        f"{plain(by.title)} is missed by {error}, where runs differ by {spread}, and {one.inside:.0%} lie inside their "
        f"95% interval.{nothing}"
    )
