"""The study that a page is about, its short names, and a warning if it has too few runs."""

import streamlit as st

from dashboard.models.names import Named, named
from dashboard.server import state
from store import studies


def study_of(name: str | None) -> studies.Study | None:
    """The study a page is about; says so where there is none."""
    if name is None:
        st.info("No study yet. Start one on *Studies*.", icon=":material/info:")
        return None
    study = studies.get(state.store(), name)
    if too_few(study):
        st.warning(too_few(study))
    return study


def too_few(study: studies.Study) -> str:
    """A warning if fewer runs have finished than there are domains; empty otherwise, and before the first run."""
    domains = len(study.domains)
    if not 0 < study.done < domains or study.open:
        return ""
    return (
        f"Fewer runs ({study.done}) than domains ({domains}): predictions are little better than guesses, and no "
        f"mixture can be called better. About {3 * (domains + 1)} runs are enough for the smooth surrogates."
    )


def named_of(study: studies.Study) -> Named:
    """What the study's domains and metrics are called on the page."""
    return named(study.domains, study.objectives)
