"""Runs: curves and progress while jobs run, the table with filters, parallel coordinates with brushing."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import runs as run_charts
from dashboard.charts import style
from dashboard.models.colours import colour_of
from dashboard.models.names import Named
from dashboard.models.progress import progress_of
from dashboard.models.runs import RunTable, best_so_far, gaps, run_table, smoothed, training_curves, training_unit
from dashboard.models.wording import ROLES, RUN
from dashboard.server import state
from dashboard.views.measure import brushing, design
from dashboard.views.measure.brushing import Ranges
from dashboard.views.measure.endings import predicted_ends
from dashboard.views.measure.run import MOST, POINTS, ask_look, look_at
from dashboard.views.measure.since_start import since_start
from dashboard.views.shared.buttons import cancel_button, needs_role
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.live import live
from dashboard.views.shared.plot import plot
from dashboard.views.shared.progress import ICONS, expected, stages
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.sidebar import priorities_of
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.shared.text import plain
from dashboard.views.shared.units import reading
from engine.commands import COMMANDS
from engine.core.short_names import counted
from engine.importing import run_table as run_file
from engine.spec.merge import EXPERT
from engine.spec.objectives import Aggregate
from engine.spec.statistics import first_lowest
from engine.studies.jobs import cancel_job, retry
from engine.studies.measured import points_measured
from engine.studies.stopping import spared
from store import jobs, studies

MOST_JOBS = 12  # shown here; Jobs has more
BASE = "base"  # the model from which experts are trained
CURVES_OF = "curves-of"  # in the session: what the curves on the page are of
FACTS = ("seed", "parameters", "tokens", "seconds", "message")


def render(name: str | None) -> None:
    st.title("Runs")
    if (study := study_of(name)) is None:
        return
    if not study.coordinates:
        nothing_yet("Runs are planned once the corpus is built.", study, corpus="To the corpus", jobs="To its job")
        live(lambda: stages(progress_of(state.store(), studies.get(state.store(), study.id))))
        return
    aggregate = priorities_of(study)
    live(lambda: progress_and_curves(study.id, aggregate))
    live(lambda: table_and_parallel(study.id, aggregate))


def progress_and_curves(name: str, aggregate: Aggregate) -> None:
    """The study's progress, its training curves, and what runs in training are predicted to measure."""
    store = state.store()
    study = studies.get(store, name)
    progress = progress_of(store, study)
    stages(progress)
    if words := expected(progress):
        st.caption(f":material/hourglass_top: {words}")
    job_controls(study)
    if study.external:
        design.section(study)
    if study.imported:
        st.session_state.pop(CURVES_OF, None)
        st.caption(imported_from(study))
        return
    table, names = run_table(store, study, aggregate), named_of(study)
    curves_so_far(study, table, names)
    if study.kind == "mixture":
        stopped_early(study)
        predicted_ends(study, aggregate, names)
        since_start(study, aggregate, names)


def stopped_early(study: studies.Study) -> None:
    """How many runs were stopped early, and what that saved."""
    if (saved := spared(state.store(), study)) is not None:
        st.caption(f":material/content_cut: {saved.sentence}")


def curves_so_far(study: studies.Study, table: RunTable, names: Named) -> None:
    """The training curves of the runs that are brushed, or of all."""
    st.header("Training curves", anchor=False)
    axes = brushing.axes_of(table, names, study.kind == "merge")
    brush = brushing.brush_now(study.id, axes)
    st.session_state[CURVES_OF] = asked = brushing.asked(brush)
    kept = brushing.within(table, axes, brush)
    lines = training_curves(state.store(), study, np.array(table.columns["number"])[kept].tolist() if asked else None)
    if not lines:
        st.caption(
            "None of the runs that are brushed or chosen below has a curve."
            if asked
            else "Curves appear once they are reported."
            if study.external
            else "Curves appear a few seconds after the first proxies start."
        )
        return
    labelled = {n: (*points, label_of(table, n)) for n, points in lines.items()}
    smoothing, *logarithmic = ask_look("all")
    labelled = {n: (tokens, smoothed(loss, smoothing), label) for n, (tokens, loss, label) in labelled.items()}
    figure = run_charts.curves(labelled, *curve_groups(study, table, names), logarithmic, training_unit(study))
    plot(figure, key=f"curves-{logarithmic}")  # zoom in one scale means nothing in the other
    trained = table.columns["role"].count(EXPERT) if study.kind == "merge" else len(table.columns["role"])
    of = "" if len(lines) == trained else f" of {trained:,}"
    only = ", those that are brushed or chosen below" if asked else ""
    st.caption(
        f"{len(lines):,}{of} runs{only}. {POINTS} A curve is the loss on the proxy's own mixture, so easy mixtures lie "
        "lower: compare proxies by their losses per domain below."
    )


