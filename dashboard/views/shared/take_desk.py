"""A button: the desk of a study as one HTML file whose faders work offline."""

import streamlit as st

from dashboard.report.desk import html
from dashboard.server import state
from engine.core.short_names import slug
from engine.spec.objectives import Aggregate
from engine.studies.desk_file import desk_of
from store import studies


def take_desk(study: studies.Study, surrogate: str, aggregate: Aggregate) -> None:
    """Download the desk with the surrogate and the priorities in use; it is made when asked for."""
    st.download_button(
        "Download the desk",
        lambda: html(desk_of(state.store(), study, surrogate, aggregate.priorities)),
        f"{slug(study.name)}-desk.html",
        "text/html",
        icon=":material/download:",
        key=f"take-desk-{study.id}",
        help="One HTML file with working faders, predictions and intervals. It needs no network and holds no text.",
    )
