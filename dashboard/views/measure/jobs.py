"""Jobs: what runs and how far it is, the queue, what failed and why, the devices. Live only while something runs."""

import pandas as pd
import streamlit as st

from dashboard.models import jobs as activity
from dashboard.server import state
from dashboard.views.shared import study as parts
from engine.core.errors import Problem
from engine.studies import jobs, lifecycle
from store import notices
from store.studies import Study

LISTED = 12  # running or failed jobs shown as cards; the rest is counted


def render(name: str | None) -> None:
    st.title("Jobs")
    parts.live(now)


def now() -> None:
    """Everything on this page, drawn anew every two seconds while jobs run."""
    desk = activity.desk(state.store())
    headline(desk)
    devices(desk)
    for study, progress in desk.ends:
        study_row(study, progress)
    running(desk)
    queue(desk)
    failures(desk)
    untold()


def headline(desk: activity.Desk) -> None:
    """Counts, and whether anybody works."""
    counts, columns = desk.counts, st.columns(4)
    waiting = counts.get("queued", 0) + counts.get("paused", 0)
    for column, (label, value) in zip(
        columns,
        (
            ("Running", counts.get("running", 0)),
            ("Waiting", waiting),
            ("Done", counts.get("done", 0)),
            ("Failed", counts.get("failed", 0)),
        ),
        strict=True,
    ):
        column.metric(label, f"{value:,}")
    if not desk.working and (waiting or counts.get("running")):
        st.warning(
            "No worker serves this workspace, so nothing new starts. `make run` starts one; alone it is "
            "`python -m engine.worker`.",
            icon=":material/power_off:",
        )
    for trouble in desk.word.get("troubles", ()):
        parts.refusal(trouble)


def devices(desk: activity.Desk) -> None:
    """Use and memory of this machine and of its GPUs."""
    machine, gpus = desk.word.get("machine"), desk.word.get("gpus", ())
    if not desk.running and not desk.waiting:
        st.caption("Nothing runs and nothing waits. A study that is started on the page Studies shows its jobs here.")
        return
    if not desk.working or not machine:
        return
    with st.container(border=True):
        left, right = st.columns(2)
        gauge(left, machine["load"] / machine["cores"], f"CPU: load {machine['load']:.1f} on {machine['cores']} cores")
        used, total = machine["used_mb"] / 1024, machine["memory_mb"] / 1024
        gauge(right, used / total, f"Memory: {used:.1f} of {total:.1f} GB")
        for gpu in gpus:
            leased = sum(lease["gpu_memory_mb"] for lease in desk.word["leases"] if lease["gpu"] == gpu["uuid"])
            used, total = gpu["used_mb"] / 1024, gpu["total_mb"] / 1024
            name = parts.plain(f"GPU {gpu['index']}, {gpu['name']}")
            gauge(left, gpu["use"] / 100, f"{name}: {gpu['use']}% busy")
            gauge(right, used / total, f"{used:.1f} of {total:.1f} GB used, {leased / 1024:.1f} GB leased")


def gauge(column, share: float, label: str) -> None:
    column.progress(min(1.0, max(0.0, share)), text=label)


def study_row(study: Study, progress) -> None:
    """When a study should end, and a button that holds it up or lets it go on."""
    words, button = st.columns([5, 1], vertical_alignment="center")
    runs = f"{study.done} of {study.runs} runs" if study.runs else "not planned yet"
    expected = "paused" if study.state == "paused" else parts.expected(progress) or "no speed known yet"
    words.markdown(f":material/experiment: **{parts.plain(study.name)}** · {runs} · {expected}")
    may = parts.takes("operator")
    if study.state == "paused":
        if button.button("Resume", key=f"go-{study.id}", icon=":material/play_circle:", width="stretch", **may):
            act(lambda: lifecycle.resume(state.store(), study.id))
    elif button.button("Pause", key=f"hold-{study.id}", icon=":material/pause_circle:", width="stretch", **may):
        act(lambda: lifecycle.pause(state.store(), study.id))


