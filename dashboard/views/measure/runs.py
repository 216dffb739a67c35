"""Runs: curves and progress while jobs run, the table with filters, parallel coordinates with brushing."""

import contextlib

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.charts import runs as run_charts
from dashboard.charts import style
from dashboard.components.plot import plot
from dashboard.models.colours import colour_of
from dashboard.models.names import Named
from dashboard.models.progress import progress_of
from dashboard.models.runs import RunTable, run_table, training_curves
from dashboard.models.wording import ROLES
from dashboard.server import state
from dashboard.views.shared.buttons import needs_role
from dashboard.views.shared.live import live
from dashboard.views.shared.nominate import nominate
from dashboard.views.shared.progress import ICONS, expected, stages
from dashboard.views.shared.sidebar import priorities_of
from dashboard.views.shared.study import named_of, study_of
from dashboard.views.shared.text import plain
from engine.commands import COMMANDS
from engine.core.short_names import told_apart
from engine.importing import run_table as run_file
from engine.spec.merge import EXPERT
from engine.spec.objectives import Aggregate
from engine.studies.jobs import cancel_job, retry
from store import jobs, studies

MOST_AXES = 16  # of parallel coordinates: more are unreadable
AXIS_PIXELS = 56  # of parallel coordinates, at least: labels of nearer ones would overlap
MOST_DRAWN = 2000  # lines of parallel coordinates; filters see all runs
MOST_JOBS = 12  # shown here; Jobs has more


def render(name: str | None) -> None:
    st.title("Runs")
    if (study := study_of(name)) is None:
        return
    if not study.domains:
        st.info("Runs are planned once the corpus is built. *Studies* shows its progress.")
        live(lambda: stages(progress_of(state.store(), studies.get(state.store(), study.id))))
        return
    live(lambda: progress_and_curves(study.id))
    aggregate = priorities_of(study)
    live(lambda: table_and_parallel(study.id, aggregate))


def progress_and_curves(name: str) -> None:
    """The study's progress, and every proxy's training curve."""
    store = state.store()
    study = studies.get(store, name)
    progress = progress_of(store, study)
    stages(progress)
    if words := expected(progress):
        st.caption(f":material/hourglass_top: {words}")
    job_controls(study)
    if study.imported:
        st.caption(imported_from(study))
        return
    st.subheader("Training curves", anchor=False)
    table = run_table(store, study)
    lines = training_curves(store, study)
    if not lines:
        st.caption("The first points appear a few seconds after the first proxies start.")
        return
    names = named_of(study)
    dominant = {n: names.domains[int(np.argmax(table.shares[i]))] for i, n in enumerate(table.columns["number"])}
    labelled = {n: (*points, label_of(table, n)) for n, points in lines.items()}
    plot(run_charts.curves(labelled, dominant, colour_of(names.domains)), key="curves")
    trained = table.columns["role"].count(EXPERT) if study.kind == "merge" else len(table.columns["role"])
    of = "" if len(lines) == trained else f" of {trained:,}"
    st.caption(
        f"{len(lines):,}{of} runs. A curve is the loss on the proxy's own mixture, so easy mixtures lie lower: "
        "compare proxies by their losses per domain below."
    )


def imported_from(study: studies.Study) -> str:
    """The origin of a study's runs, in a sentence."""
    files = " and ".join(plain(name) for name in study.imported["files"])
    notes = " ".join(plain(note) for note in study.imported["notes"])
    return f"{study.runs} runs trained elsewhere, imported from {files}. {notes}"


def label_of(table: RunTable, number: int) -> str:
    row = table.columns["number"].index(number)
    label = table.columns["label"][row]
    return style.escape(f"run {number}, {label}" if label else f"run {number}")