def curve_groups(study: studies.Study, table: RunTable, names: Named) -> tuple[dict[int, str], dict[str, str]]:
    """What each run's curve is called by its number, and the colours of these: proxies by their largest domain; of a
    merge study, the base and its experts, which no coefficient tells from each other where knobs are tuned too."""
    numbers = table.columns["number"]
    if study.kind == "merge":
        experts = zip(study.corpus["experts"], colour_of(study.corpus["experts"]).values(), strict=True)
        colours = {BASE: style.INK} | {f"expert of {name}": colour for name, colour in experts}
        labels = zip(numbers, table.columns["label"], strict=True)
        return {number: BASE if label == BASE else f"expert of {label}" for number, label in labels}, colours
    largest = [names.coordinates[place] for place in first_lowest(-table.weights)]
    colours = {f"mostly {name}": colour for name, colour in colour_of(names.coordinates).items()}
    return {number: f"mostly {name}" for number, name in zip(numbers, largest, strict=True)}, colours


def imported_from(study: studies.Study) -> str:
    """The origin of a study's runs, in a sentence."""
    files = " and ".join(plain(name) for name in study.imported["files"])
    notes = " ".join(plain(note) for note in study.imported["notes"])
    return f"{study.runs} runs trained elsewhere, imported from {files}. {notes}"


def label_of(table: RunTable, number: int) -> str:
    row = table.columns["number"].index(number)
    label = table.columns["label"][row]
    ended = ", stopped early" if table.columns["state"][row] == "stopped" else ""
    return style.escape((f"run {number}, {label}" if label else f"run {number}") + ended)


def job_controls(study: studies.Study) -> None:
    """Running and failed jobs, with cancel and retry."""
    store, allowed = state.store(), needs_role("operator")
    show_refusal("runs")
    shown = [job for job in jobs.of_study(store, study.id) if job.state in ("running", "failed", "cancelled", "paused")]
    if len(shown) > MOST_JOBS:
        st.caption(f"Showing {MOST_JOBS} of {len(shown):,} running and failed jobs; *Jobs* has more.")
    for job in shown[:MOST_JOBS]:
        what, button = st.columns([5, 1], vertical_alignment="center")
        progress = f"{job.done / job.total:.0%} · {job.note}" if job.total else ""
        icon = ICONS["running" if job.state == "running" else "failed" if job.state == "failed" else "waiting"]
        what.caption(f"{icon} {job.id} · {job.state} · {plain(progress) if progress else 'starting'}")
        if job.message:
            what.caption(plain(job.message))
        if job.state == "running" and cancel_button(job, f"cancel-{job.id}", button):
            act("runs", lambda job_id=job.id: cancel_job(store, job_id))
        if job.state in ("failed", "cancelled") and button.button("Retry", key=f"retry-{job.id}", **allowed):
            act("runs", lambda job_id=job.id: retry(store, job_id))


def table_and_parallel(name: str, aggregate: Aggregate) -> None:
    """Finished runs: brushing the parallel coordinates filters the table under them, and the curves."""
    study = studies.get(state.store(), name)
    table, names = run_table(state.store(), study, aggregate), named_of(study)
    done = np.isfinite(table.score)
    merges = study.kind == "merge"
    point = "Coefficients" if merges else "Shares"
    st.header(f"{point} and metrics" if study.elsewhere else f"{point} and losses", anchor=False)
    finished = table.losses[np.array(table.columns["state"]) == "done"]
    counted = table.aggregate.weights != 0
    for gap in gaps(finished, names.metrics, counted, table.aggregate.title, study.imported is not None):
        st.caption(f":material/info: {plain(gap)}")
    axes, brush = brushing.axes_of(table, names, merges), {}
    if done.sum() >= 2:
        brush = brushing.brush_now(study.id, axes)
        brushing.parallel(study, table, names, axes, brush)
        inside = brushing.within(table, axes, brush)
        brushing.count(study.id, int(inside.sum()), int(done.sum()), brush)
    filters_and_table(study, table, names, axes, brush)
    progress_of_the_best(study, table)
    if st.session_state.get(CURVES_OF, brushing.asked(brush)) != brushing.asked(brush):
        st.rerun()  # the curves above are of other runs


def progress_of_the_best(study: studies.Study, table: RunTable) -> None:
    """The best score so far over the runs that compare: those of the study's own size."""
    read = reading(table.aggregate.unit)
    comparable = set(points_measured(state.store(), study.id).ids)
    rows = [i for i, run in enumerate(table.columns["id"]) if run in comparable and np.isfinite(table.score[i])]
    if len(rows) < 2:
        return
    score, numbers = table.score[rows], np.array(table.columns["number"])[rows]
    st.subheader("Best so far", anchor=False)
    best = best_so_far(score, table.aggregate.better)
    first = rows[table.aggregate.best(table.losses[rows])]  # of tied ones, as on every page
    title = f"{table.aggregate.title}, {read.unit}"
    values, line = read.level(score), read.level(best)
    plot(run_charts.best_so_far(numbers, values, line, title), key="best-so-far")
    low, high = run_charts.scale_of_best(values, line)
    beyond = int(((values < low) | (values > high)).sum())
    cut = f", {beyond} beyond the axis" if beyond else ""
    st.caption(
        f"{counted(len(rows), RUN[study.kind])} of one size{cut}. Best measured ({plain(table.columns['id'][first])}): "
        f"run {table.columns['number'][first]}; the best of many looks a little too good."
    )


