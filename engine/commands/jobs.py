"""Commands on jobs: list, log, cancel, retry, move in the queue."""

from dataclasses import asdict

from engine.core.errors import Missing
from engine.core.people import takes
from engine.jobs import logs
from engine.studies import jobs
from engine.studies.questions import Asked
from store import jobs as table
from store import studies
from store.database import Store

JOBS = 500  # most jobs of one state in a list


def job(store: Store, job_id: str) -> dict:
    """The progress of one job; blocked_on: what it waits for, where it waits."""
    found = table.find(store, job_id)
    if found is None:
        raise Missing(f"Cannot find the job {job_id!r}. `show STUDY` lists the jobs of a study.")
    waits = found.state in ("queued", "paused")
    return asdict(found) | {"blocked_on": jobs.blocked_on(store, found) if waits else None}


def list_jobs(store: Store, name: str | None = None) -> list[dict]:
    """The jobs of a study, or all that have not ended and the last that failed or were cancelled."""
    if name is not None:
        return [asdict(found) for found in table.of_study(store, studies.get(store, name).id)]
    found = table.in_state(store, ("running",), JOBS) + table.in_state(store, ("queued", "paused"), JOBS)
    return [asdict(row) for row in found + table.in_state(store, ("failed", "cancelled"), JOBS)]


@takes("operator", "submit a job")
def submit_job(store: Store, spec: dict, job_id: str | None = None) -> dict:
    """Queue a job of any kind; `depends_on` in its spec names the jobs that must be done first."""
    return state_of(store, jobs.submit_job(store, spec, job_id))


@takes("operator", "cancel a job")
def cancel_job(store: Store, job_id: str) -> dict:
    """Stop one job; a running one saves a checkpoint."""
    jobs.cancel_job(store, job_id)
    return job(store, job_id)


@takes("operator", "retry a job")
def retry_job(store: Store, job_id: str) -> dict:
    """Queue a failed or cancelled job again; it goes on from its checkpoint."""
    jobs.known_job(store, job_id)
    jobs.retry(store, job_id)
    return job(store, job_id)


@takes("operator", "move a job in the queue")
def prioritise_job(store: Store, job_id: str, priority: float) -> dict:
    """Move a queued job; lower runs sooner."""
    jobs.prioritise(store, job_id, priority)
    return job(store, job_id)


def job_log(store: Store, job_id: str) -> dict:
    """The end of a job's log."""
    folder = store.spool.find(job_id)
    if folder is None:
        raise Missing(f"Cannot show the log of {job_id!r}: there is no such job.")
    return {"job": job_id, "log": logs.tail(folder / "log.txt")}


def state_of(store: Store, job: str) -> dict:
    """A job and its state."""
    row = table.find(store, job)
    return {"job": job, "state": row.state if row else "queued"}


def answer_of(store: Store, asked: Asked) -> dict:
    """The job that answers a request, its state, and whether it was there: the same request asked again is one job."""
    return {**state_of(store, asked.id), "already_there": asked.already_there}


COMMANDS = (
    job,
    list_jobs,
    submit_job,
    cancel_job,
    retry_job,
    prioritise_job,
    job_log,
)
