"""Jobs: what is running, the queue, what ended without a result and why, devices. Live only while something runs."""

import pandas as pd
import streamlit as st

from dashboard.models.jobs import Overview, advice, log_of, overview_of, request_of
from dashboard.server import state
from dashboard.views.shared.buttons import cancel_button, needs_role
from dashboard.views.shared.empty import nothing_yet
from dashboard.views.shared.live import live
from dashboard.views.shared.progress import ICONS, expected
from dashboard.views.shared.refused import act, show_refusal
from dashboard.views.shared.text import duration, plain, refusal
from engine.studies import jobs, lifecycle
from store import notices
from store.jobs import JobRow
from store.studies import Study

LISTED = 12  # running or failed jobs shown as cards
ACTS = "jobs"  # under which refusals of what is done here are kept


def render(name: str | None) -> None:
    st.title("Jobs")
    live(now)


def now() -> None:
    """Everything on this page, redrawn every two seconds while jobs run."""
    overview = overview_of(state.store())
    show_refusal(ACTS)
    headline(overview)
    if not sum(overview.counts.values()):
        nothing_yet("No job yet: studies, searches and confirmations make them.", studies="To Studies")
    devices(overview)
    for study, progress in overview.studies:
        study_row(study, progress)
    running(overview)
    queue(overview)
    ended(overview, "failed", overview.failed)
    ended(overview, "cancelled", overview.cancelled)
    remarks(overview)
    unsent()


def headline(overview: Overview) -> None:
    """Counts, and what the worker is in trouble with."""
    counts, columns = overview.counts, st.columns(5)
    waiting = counts.get("queued", 0) + counts.get("paused", 0)
    for column, (label, value) in zip(
        columns,
        (
            ("Running", counts.get("running", 0)),
            ("Waiting", waiting),
            ("Done", counts.get("done", 0)),
            ("Failed", counts.get("failed", 0)),
            ("Cancelled", counts.get("cancelled", 0)),
        ),
        strict=True,
    ):
        column.metric(label, f"{value:,}")
    for trouble in overview.report.get("troubles", ()):
        refusal(trouble)


def devices(overview: Overview) -> None:
    """Load and memory of this machine and its GPUs."""
    machine, gpus = overview.report.get("machine"), overview.report.get("gpus", ())
    if not overview.running and not overview.waiting:
        st.caption("No active jobs. Studies that are started on *Studies* show their jobs here.")
        return
    if not overview.working or not machine:
        return
    with st.container(border=True):
        left, right = st.columns(2)
        gauge(left, machine["load"] / machine["cores"], f"CPU: load {machine['load']:.1f} on {machine['cores']} cores")
        used, total = machine["used_mb"] / 1024, machine["memory_mb"] / 1024
        gauge(right, used / total, f"Memory: {used:.1f} of {total:.1f} GB")
        for gpu in gpus:
            leased = sum(lease["gpu_memory_mb"] for lease in overview.report["leases"] if lease["gpu"] == gpu["uuid"])
            used, total = gpu["used_mb"] / 1024, gpu["total_mb"] / 1024
            name = plain(f"GPU {gpu['index']}, {gpu['name']}")
            gauge(left, gpu["use"] / 100, f"{name}: {gpu['use']}% utilisation")
            gauge(right, used / total, f"{used:.1f} of {total:.1f} GB used, {leased / 1024:.1f} GB reserved")


def gauge(column, fraction: float, label: str) -> None:
    column.progress(min(1.0, max(0.0, fraction)), text=label)


def study_row(study: Study, progress) -> None:
    """When a study should finish, and a button to pause or resume it."""
    words, button = st.columns([5, 1], vertical_alignment="center")
    runs = f"{study.done} of {study.runs} runs" if study.runs else "not planned yet"
    when = "paused" if study.state == "paused" else expected(progress) or "no time estimate yet"
    words.markdown(f":material/experiment: **{plain(study.name)}** · {runs} · {when}")
    allowed = needs_role("operator")
    if study.state == "paused":
        if button.button("Resume", key=f"go-{study.id}", icon=":material/play_circle:", width="stretch", **allowed):
            act(ACTS, lambda: lifecycle.resume(state.store(), study.id))
    elif button.button("Pause", key=f"hold-{study.id}", icon=":material/pause_circle:", width="stretch", **allowed):
        act(ACTS, lambda: lifecycle.pause(state.store(), study.id))


