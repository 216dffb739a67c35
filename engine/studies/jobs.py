"""Submit, cancel, move and retry jobs; record runs with the jobs that measure them. Uses the store."""

import uuid

from engine.core.errors import Missing, Problem
from engine.core.people import need, takes
from engine.core.workspace import checked_name
from engine.jobs.decisions import JobCancelAsked, JobPrioritised, PlannedJob, RunsAdded, StudyPlanned
from engine.jobs.kinds import kind_of
from engine.jobs.queue import outcome_of
from engine.jobs.runs import PlannedRun
from engine.jobs.spec import JobSpec
from store import jobs, studies
from store.database import Store, in_turn

PAUSED = "study is paused"


def submit_job(store: Store, spec: dict, job_id: str | None = None) -> str:
    """Queue a job from a user's spec; returns its id. Raises Problem if the spec is invalid."""
    need("operator", "submit a job")
    settings = JobSpec.read(spec)
    kind_of(settings.kind).task.of(spec)
    if settings.study is not None:
        studies.get(store, settings.study)
    job_id = checked_name(job_id or f"{settings.kind}-{uuid.uuid4().hex[:8]}", "job")
    store.submit(job_id, spec, settings.study)
    return job_id


@takes("operator", "queue runs")
@in_turn
def queue_runs(store: Store, planned: StudyPlanned | RunsAdded) -> None:
    """Record runs, and queue the jobs that measure them."""
    store.write(planned)
    for one in planned.jobs:
        store.spool.submit(one.spec, one.job)


def add_to(store: Store, study: str, rows: list[dict], made: list[dict]) -> list[str]:
    """Record more runs of a study, and queue their jobs; returns the runs' ids."""
    need("operator", "queue runs")
    added = [PlannedRun(**row) for row in rows]
    queue_runs(store, RunsAdded(study, added, [PlannedJob(**one) for one in made]))
    return [run.id for run in added]


def cancel_job(store: Store, job_id: str) -> None:
    """Cancel one job."""
    need("operator", "cancel a job")
    found = known_job(store, job_id)
    if found.state not in jobs.UNFINISHED:
        raise Problem(f"Cannot cancel job {job_id!r}: it has ended ({found.state}).")
    store.write(JobCancelAsked(job_id))
    store.spool.cancel(job_id)
    store.ingest()


def prioritise(store: Store, job_id: str, priority: float) -> None:
    """Move a queued job; lower runs sooner."""
    need("operator", "move a job in the queue")
    if known_job(store, job_id).state not in ("queued", "paused"):
        raise Problem(f"Cannot move job {job_id!r} in the queue: it is no longer queued.")
    store.spool.reprioritise(job_id, priority)
    store.write(JobPrioritised(job_id, priority))


def blocked_on(store: Store, row: jobs.JobRow) -> str:
    """What a waiting job is blocked on."""
    if row.study is not None and studies.get(store, row.study).state == "paused":
        return PAUSED
    if row.message:
        return f"retrying: {row.message}"
    for other in JobSpec.read(jobs.spec(store, row.id)).depends_on:
        if (outcome := outcome_of(store.spool.find(other))) != "done":
            return f"job {other}" + (", which failed" if outcome == "failed" else "")
    return "resuming from its checkpoint" if row.attempts else "waiting for resources"


def known_job(store: Store, job_id: str) -> jobs.JobRow:
    """One job by id. Raises Problem if there is none."""
    found = jobs.find(store, job_id)
    if found is None:
        raise Missing(f"Cannot find the job {job_id!r}. The page Jobs lists them, and so does `python -m engine jobs`.")
    return found


def retry(store: Store, job_id: str) -> None:
    """Queue a failed or cancelled job again; it goes on from its checkpoint."""
    need("operator", "retry a job")
    store.retry(job_id)
