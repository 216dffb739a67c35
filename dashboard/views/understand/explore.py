"""Explore: faders with live predictions; the closer looks below them are in looks.py."""

import numpy as np
import streamlit as st

from dashboard.charts import effects as effect_charts
from dashboard.components.desk import MANY, desk
from dashboard.components.plot import plot
from dashboard.server import state
from dashboard.views.shared.faders import linked_mixture
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.predicted import against_a_reference
from dashboard.views.shared.sidebar import fit_of, priorities_of
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.understand.looks import closer_look
from engine.spec.objectives import Aggregate, common_scale
from engine.studies.fits import Fit, named_points
from engine.studies.measured import frame_of_study
from store import searches, studies

PRIORS = {
    "natural": "the natural share",
    "prior": "the share in the prior",
    "mean of the runs": "the mean of the runs, since neither a prior nor the tokens of each domain are known",
}


def render(name: str | None) -> None:
    st.title("Explore")
    if (study := study_of(name)) is None:
        return
    if (fit := fit_of(study)) is None:
        return
    whole = priorities_of(study)

    @st.fragment
    def turning():
        points = named_points(state.store(), study, whole)
        giver = giving(study)
        at = faders(study, points, giver)
        nominate(study, {"the faders": at}, "explore", fit.name, whole)
        predictions(study, fit, whole, at, points)
        closer_look(study, fit, whole, at, giver)

    turning()


def giving(study: studies.Study) -> int | None:
    """Which domain gives way when another fader moves; None: all the others, in proportion. Kept in the link."""
    names = named_of(study)
    linked = st.query_params.get("from")
    options = [None, *range(len(names.domains))]
    start = study.domains.index(linked) + 1 if linked in study.domains else 0
    giver = st.columns([1, 2])[0].selectbox(
        "When a fader moves, the tokens come from",
        options,
        index=start,
        key=f"giver-{study.id}",
        format_func=lambda place: "all others, in proportion" if place is None else names.domains[place],
    )
    if giver is not None:
        st.query_params["from"] = study.domains[giver]
    elif linked:
        del st.query_params["from"]
    return giver


def faders(study: studies.Study, points: dict[str, np.ndarray], giver: int | None) -> np.ndarray:
    """The desk, and buttons that set it. Returns the mixture (D,)."""
    start = linked_mixture(study)
    chosen = st.session_state.setdefault(
        f"mix-{study.id}", (start if start is not None else next(iter(points.values()))).tolist()
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Set the faders to**")
        for label, point in points.items():
            if st.button(label, key=f"set-{label}"):
                chosen = st.session_state[f"mix-{study.id}"] = point.tolist()
                st.session_state["desk-reset"] = st.session_state.get("desk-reset", 0) + 1
    near = near_optimal(study)
    frame, names = frame_of_study(study), named_of(study)
    rows = [
        {
            "name": domain,
            "colour": names.colours[domain],
            "value": chosen[i],
            "upper": 1.0,
            "mark": float(frame.prior[i]),
            "mark_name": frame.prior_name,
            "low": near and near["lowest"][i],
            "high": near and near["highest"][i],
        }
        for i, domain in enumerate(names.domains)
    ]
    reset = f"{study.id}-{st.session_state.get('desk-reset', 0)}"
    moved = desk(rows, key=f"desk-{reset}", reset=reset, giver=giver).weights
    if moved is not None:
        st.session_state[f"mix-{study.id}"] = chosen = moved
    st.query_params["mix"] = ",".join(f"{x:.4f}" for x in chosen)
    st.caption(
        "Drag a fader, or focus it and press the arrow keys. "
        f"The small tick is {PRIORS[frame.prior_name]}"
        + ("; the pale band holds every near-optimal mixture." if near else ".")
        + (" The tracks are square-root scales." if len(rows) > MANY else "")
    )
    at = np.array(chosen)
    return at / at.sum()


def near_optimal(study: studies.Study) -> dict | None:
    """The near-optimal ranges of the latest search, or None before one."""
    found = searches.of_study(state.store(), study.id)
    return found[0]["found"]["near_optimal"] if found else None


def predictions(study, fit: Fit, whole: Aggregate, at: np.ndarray, points: dict[str, np.ndarray]) -> None:
    """What would become of each metric, against a reference."""
    left, right = st.columns([1, 2])
    with left:
        reference, here, gap, support = against_a_reference(fit, whole, at, points)
        st.caption(
            f"{100 * support.distance[0]:.0f}% of the tokens differ from the nearest of {len(fit.measured.ids)} runs "
            f"(runs are up to {100 * support.reach:.0f}% apart from each other). Intervals are 95%, of one run."
        )
    with right:
        best = whole.best(fit.measured.losses)
        figure = effect_charts.losses_with_intervals(
            named_of(study),
            (reference, gap.baseline.mean),
            (here.mean, gap.std),
            None if best is None else (f"best run, {fit.measured.ids[best]}", fit.measured.losses[best]),
            common_scale(study.objectives, fit.measured.losses),
        )
        plot(figure, key="losses")
