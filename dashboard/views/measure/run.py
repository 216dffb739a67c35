"""Runs that were chosen on Runs: one in full, or several beside each other. Part of Runs; the link holds which."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import mixtures as mixture_charts
from dashboard.charts import runs as run_charts
from dashboard.models import wording
from dashboard.models.colours import nth_colour
from dashboard.models.jobs import log_of
from dashboard.models.names import Named
from dashboard.models.runs import RunTable, smoothed, training_curves, training_unit
from dashboard.server import state
from dashboard.views.shared.faders import set_faders
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.plot import plot
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.core.short_names import listed
from engine.spec.merge import OUTSIDE
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.studies.measured import aggregate_noise, noise_floor, points_measured
from store import runs, studies

POINTS = "Each point is the mean over the training batches since the point before it."
MOST = 6  # runs side by side: more are not told apart
FACTS = {"role": "role", "state": "state", "seed": "seed", "device": "device", "job": "job"}
COUNTS = {"parameters": "parameters", "tokens": "tokens", "seconds": "seconds"}


def look_at(study: studies.Study, table: RunTable, names: Named, rows: list[int]) -> None:
    """Everything about some rows of the table of runs."""
    numbers = [table.columns["number"][row] for row in rows]
    titles = [f"run {number}" for number in numbers]
    st.subheader(f"Run {numbers[0]}" if len(rows) == 1 else f"Runs {listed(list(map(str, numbers)))}", anchor=False)
    points = {title: table.weights[row] for title, row in zip(titles, rows, strict=True)}
    with st.container(horizontal=True):
        inside = len(rows) == 1 and table.columns["role"][rows[0]] not in OUTSIDE
        if inside and st.button("Set the faders to this", icon=":material/instant_mix:", key="run-to-faders"):
            set_faders(study, points[titles[0]])
        nominate(study, points, "runs")
    curves(study, numbers, titles)
    if study.kind == "mixture":
        figure = mixture_charts.shares_bar(titles, names, table.weights[rows])
        plot(figure, key="run-mixtures")
    left, right = st.columns(2)
    left.dataframe(losses(study, table, names, rows, titles), key="run-losses")
    left.caption(
        "Intervals are 95%: of a run over windows of the validation text or items of a task, of a difference with the "
        f"noise between seeds as well, where that is known.{reading().note}"
    )
    right.dataframe(facts(table, rows, titles), key="run-facts")
    for job in dict.fromkeys(table.columns["job"][row] for row in rows):
        if job and st.toggle(f"Log of {plain(job)}", key=f"run-log-{job}"):
            st.code(log_of(state.store(), job)[-6000:] or "No output yet.", language=None, height=260)
    for row, title in zip(rows, titles, strict=True):
        if message := table.columns["message"][row]:
            st.caption(f"{title}: {plain(message)}")


def ask_look(key: str) -> tuple[float, bool, bool]:
    """How curves are drawn: the weight of what came before in the smoothing, and whether the axes are logarithmic."""
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    smoothing = left.slider(
        "Smoothing",
        0.0,
        0.95,
        0.0,
        0.05,
        key=f"smoothing-{key}",
        help="The weight of what came before in a running mean; 0: as measured.",
    )
    axes = right.pills("Logarithmic", ["tokens", "loss"], selection_mode="multi", key=f"log-axes-{key}")
    return smoothing, "tokens" in axes, "loss" in axes


def curves(study: studies.Study, numbers: list[int], titles: list[str]) -> None:
    """The training curves of the runs, one colour each."""
    lines = training_curves(state.store(), study, numbers)
    if not lines:
        st.caption("No training curve: these runs were not trained here, or have not begun.")
        return
    smoothing, *logarithmic = ask_look("runs")
    named = dict(zip(numbers, titles, strict=True))
    drawn = {number: (tokens, smoothed(loss, smoothing), named[number]) for number, (tokens, loss) in lines.items()}
    colours = {title: nth_colour(place) for place, title in enumerate(titles)}
    groups = {number: named[number] for number in drawn}
    figure = run_charts.curves(drawn, groups, colours, logarithmic, training_unit(study))
    plot(figure, key=f"run-curves-{logarithmic}")
    st.caption(POINTS)


def losses(study: studies.Study, table: RunTable, names: Named, rows: list[int], titles: list[str]) -> pd.DataFrame:
    """Each metric of the runs, with its interval where that is known; of two runs, the difference too."""
    errors = runs.standard_errors(state.store(), study.id, len(study.metrics))
    noise = noise_between_seeds(study, table.aggregate)
    read = [reading(unit) for unit in (table.aggregate.unit, *names.units)]
    titles_of = zip((table.aggregate.title, *names.metrics), read, strict=True)
    labels = [f"{name} [{one.unit}]" for name, one in titles_of]
    found = {}
    for row, title in zip(rows, titles, strict=True):
        own = errors[table.columns["id"][row]]
        halves = ci_half_width(np.array([table.aggregate.error_of([own]), *own]))
        values = [table.score[row], *table.losses[row]]
        cells = zip(read, values, halves, strict=True)
        found[title] = [one.words(value, half) if np.isfinite(value) else "" for one, value, half in cells]
    if len(rows) == 2:
        gaps = np.array([table.score[rows], *table.losses[rows].T])
        one, other = (errors[table.columns["id"][row]] for row in rows)
        text = np.array([table.aggregate.error_of([one, other]), *np.hypot(one, other)])
        cells = zip(read, gaps[:, 1] - gaps[:, 0], ci_half_width(np.hypot(text, np.sqrt(2) * noise)), strict=True)
        found["difference"] = [one.gap_words(gap, half) if np.isfinite(gap) else "" for one, gap, half in cells]
    return pd.DataFrame(found, index=labels)


def noise_between_seeds(study: studies.Study, aggregate: Aggregate) -> np.ndarray:
    """(1 + M,) standard deviations of one run's aggregate and metrics between seeds: 0 of merges, which have none, and
    NaN where too few runs repeat a mixture."""
    if study.kind == "merge":
        return np.zeros(1 + len(study.metrics))
    measured = points_measured(state.store(), study.id)
    floor, total = noise_floor(measured), aggregate_noise(measured, aggregate)
    if floor is None or total is None:
        return np.full(1 + len(study.metrics), np.nan)
    return np.array([total.std, *floor])


def facts(table: RunTable, rows: list[int], titles: list[str]) -> pd.DataFrame:
    """What was trained, where and how long."""
    found = {}
    for row, title in zip(rows, titles, strict=True):
        own = {label: table.columns[name][row] for name, label in FACTS.items()}
        own["role"] = wording.ROLES.get(own["role"], own["role"])
        own |= {label: table.columns[name][row] for name, label in COUNTS.items()}
        found[title] = ["" if value is None else fact_text(value) for value in own.values()]
    return pd.DataFrame(found, index=[*FACTS.values(), *COUNTS.values()])


def fact_text(value: object) -> str:
    """A fact as people read it."""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
