"""Questions about background jobs."""

import json
from dataclasses import dataclass

from store.database import Store

UNFINISHED = ("queued", "running", "paused")


@dataclass(frozen=True)
class JobRow:
    """A job as the page shows it; times in seconds since 1970, done and total in the job's own unit."""

    id: str
    study: str | None
    kind: str
    state: str
    attempts: int
    done: float | None
    total: float | None
    note: str | None
    message: str | None
    planned_at: float
    started_at: float | None
    ended_at: float | None


COLUMNS = ", ".join(JobRow.__dataclass_fields__)


def of_study(store: Store, study: str) -> list[JobRow]:
    """The jobs of a study, in the order they were planned."""
    rows = store.rows(f"SELECT {COLUMNS} FROM jobs WHERE study = ? ORDER BY planned_at, id", [study])
    return [JobRow(*row) for row in rows]


def find(store: Store, job_id: str) -> JobRow | None:
    """One job, or None."""
    rows = store.rows(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", [job_id])
    return JobRow(*rows[0]) if rows else None


def latest(store: Store, kind: str, prefix: str) -> JobRow | None:
    """The job of that kind planned last whose id begins with `prefix`, or None."""
    rows = store.rows(
        f"SELECT {COLUMNS} FROM jobs WHERE kind = ? AND starts_with(id, ?) ORDER BY planned_at DESC LIMIT 1",
        [kind, prefix],
    )
    return JobRow(*rows[0]) if rows else None


def any_unfinished(store: Store) -> bool:
    """Whether anything runs or waits: only then do pages poll."""
    return store.rows(f"SELECT count(*) FROM jobs WHERE state IN {UNFINISHED}")[0][0] > 0


def never_started(store: Store) -> list[tuple[str, dict]]:
    """(id, spec) of jobs that were planned and have not begun: a killed owner may not have spooled them."""
    rows = store.rows("SELECT id, spec FROM jobs WHERE state = 'queued' AND attempts = 0")
    return [(job_id, json.loads(spec)) for job_id, spec in rows]
