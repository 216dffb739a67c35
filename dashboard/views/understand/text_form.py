"""The form on Explore that says how much text the real run has, for a study that began without knowing."""

import streamlit as st

from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.counts import edited_counts
from dashboard.views.shared.target import Target
from dashboard.views.shared.text import refusal
from engine.core.errors import Problem
from engine.spec.frame import Frame
from engine.spec.pools import GIVEN
from engine.studies.text import give_text
from store import studies


def text_form(study: studies.Study, frame: Frame, names: Named, target: Target) -> None:
    """Counts by domain and the faders' target, kept for the study by a button."""
    with st.popover("Give the real counts", icon=":material/edit:"), st.form(f"text-{study.id}", border=False):
        st.caption(
            "How much text of each domain the real run has; leave empty what should stay as it is. The natural "
            "mixture, epochs, caps and exports follow, and the study is searched again. Its runs do not change."
        )
        known = frame.pools.rows() if frame.pools else []
        given = {row["domain"]: row["tokens"] for row in known if row["source"] == GIVEN}
        counts = edited_counts(study.domains, names.coordinates, given, {}, f"counts-{study.id}")
        tokens = st.number_input("Target budget, tokens", 1.0, 1e15, float(target.tokens), format="%.4g")
        if st.form_submit_button("Use these counts", type="primary", **needs_role("operator")):
            try:
                give_text(state.store(), study, counts, tokens)
            except Problem as problem:
                refusal(problem)
                return
            st.rerun()
