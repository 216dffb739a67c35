"""On the page Tasks: which metrics the mixture steers, how they move together, scores over a loss and over size."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import tasks as charts
from dashboard.models.units import digits, with_ends
from dashboard.server import state
from dashboard.views.shared.choice import choose
from dashboard.views.shared.plot import plot
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.errors import Problem
from engine.core.short_names import counted, listed
from engine.spec.statistics import ci_half_width
from engine.studies import score_forecasts, steering
from engine.studies.measured import points_measured
from engine.studies.points import BEST_PREDICTED, point_of
from engine.studies.task_scores import Scored
from engine.surrogates import title_of
from store import studies

TASKS, ALL = "tasks", "tasks and losses"


def readiness(study: studies.Study) -> None:
    """A row for each score: whether the mixture steers it, and how well it can be predicted."""
    found = [one for one in steering.steered(state.store(), study) if one.objective.is_score]
    if not found:
        return
    st.subheader("Can they be steered?", anchor=False)
    st.dataframe(pd.DataFrame([row_of(one) for one in found]), hide_index=True)
    surrogate = next((f" by {title_of(one.surrogate)}" for one in found if one.surrogate), "; nothing is fitted yet")
    st.caption(
        "Reliability is the part of the variance between runs that is the mixture's, with its 95% lower bound: from "
        "0.6 a metric may be an objective, from 0.3 a limit. Held-out rank correlation is Spearman's between measured "
        f"and predicted scores of runs that the prediction did not see{surrogate}; noise alone keeps it below 1."
    )


def row_of(one: steering.Steered) -> dict:
    """A row of the table."""
    ready = one.readiness
    return {
        "metric": one.objective.metric,
        "counts": "yes" if one.objective.priority > 0 else "no",
        "verdict": ready.verdict,
        "reliability": "" if ready.reliability is None else digits(ready.reliability, ".2f"),
        "at least": "" if ready.low is None else digits(max(0.0, ready.low), ".2f"),
        "repeats": ready.repeats,
        "held-out rank, 95%": with_ends(one.rank, one.interval, ".2f"),
    }


def together(study: studies.Study) -> None:
    """The metrics in the first two directions in which they move together."""
    own = [place for place, one in enumerate(study.objectives) if one.task]
    of = {TASKS: own, ALL: [*range(len(study.objectives))]}
    if len(own) < 2:
        del of[TASKS]
    if len(study.objectives) < 2:
        return
    st.subheader("How they move together", anchor=False)
    which = choose(st, "Metrics", {one: one for one in of}, "components-of", link="components")
    if (found := steering.directions(state.store(), study, of[which])) is None:
        st.caption("This takes two metrics that differ between runs, and three runs that measured all of them.")
        return
    moves = found.loadings.any(axis=0)
    names = [study.metrics[place] for place in of[which]]
    are_tasks = [study.objectives[place].task is not None for place in of[which]]
    plot(charts.components(names, are_tasks, found), key="components")
    if still := [name for name, moved in zip(names, moves, strict=True) if not moved]:
        st.caption(f"The same in all runs, so left out: {plain(listed(still))}.")
    said = {
        0: "No direction is more than chance: these metrics do not move together, so their mean follows none of them.",
        1: "One direction is more than chance: a mean of these metrics follows it.",
        2: "Two directions are more than chance: metrics far apart here need other mixtures, and a mean of all of them "
        "follows neither group well. Give each group priorities of its own.",
    }
    shares = ", ".join(f"{part:.0%} (unrelated metrics: at most {most:.0%})" for part, most in _parts(found))
    st.caption(
        f"{said[found.directions]} Parts of the variance: {shares}. Better is positive; from {found.runs} runs, each "
        "metric divided by its standard deviation over them."
    )


def _parts(found):
    return zip(found.explained, found.unrelated, strict=True)


def linked(study: studies.Study, one: Scored) -> None:
    """A score over a loss, with the fitted link."""
    if not score_forecasts.can_link(one.objective):
        return
    losses = score_forecasts.losses_of(study, str(one.objective.task))
    if not losses:
        return
    title, place = one.objective.metric, study.metrics.index(one.objective.metric)
    loss = choose(st, "Over the loss", {m: study.metrics[m] for m in losses}, f"link-{title}", start=losses[0])
    try:
        found = score_forecasts.link_of(state.store(), study, place, loss)
    except Problem as problem:
        st.caption(plain(problem))
        return
    values = points_measured(state.store(), study.id).losses
    known = np.isfinite(values[:, [place, loss]]).all(axis=1)
    axes = (f"{study.metrics[loss]} [{study.objectives[loss].unit}]", f"{title} [{one.objective.unit}]")
    figure = charts.link(found, values[known, loss], values[known, place], one.errors[known], axes)
    plot(figure, key=f"link-chart-{title}")
    wide = f" Runs scatter {found.spread:.1f} times as wide as their items alone would." if found.spread > 1.1 else ""
    st.caption(
        (
            f"The score follows this loss, by {counted(found.runs, 'run')}, from chance to a ceiling of "
            f"{with_ends(found.ceiling[0], found.ceiling[1:].tolist(), '.2f')}."
            if found.linked
            else f"{counted(found.runs, 'run')} do not show that the score follows this loss: rely on nothing here."
        )
        + wide
    )


def over_size(study: studies.Study, one: Scored) -> None:
    """A score at a larger size, with its interval and the check at the largest size; nothing where runs cannot tell."""
    if study.kind != "mixture" or not score_forecasts.has_sizes(state.store(), study):
        return
    title, place = one.objective.metric, study.metrics.index(one.objective.metric)
    times = st.number_input(
        "Times the compute of the largest runs",
        1.0,
        1000.0,
        4.0,
        key=f"times-{title}",
        help="Parameters and tokens alike.",
    )
    try:
        point = point_of(state.store(), study, "best")
        found = score_forecasts.forecast(state.store(), study, place, point, times)
    except Problem as problem:
        st.caption(plain(problem))
        return
    plot(charts.over_size(found, f"{title} [{one.objective.unit}]"), key=f"over-size-{title}")
    read = reading(one.objective.unit)
    told = f"{read.words(found.mean, ci_half_width(found.target_std))} {plain(read.unit)}"
    st.caption(
        f"At {found.target:.2g} FLOPs and the {BEST_PREDICTED} mixture: {told}, 95%, "
        f"from {counted(len(found.scores), 'run')} of {found.sizes} sizes. Check: told without the largest size, "
        f"{found.inside} of its {counted(len(found.held), 'run')} lie inside their 95% intervals, and are "
        f"{read.gap_words(found.bias)} {plain(read.gap_unit)} off on average."
    )
    if found.inside < 0.8 * len(found.held):
        st.warning("The check failed: do not rely on this extrapolation.", icon=":material/straighten:")
    for note in found.notes:
        st.caption(plain(note))
