"""Queries about background jobs."""

import json
from dataclasses import dataclass
from typing import Any

from engine.jobs.spec import UNFINISHED as UNFINISHED
from store.database import Store


@dataclass(frozen=True)
class JobRow:
    """A job as the page shows it; times in seconds since 1970, done and total in the job's own unit.

    asked, asked_by, asked_at: the last request (cancel or retry), by whom and when.
    """

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
    priority: float | None = None
    attempt_at: float | None = None
    host: str | None = None
    tokens_per_second: float | None = None
    asked: str | None = None
    asked_by: str | None = None
    asked_at: float | None = None


COLUMNS = ", ".join(JobRow.__dataclass_fields__)


def of_study(store: Store, study: str) -> list[JobRow]:
    """The jobs of a study, in the order they were planned."""
    rows = store.rows(f"SELECT {COLUMNS} FROM jobs WHERE study = ? ORDER BY planned_at, id", [study])
    return [JobRow(*row) for row in rows]


def left_behind(store: Store) -> list[str]:
    """The jobs of deleted studies whose ids no later study has."""
    words = "SELECT DISTINCT unnest(jobs) AS job FROM deleted_studies EXCEPT SELECT id FROM jobs ORDER BY job"
    return [job for (job,) in store.rows(words)]


def find(store: Store, job_id: str) -> JobRow | None:
    """One job, or None."""
    rows = store.rows(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", [job_id])
    return JobRow(*rows[0]) if rows else None


def of_kind(store: Store, kind: str) -> list[JobRow]:
    """The jobs of one kind, of all studies, in the order they were planned."""
    rows = store.rows(f"SELECT {COLUMNS} FROM jobs WHERE kind = ? ORDER BY planned_at, id", [kind])
    return [JobRow(*row) for row in rows]


def latest(store: Store, kind: str, prefix: str) -> JobRow | None:
    """The job of that kind planned last whose id begins with `prefix`, or None."""
    rows = store.rows(
        f"SELECT {COLUMNS} FROM jobs WHERE kind = ? AND starts_with(id, ?) ORDER BY planned_at DESC LIMIT 1",
        [kind, prefix],
    )
    return JobRow(*rows[0]) if rows else None


def any_busy(store: Store) -> bool:
    """Whether anything runs or is queued: only then do pages poll. Paused jobs do not count."""
    return store.remembered("busy", lambda: _any_busy(store))


def _any_busy(store: Store) -> bool:
    ((count,),) = store.rows(
        "SELECT count(*) FROM jobs LEFT JOIN studies ON studies.id = jobs.study WHERE jobs.state = 'running' "
        "OR (jobs.state IN ('queued', 'paused') AND coalesce(studies.state, 'active') = 'active')"
    )
    return bool(count)


def counts(store: Store) -> dict[str, int]:
    """state -> number of jobs."""
    return dict(store.rows("SELECT state, count(*) FROM jobs GROUP BY ALL"))


def in_state(store: Store, states: tuple[str, ...], limit: int) -> list[JobRow]:
    """Jobs in these states: queued ones in queue order, others latest first."""
    order = "coalesce(priority, 0), id" if "queued" in states else "coalesce(ended_at, attempt_at) DESC, id"
    marks = ", ".join("?" for _ in states)
    wanted = f"SELECT {COLUMNS} FROM jobs WHERE state IN ({marks}) ORDER BY {order} LIMIT {limit:d}"
    rows = store.rows(wanted, [*states])
    return [JobRow(*row) for row in rows]


def with_words(store: Store, limit: int) -> list[JobRow]:
    """Jobs that are done and said something, latest first."""
    rows = store.rows(
        f"SELECT {COLUMNS} FROM jobs WHERE state = 'done' AND message IS NOT NULL "
        f"ORDER BY ended_at DESC, id LIMIT {limit:d}"
    )
    return [JobRow(*row) for row in rows]


def spec(store: Store, job_id: str) -> dict[str, Any]:
    """A job's spec; empty if there is no such job."""
    rows = store.rows("SELECT spec FROM jobs WHERE id = ?", [job_id])
    return json.loads(rows[0][0]) if rows else {}


def never_started(store: Store) -> list[tuple[str, dict[str, Any], float]]:
    """(id, spec, priority) of planned jobs that have not begun: a killed owner may not have spooled them."""
    rows = store.rows(
        "SELECT id, spec, coalesce(priority, 0) FROM jobs WHERE state = 'queued' AND attempts = 0 "
        "ORDER BY planned_at, id"
    )
    return [(job_id, json.loads(spec), priority) for job_id, spec, priority in rows]
