"""Queries about notices, and about ended studies without a notice yet."""

from dataclasses import dataclass

from store.database import Store


@dataclass(frozen=True)
class Notice:
    """A notice. outcome: finished | failed | mention | decision; trouble: why the webhook did not accept it."""

    id: str
    study: str
    outcome: str
    text: str
    t: float
    told_at: float | None
    trouble: str | None


COLUMNS = ", ".join(Notice.__dataclass_fields__)


def since(store: Store, t: float) -> list[Notice]:
    """The notices after a time (seconds since 1970), oldest first."""
    rows = store.rows(f"SELECT {COLUMNS} FROM notices WHERE t > ? ORDER BY t, id", [t])
    return [Notice(*row) for row in rows]


def known_ids(store: Store) -> set[str]:
    """The ids of all notices."""
    return {name for (name,) in store.rows("SELECT id FROM notices")}


@dataclass(frozen=True)
class Rest:
    """A study without running or queued jobs. ended_at: when the last run or fit ended; failures: of jobs, in words."""

    study: str
    ended_at: float
    failures: list[str]


def at_rest(store: Store) -> list[Rest]:
    """The active, planned studies without running or queued jobs."""
    rows = store.rows(
        "SELECT jobs.study, max(jobs.ended_at) FILTER (WHERE jobs.kind IN ('train', 'fit')), "
        "list(jobs.message ORDER BY jobs.id) FILTER (WHERE jobs.state = 'failed') "
        "FROM jobs JOIN studies ON studies.id = jobs.study "
        "WHERE studies.state = 'active' AND studies.domains IS NOT NULL "
        "GROUP BY jobs.study HAVING count(*) FILTER (WHERE jobs.state IN ('queued', 'running', 'paused')) = 0"
    )
    return [Rest(study, ended_at or 0.0, failures or []) for study, ended_at, failures in rows]
