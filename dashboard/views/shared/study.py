"""The study that a page is about, its short names, and a warning if it has too few runs."""

import streamlit as st

from dashboard.models.names import Named, named
from dashboard.server import state
from dashboard.views.shared.empty import nothing_yet
from engine.studies.levels import levels_in
from store import studies


def study_of(name: str | None) -> studies.Study | None:
    """The study a page is about; says so where there is none."""
    if name is None:
        nothing_yet("No study yet.", studies="Start one on Studies")
        return None
    study = studies.get(state.store(), name)
    if too_few(study):
        st.warning(too_few(study))
    return study


def too_few(study: studies.Study) -> str:
    """A warning if fewer runs have finished than a fit needs; empty otherwise, and before the first run."""
    if not 0 < study.done < study.enough or study.open:
        return ""
    what = "merge" if study.kind == "merge" else "mixture"
    lost = f" {study.lost} more were cancelled or failed: *Retry* on *Studies* trains them." if study.lost else ""
    return (
        f"Too few runs ({study.done}) for {len(study.coordinates)} {'coefficients' if what == 'merge' else 'domains'}: "
        f"a fit needs about {study.enough}, so no {what} can be called better or best yet.{lost}"
    )


def named_of(study: studies.Study) -> Named:
    """What the study's domains and metrics are called on the page."""
    return named(study.coordinates, study.objectives, levels_in(study))