def job_controls(study: studies.Study) -> None:
    """Running and failed jobs, with cancel and retry."""
    store, allowed = state.store(), needs_role("operator")
    shown = [job for job in jobs.of_study(store, study.id) if job.state in ("running", "failed", "cancelled", "paused")]
    if len(shown) > MOST_JOBS:
        st.caption(f"Showing {MOST_JOBS} of {len(shown):,} running and failed jobs; *Jobs* has more.")
    for job in shown[:MOST_JOBS]:
        what, button = st.columns([5, 1], vertical_alignment="center")
        progress = f"{job.done / job.total:.0%} · {job.note}" if job.total else ""
        icon = ICONS["running" if job.state == "running" else "failed" if job.state == "failed" else "waiting"]
        what.caption(f"{icon} {job.id} · {job.state} · {progress or 'starting'}")
        if job.message:
            what.caption(plain(job.message))
        if job.state == "running" and button.button("Cancel", key=f"cancel-{job.id}", **allowed):
            cancel_job(store, job.id)
            st.rerun()
        if job.state in ("failed", "cancelled") and button.button("Retry", key=f"retry-{job.id}", **allowed):
            retry(store, job.id)
            st.rerun()


def table_and_parallel(name: str, aggregate: Aggregate) -> None:
    """Finished runs: brushing the parallel coordinates filters the table under them."""
    study = studies.get(state.store(), name)
    table, names = run_table(state.store(), study, aggregate), named_of(study)
    done = np.isfinite(table.score)
    title = f"{table.aggregate.title}, {table.aggregate.unit}"
    merges = study.kind == "merge"
    point = "Coefficients" if merges else "Shares"
    st.subheader(f"{point} and metrics" if study.imported else f"{point} and losses", anchor=False)
    kept = np.ones(len(done), bool)
    if done.sum() >= 2:
        linked = linked_brush(study.id)
        wanted = chosen_axes(table, names, merges) | set(linked)
        axes = [axis for axis in axes_of(table, names, merges) if axis["name"] in wanted]
        drawn = evenly(np.flatnonzero(done), MOST_DRAWN)
        shown = [{**axis, "values": axis["values"][drawn]} for axis in axes]
        score = {"label": table.aggregate.title, "name": "score", "values": table.score[drawn], "percent": False}
        drawn_axes = [{**axis, "brush": linked.get(axis["name"])} for axis in (*shown, score)]
        figure = run_charts.parallel(drawn_axes, table.score[drawn], title, table.aggregate.better)
        brush = plot(figure, key="parallel", narrowest=AXIS_PIXELS * len(drawn_axes)).brush
        brush = linked if brush is None else brush
        keep_brush_in_link(brush)
        kept = done.copy() if brush else kept
        values = {axis["name"]: axis["values"] for axis in axes} | {"score": table.score}
        for axis, ranges in brush.items():
            if axis in values:
                kept &= np.any([(values[axis] >= low) & (values[axis] <= high) for low, high in ranges], axis=0)
        part = "" if len(drawn) == done.sum() else f" ({len(drawn):,} drawn)"
        st.caption(
            f"{done.sum():,} finished runs{part}; colour: {plain(title)} ({table.aggregate.better} is better). Drag "
            "along an axis to filter the table below."
        )
        if table.aggregate.note:
            st.caption(table.aggregate.note)
    filters_and_table(study, table, names, kept)


def linked_brush(study: str) -> dict[str, list[list[float]]]:
    """The ranges of axes in the link with which the page was opened: {axis: [[low, high], ...]}."""
    found: dict[str, list[list[float]]] = {}
    for text in st.session_state.setdefault(f"brush-{study}", st.query_params.get_all("brush")):
        axis, _, ends = text.partition(":")
        with contextlib.suppress(ValueError):  # of a link that somebody typed
            low, high = (float(end) for end in ends.split(","))
            found.setdefault(axis, []).append([low, high])
    return found


