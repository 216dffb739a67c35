"""Runs: curves and progress while jobs run, the table with filters, parallel coordinates with brushing."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components
from dashboard.charts import mixtures as charts
from dashboard.models import progress as queries
from dashboard.models.names import Named
from dashboard.server import state
from dashboard.views.shared import study as parts
from dashboard.views.shared.put_forward import put_forward
from engine.commands import COMMANDS
from engine.importing import run_table
from engine.spec.objectives import Aggregate
from engine.studies.jobs import cancel_job, retry
from store import jobs, studies

MOST_AXES = 16  # of parallel coordinates: more cannot be read
MOST_DRAWN = 2000  # lines of parallel coordinates; filters see all runs
MOST_JOBS = 12  # shown here; the page Jobs has all


def render(name: str | None) -> None:
    st.title("Runs")
    if (study := parts.study_of(name)) is None:
        return
    if not study.domains:
        st.info("The runs are planned as soon as the corpus is built. The page Studies shows how far it is.")
        parts.live(lambda: parts.stages(queries.progress(state.store(), studies.get(state.store(), study.id))))
        return
    parts.live(lambda: progress_and_curves(study.id))
    whole = parts.priorities_of(study)
    parts.live(lambda: table_and_parallel(study.id, whole))


def progress_and_curves(name: str) -> None:
    """What runs now, and every proxy's training curve."""
    store = state.store()
    study = studies.get(store, name)
    progress = queries.progress(store, study)
    parts.stages(progress)
    if words := parts.expected(progress):
        st.caption(f":material/hourglass_top: {words}")
    job_controls(study)
    if study.imported:
        st.caption(imported_from(study))
        return
    st.subheader("Training curves", anchor=False)
    table = queries.run_table(store, study)
    lines = queries.training_curves(store, study)
    if not lines:
        st.caption("The first points appear a few seconds after the first proxies start.")
        return
    names = parts.named_of(study)
    dominant = {n: names.domains[int(np.argmax(table.shares[i]))] for i, n in enumerate(table.columns["number"])}
    labelled = {n: (*points, label_of(table, n)) for n, points in lines.items()}
    components.plot(charts.curves(labelled, dominant, charts.colour_of(names.domains)), key="curves")
    of = "" if len(lines) == study.runs else f" of {study.runs:,}"
    st.caption(
        f"{len(lines)}{of} proxies. A curve shows the loss on a proxy's own mixture, so an easy mixture lies low: "
        "compare proxies by their losses per domain below."
    )


def imported_from(study: studies.Study) -> str:
    """Where the runs of a study come from, in a sentence."""
    files = " and ".join(parts.plain(name) for name in study.imported["files"])
    said = " ".join(parts.plain(note) for note in study.imported["notes"])
    return f"{study.runs} runs that were trained elsewhere, imported from {files}. {said}"


def label_of(table: queries.RunTable, number: int) -> str:
    row = table.columns["number"].index(number)
    label = table.columns["label"][row]
    return charts.escape(f"run {number}, {label}" if label else f"run {number}")


def job_controls(study: studies.Study) -> None:
    """Running and failed jobs, with cancel and retry."""
    store, may = state.store(), parts.takes("operator")
    shown = [job for job in jobs.of_study(store, study.id) if job.state in ("running", "failed", "cancelled", "paused")]
    if len(shown) > MOST_JOBS:
        st.caption(f"{MOST_JOBS} of {len(shown):,} running and failed jobs are shown; the page Jobs has more.")
    for job in shown[:MOST_JOBS]:
        what, button = st.columns([5, 1], vertical_alignment="center")
        share = f"{job.done / job.total:.0%} · {job.note}" if job.total else ""
        icon = parts.ICONS["running" if job.state == "running" else "failed" if job.state == "failed" else "waiting"]
        what.caption(f"{icon} {job.id} · {job.state} · {share or 'starting'}")
        if job.message:
            what.caption(parts.plain(job.message))
        if job.state == "running" and button.button("Cancel", key=f"cancel-{job.id}", **may):
            cancel_job(store, job.id)
            st.rerun()
        if job.state in ("failed", "cancelled") and button.button("Retry", key=f"retry-{job.id}", **may):
            retry(store, job.id)
            st.rerun()


