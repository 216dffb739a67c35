"""Explore a mixture study: faders with live predictions; the charts below them are in details.py."""

import numpy as np
import streamlit as st

from dashboard.charts import effects as effect_charts
from dashboard.components.desk import MANY, desk
from dashboard.components.plot import plot
from dashboard.server import state
from dashboard.views.shared.faders import keep_in_link, keep_locks_in_link, linked_locks, linked_point, presets
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.predicted import against_a_reference
from dashboard.views.shared.sidebar import fit_of, priorities_of
from dashboard.views.shared.size import best_at_size, fit_at_size
from dashboard.views.shared.study import named_of, study_of, too_few
from dashboard.views.shared.target import Target, best_there, repetition, target_fader
from dashboard.views.shared.text import plain
from dashboard.views.understand.details import details
from dashboard.views.understand.text_form import text_form
from engine.core.short_names import told_apart
from engine.space.baselines import epochs
from engine.spec.frame import SAMPLED, Frame
from engine.spec.objectives import Aggregate, common_scale
from engine.studies.fits import Fit, named_points
from engine.studies.measured import frame_of_study
from engine.studies.repeating import beyond, seen
from engine.studies.targets import fit_at
from store import results, studies

PRIORS = {
    "natural": "the natural share",
    SAMPLED: "the share in the sample that was read, as the size of each domain is unknown",
    "prior": "the share in the prior",
    "mean of the runs": "the mean of the runs, as there is no prior and the size of each domain is unknown",
}


def render(name: str | None) -> None:
    st.title("Explore")
    if (study := study_of(name)) is None:
        return
    if (fit := fit_of(study)) is None:
        return
    aggregate = priorities_of(study)

    @st.fragment
    def desk_and_predictions():
        points = named_points(state.store(), study, aggregate)
        giver = ask_giver(study)
        at = faders(study, points, giver)
        frame = frame_of_study(study)
        target = target_fader(study, frame)
        repetition(study, frame, named_of(study), at, target, aggregate)
        told_beyond(study, frame, fit, at, target)
        text_form(study, frame, named_of(study), target)
        sized = target.size and fit_at_size(study, fit, target.size)
        there = sized or fit_at(study, frame, fit, target.tokens)
        if sized:
            best_at_size(study, named_of(study), sized, aggregate, target.size, target.tokens)
        else:
            best_there(study, frame, named_of(study), (fit, there), aggregate, target)
        nominate(study, {"the faders": at}, "explore", fit.name, aggregate)
        predictions(study, there, aggregate, at, points, elsewhere=there is not fit)
        details(study, there, aggregate, at, giver, target.tokens)

    desk_and_predictions()


def told_beyond(study: studies.Study, frame: Frame, fit: Fit, at: np.ndarray, target: Target) -> None:
    """Which domains the faders' mixture (D,) reads more often than any run did, where that moves the prediction."""
    if not fit.surrogate.sees_repetition or frame.pools is None or not frame.budget:
        return
    there = epochs(at, frame.pools.tokens, target.tokens)
    if told := beyond(named_of(study).domains, there, seen(state.store(), study, frame)):
        st.caption(f":material/explore: {plain(told)}")


def ask_giver(study: studies.Study) -> int | None:
    """Which domain gives way when another fader moves; None: all others, proportionally. Kept in the link."""
    names = named_of(study)
    linked = st.query_params.get("from")
    titles = told_apart({None: "All others, proportionally", **dict(enumerate(names.domains))})
    start = study.domains.index(linked) + 1 if linked in study.domains else 0
    giver = st.columns([1, 2])[0].selectbox(
        "Take tokens from",
        list(titles),
        index=start,
        key=f"giver-{study.id}",
        format_func=titles.get,
    )
    if giver is not None:
        st.query_params["from"] = study.domains[giver]
    elif linked:
        del st.query_params["from"]
    return giver


def faders(study: studies.Study, points: dict[str, np.ndarray], giver: int | None) -> np.ndarray:
    """The desk, and buttons that set it. Returns the mixture (D,)."""
    start, key = linked_point(study), f"mix-{study.id}"
    st.session_state.setdefault(key, (start if start is not None else next(iter(points.values()))).tolist())
    presets(key, points)
    chosen = st.session_state[key]
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
    told = desk(rows, key=f"desk-{reset}", reset=reset, giver=giver, locked=linked_locks(study.domains))
    if told.weights is not None:
        st.session_state[key] = chosen = told.weights
    keep_locks_in_link(study.domains, told.locked)
    st.session_state[key] = chosen = keep_in_link(chosen)
    st.caption(
        "Drag a fader, or use the arrow keys. "
        f"The tick is {PRIORS[frame.prior_name]}"
        + ("; the pale band spans the near-optimal mixtures." if near else ".")
        + (" Tracks have a square-root scale." if len(rows) > MANY else "")
    )
    at = np.array(chosen)
    return at / at.sum()


def near_optimal(study: studies.Study) -> dict | None:
    """The near-optimal ranges of the latest search, or None before one."""
    found = results.searches(state.store(), study.id)
    return found[0]["found"]["near_optimal"] if found else None


def predictions(
    study, fit: Fit, aggregate: Aggregate, at: np.ndarray, points: dict[str, np.ndarray], elsewhere: bool
) -> None:
    """The predicted metrics, against a reference; elsewhere: for another budget than all runs had."""
    left, right = st.columns([2, 3])  # narrower, the prediction with its interval would be cut
    with left:
        few = bool(too_few(study))
        reference, here, gap, support = against_a_reference(fit, aggregate, at, points, few, elsewhere)
        if elsewhere:
            st.caption("All runs saw the study's own budget: how its text is repeated at another is extrapolated.")
        st.caption(
            f"The nearest of {len(fit.measured.ids)} runs differs in {100 * support.distance[0]:.0f}% of the tokens "
            f"(runs are up to {100 * support.reach:.0f}% apart). Intervals are 95%, for one run."
        )
    with right:
        best = None if elsewhere else aggregate.best(fit.measured.losses)
        figure = effect_charts.losses_with_intervals(
            named_of(study),
            (reference, gap.baseline.mean),
            (here.mean, gap.std),
            None if best is None else (f"best measured, {fit.measured.ids[best]}", fit.measured.losses[best]),
            common_scale(study.objectives, fit.measured.losses),
        )
        plot(figure, key="losses")
