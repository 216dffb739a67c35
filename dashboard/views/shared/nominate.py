"""Nominate: the button beside a point that makes it a candidate, which others can review."""

import numpy as np
import streamlit as st

from dashboard.components import drafts
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.refused import attempt, show_refusal
from engine.review import acts
from engine.spec.objectives import Aggregate
from store import studies


def nominate(
    study: studies.Study,
    points: dict[str, np.ndarray],
    key: str,
    surrogate: str | None = None,
    aggregate: Aggregate | None = None,
) -> None:
    """A button that opens a small form: which of the points (D,) or schedules (F, D), its name, and why.

    surrogate, aggregate: what the page predicts with and how it weighs; by default as the study does.
    """
    boxes = {name: f"nominate-{name}-{key}" for name in ("point", "name", "why", "made")}
    priorities = None if aggregate is None else aggregate.priorities
    with (
        st.popover("Nominate", icon=":material/how_to_vote:", key=f"nominate-{key}"),
        st.form(f"nominate-form-{key}", border=False),
    ):
        st.caption("Freezes this point with its predictions and their sources, so that others can review it.")
        if len(points) > 1:
            st.selectbox("Point", list(points), key=boxes["point"])
        st.text_input("Name", key=boxes["name"], placeholder="more code, less junk")
        merge = study.kind == "merge"
        st.text_area("Why should it be taken?" if merge else "Why should it be trained?", key=boxes["why"], height=100)
        given = (study, points, boxes, surrogate, priorities)
        st.form_submit_button("Nominate", type="primary", on_click=freeze, args=given, **needs_role("reviewer"))
        show_refusal(boxes["made"])
        drafts.keep(boxes["why"], boxes["why"])
    if candidate := st.session_state.pop(boxes["made"], None):
        query = {"study": study.id, "candidate": candidate}
        st.switch_page(st.session_state["pages"]["candidates"], query_params=query)


def freeze(study, points: dict[str, np.ndarray], boxes: dict[str, str], surrogate, priorities) -> None:
    """Freeze what the form says; if that is refused, its boxes keep what was typed."""
    typed = st.session_state
    point = points[typed.get(boxes["point"], next(iter(points)))]
    name, why = typed[boxes["name"]], typed[boxes["why"]]
    with attempt(boxes["made"]):
        typed[boxes["made"]] = acts.nominate(state.store(), study, point, name, why, surrogate, priorities)
        typed[boxes["name"]] = typed[boxes["why"]] = ""
        drafts.forget(boxes["why"])