def table_and_parallel(name: str, whole: Aggregate) -> None:
    """Finished runs: brushing the parallel coordinates filters the table under them."""
    study = studies.get(state.store(), name)
    table, names = queries.run_table(state.store(), study, whole), parts.named_of(study)
    done = np.isfinite(table.score)
    title = f"{table.aggregate.title}, {table.aggregate.unit}"
    merges = bool(study.spec.get("merge"))
    point = "Coefficients" if merges else "Shares"
    st.subheader(f"{point} and metrics" if study.imported else f"{point} and losses", anchor=False)
    kept = np.ones(len(done), bool)
    if done.sum() >= 2:
        wanted = chosen_axes(table, names, merges)
        axes = [axis for axis in axes_of(table, names, merges) if axis["name"] in wanted]
        drawn = evenly(np.flatnonzero(done), MOST_DRAWN)
        shown = [{**axis, "values": axis["values"][drawn]} for axis in axes]
        whole = {"label": table.aggregate.title, "name": "score", "values": table.score[drawn], "percent": False}
        figure = charts.parallel([*shown, whole], table.score[drawn], title, table.aggregate.better)
        brush = components.plot(figure, key="parallel").brush or {}
        kept = done.copy() if brush else kept
        values = {axis["name"]: axis["values"] for axis in axes} | {"score": table.score}
        for axis, ranges in brush.items():
            if axis in values:
                kept &= np.any([(values[axis] >= low) & (values[axis] <= high) for low, high in ranges], axis=0)
        part = "" if len(drawn) == done.sum() else f", {len(drawn):,} of them drawn"
        st.caption(
            f"{done.sum():,} finished runs{part}; colour is the {parts.plain(title)} "
            f"({table.aggregate.better} is better). Drag along an axis to filter; the table follows."
        )
        if table.aggregate.note:
            st.caption(table.aggregate.note)
    filters_and_table(study, table, names, kept)


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, in equal steps."""
    return rows[:: -(-len(rows) // most)] if len(rows) > most else rows


def axes_of(table: queries.RunTable, names: Named, merges: bool) -> list[dict]:
    """Every axis that the parallel coordinates can have: shares (or coefficients) first, then metrics."""
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


def chosen_axes(table: queries.RunTable, names: Named, merges: bool) -> set[str]:
    """The axes to draw: all where they are few; else the shares that vary most and the first metrics, or as chosen."""
    everything = {axis["name"]: axis["label"] for axis in axes_of(table, names, merges)}
    if len(everything) <= MOST_AXES:
        return set(everything)
    widest = np.argsort(-table.shares.std(axis=0), kind="stable")[: MOST_AXES // 2]
    start = [f"share {i}" for i in sorted(widest)] + [f"loss {i}" for i in range(len(names.metrics))][: MOST_AXES // 3]
    with st.expander(f"Axes, of {len(everything)}", icon=":material/tune:"):
        chosen = st.multiselect("Axes", list(everything), default=start, format_func=everything.get, key="axes")
    return set(chosen or start)


def filters_and_table(study: studies.Study, table: queries.RunTable, names: Named, kept: np.ndarray) -> None:
    """The table of runs, filtered by state and role."""
    left, right = st.columns(2)
    chosen = {}
    for column, name in ((left, "state"), (right, "role")):
        options = sorted(set(table.columns[name]))
        if len(options) > 1:
            chosen[name] = column.pills(name.capitalize(), options, selection_mode="multi", key=f"filter-{name}")
        if chosen.get(name):
            kept = kept & np.isin(table.columns[name], chosen[name])
    rows = np.flatnonzero(kept)
    score = f"{table.aggregate.title}, {table.aggregate.unit}"
    titles = [f"{name} [{unit}]" for name, unit in zip(names.metrics, names.units, strict=True)]
    metrics = dict(zip(titles, table.losses[rows].T, strict=True))
    part, times = ("", 1) if study.spec.get("merge") else ("share ", 100)
    points = {f"{part}{d}": times * table.shares[rows, j] for j, d in enumerate(names.domains)}
    facts = ("seed", "parameters", "tokens", "seconds", "message")
    frame = pd.DataFrame(
        {
            "run": [table.columns["number"][i] for i in rows],
            "key" if study.imported else "role": [table.columns["label"][i] or table.columns["role"][i] for i in rows],
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
        f"{len(rows)} of {len(kept)} runs. Losses and scores with their units in brackets. Tick a run to put its "
        "point forward."
    )
    with st.container(horizontal=True):
        for suffix in run_table.SUFFIXES:
            st.download_button(
                f"All runs as {suffix[1:].upper() if suffix == '.csv' else 'Parquet'}",
                lambda suffix=suffix: run_table.as_bytes(COMMANDS["list_runs"](state.store(), study.id), suffix),
                f"{study.id}{suffix}",
                icon=":material/download:",
                key=f"runs-as-{suffix}",
            )
    if picked and picked[0] < len(rows):
        row = rows[picked[0]]
        put_forward(study, {f"run {table.columns['number'][row]}": table.shares[row]}, "runs")
