"""Work of a study that failed or was cancelled, and that nothing has replaced: a retry would do it again."""

from collections import Counter

from engine.core.short_names import counted
from store import corpora, jobs, studies
from store.database import Store

MANY = ("train", "merge")  # kinds of which every job counts, not the latest alone


def jobs_behind(store: Store, study: studies.Study) -> list[jobs.JobRow]:
    """The jobs of a study, and that of the corpus which it waits for."""
    corpus = None if study.coordinates or study.spec["corpus"] is None else corpora.job(store, study.spec["corpus"])
    return [*([corpus] if corpus else []), *jobs.of_study(store, study.id)]


def lost_work(store: Store, study: studies.Study) -> list[jobs.JobRow]:
    """The jobs behind it that failed, and where it is active those that were cancelled."""
    there = jobs_behind(store, study)
    latest = {(job.kind, job.id if job.kind in MANY else ""): job for job in there}  # a later fit replaces an earlier
    states = ("failed", "cancelled") if study.state == "active" else ("failed",)
    return [job for job in latest.values() if job.state in states]


def lost_words(study: studies.Study, lost: list[jobs.JobRow]) -> list[str]:
    """A sentence for every job that failed, and one for all that were cancelled."""
    found = [f"Job {job.id} failed: {job.message or 'its log says why'}" for job in lost if job.state == "failed"]
    if cancelled := Counter(job.kind for job in lost if job.state == "cancelled"):
        kinds = ", ".join(counted(number, f"{kind} job") for kind, number in cancelled.items())
        runs = f", with {counted(study.counts['cancelled'], 'run')}" if study.counts.get("cancelled") else ""
        found.append(f"Cancelled: {kinds}{runs}. Results are without them until they are retried.")
    return found
