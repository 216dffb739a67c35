"""Queries about runs that are to end early, or did."""

from dataclasses import dataclass

from store.database import Store


@dataclass(frozen=True)
class StoppedRun:
    """A run that ended early: its number, the tokens that it was trained for, and those it would have been."""

    number: int
    tokens: int
    whole: int


def jobs_of(store: Store, runs: list[str], roles: tuple[str, ...]) -> dict[str, list[str]]:
    """Job -> those of these runs that it trains now and that have one of the roles."""
    rows = store.rows(
        "SELECT job, id FROM runs WHERE list_contains(?, id) AND list_contains(?, role) AND state = 'running' "
        "AND job IS NOT NULL ORDER BY number",
        [runs, list(roles)],
    )
    found: dict[str, list[str]] = {}
    for job, run in rows:
        found.setdefault(job, []).append(run)
    return found


def stopped(store: Store, study: str) -> list[StoppedRun]:
    """The runs of a study that ended early, by their numbers."""
    asked = (
        "SELECT number, tokens, tokens // step * steps FROM runs WHERE study = ? AND state = 'stopped' ORDER BY number"
    )
    return [StoppedRun(*row) for row in store.rows(asked, [study])]


def tokens_of_ended(store: Store, study: str) -> int:
    """The tokens of all runs of a study that were trained here and have ended."""
    asked = "SELECT coalesce(sum(tokens), 0) FROM runs WHERE study = ? AND job IS NOT NULL AND tokens > 0"
    return int(store.rows(asked, [study])[0][0])