def keep_brush_in_link(brush: dict[str, list[list[float]]]) -> None:
    """Write the brushed ranges into the link."""
    written = [f"{axis}:{low!r},{high!r}" for axis, ranges in brush.items() for low, high in ranges]
    if written != st.query_params.get_all("brush"):
        st.query_params["brush"] = written


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, in equal steps."""
    return rows[:: -(-len(rows) // most)] if len(rows) > most else rows


def axes_of(table: RunTable, names: Named, merges: bool) -> list[dict]:
    """All possible axes of the parallel coordinates: shares (or coefficients) first, then metrics."""
    metrics = [
        {"label": name, "name": f"loss {i}", "values": table.losses[:, i], "percent": False}
        for i, name in enumerate(names.metrics)
    ]
    for axis in metrics:
        if axis["label"] in names.domains:
            axis["label"] = f"loss {axis['label']}"
    shares = [
        {
            "label": name if merges else f"share {name}",
            "name": f"share {i}",
            "values": table.shares[:, i],
            "percent": not merges,
        }
        for i, name in enumerate(names.domains)
    ]
    return shares + metrics


def chosen_axes(table: RunTable, names: Named, merges: bool) -> set[str]:
    """The axes to draw: all if they are few, else the shares that vary most and the first metrics, or as chosen."""
    everything = told_apart({axis["name"]: axis["label"] for axis in axes_of(table, names, merges)})
    if len(everything) <= MOST_AXES:
        return set(everything)
    widest = np.argsort(-table.shares.std(axis=0), kind="stable")[: MOST_AXES // 2]
    start = [f"share {i}" for i in sorted(widest)] + [f"loss {i}" for i in range(len(names.metrics))][: MOST_AXES // 3]
    with st.expander(f"Axes, of {len(everything)}", icon=":material/tune:"):
        chosen = st.multiselect(
            "Axes", list(everything), default=start, format_func=everything.get, key="axes", bind="query-params"
        )
    return set(chosen or start)


def filters_and_table(study: studies.Study, table: RunTable, names: Named, kept: np.ndarray) -> None:
    """The table of runs, filtered by state and role."""
    left, right = st.columns(2)
    chosen = {}
    for column, name in ((left, "state"), (right, "role")):
        options = sorted(set(table.columns[name]))
        if len(options) > 1:
            titles = told_apart({one: ROLES.get(one, one) for one in options})
            chosen[name] = column.pills(
                name.capitalize(),
                options,
                selection_mode="multi",
                format_func=titles.get,
                key=f"filter-{name}",
                bind="query-params",
            )
        if chosen.get(name):
            kept = kept & np.isin(table.columns[name], chosen[name])
    rows = np.flatnonzero(kept)
    frame, formats = columns_of(study, table, names, rows)
    picked = st.dataframe(
        frame,
        hide_index=True,
        column_config=formats,
        height=380,
        on_select="rerun",
        selection_mode="single-row",
        key="runs-table",
    ).selection.rows
    st.caption(
        f"{len(rows)} of {len(kept)} runs. Losses and scores with units in brackets. Select a run to nominate it."
    )
    downloads(study)
    if picked and picked[0] < len(rows):
        row = rows[picked[0]]
        nominate(study, {f"run {table.columns['number'][row]}": table.shares[row]}, "runs")


def columns_of(study: studies.Study, table: RunTable, names: Named, rows: np.ndarray) -> tuple[pd.DataFrame, dict]:
    """Some rows of the table of runs as a frame, without empty columns, and the formats of its columns."""
    score = f"{table.aggregate.title}, {table.aggregate.unit}"
    titles = [f"{name} [{unit}]" for name, unit in zip(names.metrics, names.units, strict=True)]
    metrics = dict(zip(titles, table.losses[rows].T, strict=True))
    part, times = ("", 1) if study.kind == "merge" else ("share ", 100)
    points = {f"{part}{d}": times * table.shares[rows, j] for j, d in enumerate(names.domains)}
    facts = ("seed", "parameters", "tokens", "seconds", "message")
    roles = [ROLES.get(role, role) for role in table.columns["role"]]
    frame = pd.DataFrame(
        {
            "run": [table.columns["number"][i] for i in rows],
            "key" if study.imported else "role": [table.columns["label"][i] or roles[i] for i in rows],
            "state": [table.columns["state"][i] for i in rows],
            score: table.score[rows],
            **metrics,
            **points,
            **{name: [table.columns[name][i] for i in rows] for name in facts},
        }
    ).dropna(axis="columns", how="all")
    number = st.column_config.NumberColumn
    formats = {name: number(format="%.4f") for name in (score, *metrics)}
    formats |= dict.fromkeys(points, number(format="%.1f%%" if part else "%.3f"))
    formats |= {"seconds": number(format="%.1f s")} | dict.fromkeys(("parameters", "tokens"), number(format="compact"))
    return frame, formats


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