def running(desk: activity.Desk) -> None:
    """A card a job: progress, speed, when it ends, where it runs."""
    if not desk.running:
        return
    st.subheader("Running", anchor=False)
    for job in desk.running[:LISTED]:
        row = job.row
        with st.container(border=True):
            words, buttons = st.columns([5, 2], vertical_alignment="center")
            facts = [f"**{parts.plain(row.id)}**", row.kind]
            if row.tokens_per_second:
                facts.append(f"{row.tokens_per_second:,.0f} tokens a second")
            if job.left is not None:
                facts.append(f"ends in about {parts.duration(job.left)}")
            if row.attempts > 1:
                facts.append(f"attempt {row.attempts}")
            words.markdown(" · ".join(facts))
            words.progress(job.share or 0.0, text=parts.plain(row.note or "starting"))
            words.caption(parts.plain(" · ".join(filter(None, [job.held, row.message]))))
            with buttons.container(horizontal=True, horizontal_alignment="right"):
                shown = st.toggle("Log", key=f"log-{row.id}")
                may = parts.takes("operator")
                if st.button("Cancel", key=f"cancel-{row.id}", icon=":material/stop_circle:", **may):
                    act(lambda job_id=row.id: jobs.cancel_job(state.store(), job_id))
            if shown:
                log(row.id)
    total = desk.counts.get("running", 0)
    if total > LISTED:
        st.caption(f"{LISTED} of {total:,} running jobs are shown.")


def queue(desk: activity.Desk) -> None:
    """The jobs that wait, in their order, and a way to change it."""
    if not desk.waiting:
        return
    st.subheader("Queue", anchor=False)
    frame = pd.DataFrame(
        {
            "job": [row.id for row, _ in desk.waiting],
            "kind": [row.kind for row, _ in desk.waiting],
            "study": [row.study or "" for row, _ in desk.waiting],
            "priority": [row.priority or 0.0 for row, _ in desk.waiting],
            "attempts": [row.attempts for row, _ in desk.waiting],
            "why it waits": [why for _, why in desk.waiting],
        }
    )
    st.dataframe(frame, hide_index=True, height=min(380, 38 + 35 * len(frame)))
    total = desk.counts.get("queued", 0) + desk.counts.get("paused", 0)
    st.caption(f"The first {len(frame)} of {total:,} jobs that wait. Lower priorities run sooner.")
    job, priority, *buttons = st.columns([4, 2, 1.5, 2, 1.5], vertical_alignment="bottom")
    chosen = job.selectbox("Job", list(frame["job"]), key="queue-job")
    value = priority.number_input("Priority", -1e6, 1e6, 0.0, 1.0, key="queue-priority")
    first = min(row.priority or 0.0 for row, _ in desk.waiting) - 1
    may = parts.takes("operator")
    if buttons[0].button("Move", width="stretch", **may):
        act(lambda: jobs.prioritise(state.store(), chosen, value))
    if buttons[1].button("To the front", width="stretch", **may):
        act(lambda: jobs.prioritise(state.store(), chosen, first))
    if buttons[2].button("Cancel", key="queue-cancel", width="stretch", **may):
        act(lambda: jobs.cancel_job(state.store(), chosen))


def failures(desk: activity.Desk) -> None:
    """What failed, why, and what to do."""
    if not desk.failed:
        return
    st.subheader("Failed", anchor=False)
    for row in desk.failed[:LISTED]:
        with st.container(border=True):
            words, buttons = st.columns([5, 2], vertical_alignment="center")
            attempts = f"{row.attempts} attempt{'s' * (row.attempts != 1)}"
            words.markdown(f"{parts.ICONS['failed']} **{parts.plain(row.id)}** · {row.kind} · {attempts}")
            message = row.message or "It failed without a word."
            words.markdown(parts.plain(f"{message} {activity.advice(message)}".strip()))
            with buttons.container(horizontal=True, horizontal_alignment="right"):
                shown = st.toggle("Log", key=f"log-{row.id}")
                if st.button("Retry", key=f"retry-{row.id}", icon=":material/replay:", **parts.takes("operator")):
                    act(lambda job_id=row.id: jobs.retry(state.store(), job_id))
            if shown:
                log(row.id)
    if (total := desk.counts.get("failed", 0)) > LISTED:
        st.caption(f"The last {LISTED} of {total:,} failed jobs are shown.")


def log(job_id: str) -> None:
    """The end of what a job printed, as it was printed."""
    st.code(activity.log_of(state.store(), job_id)[-6000:] or "It has printed nothing.", language=None, height=260)


def untold() -> None:
    """Notices that the webhook did not take."""
    for notice in notices.since(state.store(), 0.0)[-20:]:
        if notice.trouble:
            st.caption(f":material/notifications_off: {parts.plain(f'Not sent: {notice.text} ({notice.trouble})')}")


def act(wish) -> None:
    """Carry out a wish and draw the page anew, or say why it cannot be done."""
    try:
        wish()
    except Problem as problem:
        parts.refusal(problem)
        return
    st.rerun()
