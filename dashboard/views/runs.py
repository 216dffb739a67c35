"""Runs: curves and progress while jobs run, the table with filters, parallel coordinates with brushing."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import charts, components, queries, state
from dashboard.views import parts
from engine import steward
from store import jobs, studies

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
    parts.live(lambda: table_and_parallel(study.id))


def progress_and_curves(name: str) -> None:
    """What runs now, and every proxy's training curve."""
    store = state.store()
    study = studies.get(store, name)
    progress = queries.progress(store, study)
    parts.stages(progress)
    if words := parts.expected(progress):
        st.caption(f":material/hourglass_top: {words}")
    job_controls(study)
    st.subheader("Training curves", anchor=False)
    table = queries.run_table(store, study)
    lines = queries.training_curves(store, study)
    if not lines:
        st.caption("The first points appear a few seconds after the first proxies start.")
        return
    dominant = {n: study.domains[int(np.argmax(table.shares[i]))] for i, n in enumerate(table.columns["number"])}
    labelled = {n: (*points, label_of(table, n)) for n, points in lines.items()}
    components.plot(charts.curves(labelled, dominant, charts.colour_of(study.domains)), key="curves")
    of = "" if len(lines) == study.runs else f" of {study.runs:,}"
    st.caption(
        f"{len(lines)}{of} proxies. A curve shows the loss on a proxy's own mixture, so an easy mixture lies low: "
        "compare proxies by their losses per domain below."
    )


def label_of(table: queries.RunTable, number: int) -> str:
    row = table.columns["number"].index(number)
    label = table.columns["label"][row]
    return charts.escape(f"run {number}, {label}" if label else f"run {number}")


def job_controls(study: studies.Study) -> None:
    """Running and failed jobs, with cancel and retry."""
    store = state.store()
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
        if job.state == "running" and button.button("Cancel", key=f"cancel-{job.id}"):
            store.spool.cancel(job.id)
            st.rerun()
        if job.state in ("failed", "cancelled") and button.button("Retry", key=f"retry-{job.id}"):
            steward.retry(store, job.id)
            st.rerun()


def table_and_parallel(name: str) -> None:
    """Finished runs: brushing the parallel coordinates filters the table under them."""
    study = studies.get(state.store(), name)
    table = queries.run_table(state.store(), study)
    done = np.isfinite(table.mean_loss)
    st.subheader("Shares and losses", anchor=False)
    kept = np.ones(len(done), bool)
    if done.sum() >= 2:
        drawn = evenly(np.flatnonzero(done), MOST_DRAWN)
        figure = charts.parallel(study.domains, table.shares[drawn], table.mean_loss[drawn], table.losses[drawn])
        brush = components.plot(figure, key="parallel").brush or {}
        kept = done.copy() if brush else kept
        for axis, ranges in brush.items():
            values = axis_values(table, axis)
            kept &= np.any([(values >= low) & (values <= high) for low, high in ranges], axis=0)
        shown = "" if len(drawn) == done.sum() else f", {len(drawn):,} of them drawn"
        st.caption(
            f"{done.sum():,} finished runs{shown}, losses in bits per byte. "
            "Drag along an axis to filter; the table follows."
        )
    filters_and_table(table, kept)


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, in equal steps."""
    return rows[:: -(-len(rows) // most)] if len(rows) > most else rows


def axis_values(table: queries.RunTable, axis: str) -> np.ndarray:
    """The values of one axis of the parallel coordinates ("share 2", "loss 0", "mean")."""
    kind, _, place = axis.partition(" ")
    if kind == "mean":
        return table.mean_loss
    return (table.shares if kind == "share" else table.losses)[:, int(place)]


def filters_and_table(table: queries.RunTable, kept: np.ndarray) -> None:
    """The table of runs, filtered by state and role."""
    left, right = st.columns(2)
    chosen = {}
    for column, name in ((left, "state"), (right, "role")):
        options = sorted(set(table.columns[name]))
        chosen[name] = column.pills(name.capitalize(), options, selection_mode="multi", key=f"filter-{name}")
        if chosen[name]:
            kept = kept & np.isin(table.columns[name], chosen[name])
    rows = np.flatnonzero(kept)
    frame = pd.DataFrame({
        "run": [table.columns["number"][i] for i in rows],
        "role": [table.columns["label"][i] or table.columns["role"][i] for i in rows],
        "state": [table.columns["state"][i] for i in rows],
        "mean loss": table.mean_loss[rows],
        **{f"loss {d}": table.losses[rows, j] for j, d in enumerate(table.domains)},
        **{f"share {d}": 100 * table.shares[rows, j] for j, d in enumerate(table.domains)},
        "seed": [table.columns["seed"][i] for i in rows],
        "seconds": [table.columns["seconds"][i] for i in rows],
        "message": [table.columns["message"][i] for i in rows],
    })  # fmt: skip
    if frame["message"].isna().all():
        del frame["message"]
    number = st.column_config.NumberColumn
    formats = {name: number(format="%.3f") for name in frame if name.startswith(("loss", "mean"))}
    formats |= {name: number(format="%.1f%%") for name in frame if name.startswith("share")}
    formats["seconds"] = number(format="%.1f s")
    st.dataframe(frame, hide_index=True, column_config=formats, height=380)
    st.caption(f"{len(rows)} of {len(kept)} runs. Losses in bits per byte on held-out text, shares of tokens.")