def filters_and_table(study: studies.Study, table: RunTable, names: Named, axes: list[dict], brush: Ranges) -> None:
    """The table of runs within a brush, filtered by state and role; and which groups of columns it has."""
    row = st.container(horizontal=True, gap="medium")
    brushing.ask_filters(row, table)
    groups = columns_of(study, table, names)
    look = {"selection_mode": "multi", "key": "columns", "bind": "query-params", "width": "content"}
    wanted = row.pills("Columns", list(groups), **look)
    kept = brushing.within(table, axes, brush)
    rows = np.flatnonzero(kept)
    frame, formats = shown_columns(study, table, groups, wanted or list(groups), rows)
    numbers = [str(table.columns["number"][row]) for row in rows]
    linked = [place for place, number in enumerate(numbers) if number in st.query_params.get_all("run")]
    picked = st.dataframe(
        frame,
        hide_index=True,
        column_config=formats,
        height=380,
        placeholder="–",
        on_select="rerun",
        selection_mode="multi-row",
        selection_default={"selection": {"rows": linked}},
        key=f"runs-table-{hash(tuple(numbers))}",  # with other rows, the places of those that are selected are others
    ).selection.rows
    st.caption(
        f"{len(rows)} of {len(kept)} runs. Losses and scores with units in brackets. Select a run to look at it, or up "
        f"to {MOST} to compare them."
    )
    downloads(study)
    picked = [place for place in picked if place < len(rows)][:MOST]
    chosen = [numbers[place] for place in picked]
    if chosen != st.query_params.get_all("run"):
        st.query_params["run"] = chosen
    if picked:
        look_at(study, table, names, [int(rows[place]) for place in picked])


def columns_of(study: studies.Study, table: RunTable, names: Named) -> dict[str, dict[str, tuple[Any, Any]]]:
    """The groups of columns of the table of runs: group -> title -> (values (R,), format)."""
    number, merges = st.column_config.NumberColumn, study.kind == "merge"
    four, short, part = number(format="%.4f"), number(format="compact"), "" if merges else "share "
    by, read = reading(table.aggregate.unit), [reading(unit) for unit in names.units]
    metrics = {f"{table.aggregate.title}, {by.unit}": (by.level(table.score), four)}
    for name, one, column in zip(names.metrics, read, table.losses.T, strict=True):
        metrics[f"{name} [{one.unit}]"] = (one.level(column), four)
    share = number(format="%.3f" if merges else "%.1f%%")
    points = {
        f"{part}{name}": ((1 if merges else 100) * column, share)
        for name, column in zip(names.coordinates, table.weights.T, strict=True)
    }
    formats = {"parameters": short, "tokens": short, "seconds": number(format="%.1f s")}
    facts = {name: (table.columns[name], formats.get(name)) for name in FACTS}
    return {"metrics": metrics, "coefficients" if merges else "shares": points, "facts": facts}


def shown_columns(
    study: studies.Study, table: RunTable, groups: dict, wanted: list[str], rows: np.ndarray
) -> tuple[pd.DataFrame, dict]:
    """Some rows of the table of runs as a frame with some groups of columns, empty ones left out; and their formats."""
    roles = [ROLES.get(role, role) for role in table.columns["role"]]
    chosen = {title: one for group in groups if group in wanted for title, one in groups[group].items()}
    frame = pd.DataFrame(
        {
            "run": [table.columns["number"][i] for i in rows],
            "key" if study.imported else "role": [table.columns["label"][i] or roles[i] for i in rows],
            "state": [table.columns["state"][i] for i in rows],
            **{title: [values[i] for i in rows] for title, (values, _) in chosen.items()},
        }
    ).dropna(axis="columns", how="all")
    return frame, {title: form for title, (_, form) in chosen.items() if form is not None}


def downloads(study: studies.Study) -> None:
    """All runs as files."""
    with st.container(horizontal=True):
        for suffix in run_file.SUFFIXES:
            st.download_button(
                f"All runs as {suffix[1:].upper() if suffix == '.csv' else 'Parquet'}",
                lambda suffix=suffix: run_file.as_bytes(COMMANDS["list_runs"](state.store(), study.id), suffix),
                f"{study.id}{suffix}",
                icon=":material/download:",
                key=f"runs-as-{suffix}",
            )
