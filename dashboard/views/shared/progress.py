"""How far a study and its jobs are, as several pages show it."""

import streamlit as st

from dashboard.models.progress import Progress
from dashboard.views.shared.text import duration, plain, refusal
from store import jobs

ICONS = {
    "done": ":material/check_circle:",
    "running": ":material/autorenew:",
    "waiting": ":material/schedule:",
    "incomplete": ":material/warning:",
    "failed": ":material/error:",
}


def stages(progress: Progress) -> None:
    """A row of stages, such as corpus, proxies, surrogates, search."""
    for column, stage in zip(st.columns(len(progress.stages)), progress.stages, strict=True):
        with column:
            st.markdown(f"{ICONS[stage.state]} **{stage.name}**")
            st.progress(min(1.0, stage.progress))
            st.caption(plain(stage.note) if stage.note else " ")


def expected(progress: Progress) -> str:
    """When results are expected, in a few words; empty when done, or before any speed is known."""
    if progress.finished or progress.end is None:
        return ""
    first = f"first predictions in about {duration(progress.first_answer)}, " if progress.first_answer else ""
    return f"{first}all done in about {duration(progress.end)}"


def under_way(own: list[jobs.JobRow], kind: str, word: str) -> bool:
    """Progress of the jobs of one kind, and why the last of them has no result. Returns whether any is shown."""
    there = [job for job in own if job.kind == kind]
    for job in there:
        if job.state in jobs.UNFINISHED:
            words = f"{word}: {job.note or 'queued'}" + (" (paused)" if job.state == "paused" else "")
            st.progress(min(1.0, (job.done or 0) / (job.total or 1)), text=plain(words))
    if there and there[-1].state == "failed":
        refusal(f"{there[-1].message or 'The last job failed.'} *Jobs* has its log, and retries it.")
    elif there and there[-1].state == "cancelled":
        st.warning("The last one was cancelled before it had a result. *Jobs* retries it.")
    return any(job.state != "done" for job in there)