def running(overview: Overview) -> None:
    """One card per job: progress, speed, expected end, where it runs."""
    if not overview.running:
        return
    st.header("Running", anchor=False)
    for job in overview.running[:LISTED]:
        row = job.row
        with st.container(border=True):
            words, buttons = st.columns([5, 2], vertical_alignment="center")
            facts = [f"**{plain(row.id)}**", row.kind]
            if row.tokens_per_second:
                facts.append(f"{row.tokens_per_second:,.0f} tokens/s")
            if job.left is not None:
                facts.append(f"done in about {duration(job.left)}")
            if row.attempts > 1:
                facts.append(f"attempt {row.attempts}")
            words.markdown(" · ".join(facts))
            words.progress(job.progress or 0.0, text=plain(row.note or "starting"))
            words.caption(plain(" · ".join(filter(None, [job.resources, row.message, request_of(row)]))))
            with buttons.container(horizontal=True, horizontal_alignment="right"):
                shown = st.toggle("Log", key=f"log-{row.id}")
                if cancel_button(row, f"cancel-{row.id}"):
                    act(ACTS, lambda job_id=row.id: jobs.cancel_job(state.store(), job_id))
            if shown:
                log(row.id)
    total = overview.counts.get("running", 0)
    if total > LISTED:
        st.caption(f"Showing {LISTED} of {total:,} running jobs.")


def queue(overview: Overview) -> None:
    """The waiting jobs in their order, and a form to change it."""
    if not overview.waiting:
        return
    st.header("Queue", anchor=False)
    frame = pd.DataFrame(
        {
            "job": [row.id for row, _ in overview.waiting],
            "kind": [row.kind for row, _ in overview.waiting],
            "study": [row.study or "" for row, _ in overview.waiting],
            "priority": [row.priority or 0.0 for row, _ in overview.waiting],
            "attempts": [row.attempts for row, _ in overview.waiting],
            "blocked on": [why for _, why in overview.waiting],
        }
    )
    st.dataframe(frame, hide_index=True, height=min(380, 38 + 35 * len(frame)))
    total = overview.counts.get("queued", 0) + overview.counts.get("paused", 0)
    st.caption(f"The first {len(frame)} of {total:,} waiting jobs. Lower priority values run first.")
    job, priority, *buttons = st.columns([3, 2, 2, 2, 2], vertical_alignment="bottom")
    chosen = job.selectbox("Job", list(frame["job"]), key="queue-job")
    value = priority.number_input("Priority", -1e6, 1e6, 0.0, 1.0, key="queue-priority")
    first = min(row.priority or 0.0 for row, _ in overview.waiting) - 1
    allowed = needs_role("operator")
    if buttons[0].button("Move", width="stretch", **allowed):
        act(ACTS, lambda: jobs.prioritise(state.store(), chosen, value))
    if buttons[1].button("To the front", width="stretch", **allowed):
        act(ACTS, lambda: jobs.prioritise(state.store(), chosen, first))
    if buttons[2].button("Cancel", key="queue-cancel", width="stretch", **allowed):
        act(ACTS, lambda: jobs.cancel_job(state.store(), chosen))


def ended(overview: Overview, how: str, rows: list[JobRow]) -> None:
    """Jobs that ended without a result, why, and what to do about it. how: failed or cancelled."""
    if not rows:
        return
    st.header(how.capitalize(), anchor=False)
    for row in rows[:LISTED]:
        with st.container(border=True):
            words, buttons = st.columns([5, 2], vertical_alignment="center")
            attempts = f"{row.attempts} attempt{'s' * (row.attempts != 1)}"
            words.markdown(f"{ICONS['failed']} **{plain(row.id)}** · {row.kind} · {attempts}")
            words.markdown(plain(reason_of(row)))
            with buttons.container(horizontal=True, horizontal_alignment="right"):
                shown = st.toggle("Log", key=f"log-{row.id}")
                if st.button("Retry", key=f"retry-{row.id}", icon=":material/replay:", **needs_role("operator")):
                    act(ACTS, lambda job_id=row.id: jobs.retry(state.store(), job_id))
            if shown:
                log(row.id)
    if (total := overview.counts.get(how, 0)) > LISTED:
        st.caption(f"Showing the last {LISTED} of {total:,} {how} jobs.")


def reason_of(row: JobRow) -> str:
    """Why a job ended without a result, in words."""
    if row.state == "failed":
        message = row.message or "No error message."
        return f"{message} {advice(message)}".strip()
    asked = f"Cancelled by {row.asked_by}." if row.asked == "cancel" and row.asked_by else "Cancelled."
    return f"{asked} {row.message or ''}".strip()


def remarks(overview: Overview) -> None:
    """What finished jobs said: where a checkpoint was written, and warnings about it."""
    if not overview.remarked:
        return
    st.header("Done, with a note", anchor=False)
    for row in overview.remarked:
        st.markdown(f"{ICONS['done']} **{plain(row.id)}** · {plain(row.message or '')}")


def log(job_id: str) -> None:
    """The end of a job's output, verbatim."""
    st.code(log_of(state.store(), job_id)[-6000:] or "No output yet.", language=None, height=260)


def unsent() -> None:
    """Notices that could not be sent to the webhook."""
    for notice in notices.since(state.store(), 0.0)[-20:]:
        if notice.trouble:
            st.caption(f":material/notifications_off: {plain(f'Not sent: {notice.text} ({notice.trouble})')}")
