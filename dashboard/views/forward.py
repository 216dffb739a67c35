"""Put forward: what every page offers beside a point, so that it becomes a candidate that others can review."""

import numpy as np
import streamlit as st

from dashboard import drafts, state
from dashboard.views import parts
from engine.errors import Problem
from engine.objectives import Aggregate
from engine.review import acts
from store import studies


def put_forward(
    study: studies.Study, points: dict[str, np.ndarray], key: str, surrogate: str | None = None,
    whole: Aggregate | None = None,
) -> None:  # fmt: skip
    """A button that opens a small form: which of the points (D,), under what name, and why.

    surrogate, whole: what the page predicts with and how it weighs; by default as the study does.
    """
    turn = st.session_state.setdefault(f"forward-{key}", 0)  # a form that was taken starts anew
    with (
        st.popover("Put forward", icon=":material/how_to_vote:", key=f"forward-{key}-{turn}"),
        st.form(f"forward-form-{key}-{turn}", border=False),
    ):
        st.caption("Freeze this point, its predictions and what stands behind them, for others to review.")
        chosen = next(iter(points))
        if len(points) > 1:
            chosen = st.selectbox("Point", list(points), key=f"forward-point-{key}-{turn}")
        name = st.text_input("Name", key=f"forward-name-{key}-{turn}", placeholder="more code, less junk")
        drafts.keep(f"forward-name-{key}-{turn}", f"forward-name-{study.id}-{key}")
        why = st.text_area("Why should it be trained?", key=f"forward-why-{key}-{turn}", height=100)
        drafts.keep(f"forward-why-{key}-{turn}", f"forward-why-{study.id}-{key}")
        if not st.form_submit_button("Put forward", type="primary", **parts.takes("reviewer")):
            return
        priorities = None if whole is None else whole.priorities
        try:
            candidate = acts.put_forward(state.store(), study, points[chosen], name, why, surrogate, priorities)
        except Problem as problem:
            parts.refusal(problem)
            return
    drafts.forget(f"forward-name-{study.id}-{key}")
    drafts.forget(f"forward-why-{study.id}-{key}")
    st.session_state[f"forward-{key}"] = turn + 1
    st.switch_page(st.session_state["pages"]["candidates"], query_params={"study": study.id, "candidate": candidate})
