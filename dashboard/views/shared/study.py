"""What pages about one study share: the study itself, buttons by role, names, metrics of one unit."""

import streamlit as st

from dashboard.models.names import Named, named
from dashboard.server import state
from store import studies


def study_of(name: str | None) -> studies.Study | None:
    """The study a page is about; says so where there is none."""
    if name is None:
        st.info("There is no study yet. Start one on the page Studies.", icon=":material/info:")
        return None
    study = studies.get(state.store(), name)
    if too_few(study):
        st.warning(too_few(study))
    return study


def too_few(study: studies.Study) -> str:
    """A warning where the finished runs are fewer than the domains; empty otherwise, and before there are any."""
    domains = len(study.domains)
    if not 0 < study.done < domains or study.open:
        return ""
    return (
        f"Fewer runs ({study.done}) than domains ({domains}): what is predicted here is little better than a guess, "
        f"and no mixture can be called better. {3 * (domains + 1)} runs are enough for the smooth laws."
    )


def named_of(study: studies.Study) -> Named:
    """What the study's domains and metrics are called on the page."""
    return named(study.domains, study.objectives)
