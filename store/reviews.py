"""Queries about candidates and the history of their review."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.spec.statistics import ordered
from store.database import Store

ID = 16  # characters of a candidate's id: the beginning of the SHA-256 of its frozen text


@dataclass(frozen=True)
class Candidate:
    """A nominated point. frozen: as engine/review/freeze.py wrote it, but for the order of the baselines; t: seconds
    since 1970."""

    id: str
    study: str
    frozen: dict[str, Any]
    text: str
    t: float


@dataclass(frozen=True)
class Event:
    """One line of the history. n: 1, 2, ... in the order of the journal; candidate: None if it is about the study;
    what: put | comment | vote | decision | rules | confirm; body: as engine/review/acts.py wrote it."""

    n: int
    study: str
    candidate: str | None
    what: str
    author: str
    body: dict[str, Any]
    t: float


def of_study(store: Store, study: str) -> list[Candidate]:
    """The candidates of a study, newest first."""
    rows = store.rows("SELECT id, study, frozen, t FROM candidates WHERE study = ? ORDER BY t DESC, id", [study])
    return [_candidate(*row) for row in rows]


def get(store: Store, candidate: str) -> Candidate:
    """One candidate by its id. Raises Problem if there is none, or its frozen text was modified."""
    rows = store.rows("SELECT id, study, frozen, t FROM candidates WHERE id = ?", [candidate])
    if not rows:
        raise Problem(
            f"Cannot find the candidate {candidate[:80]!r}: it may be of another workspace, or the link was changed. "
            "The page Candidates lists those that are here."
        )
    found = _candidate(*rows[0])
    if id_of(found.text) != found.id:
        raise Problem(
            f"Cannot trust the candidate {found.id}: its frozen text was modified. "
            "`python -m store.rebuild` restores it from the journals."
        )
    return found


def _candidate(id_: str, study: str, text: str, t: float) -> Candidate:
    frozen = json.loads(text)
    return Candidate(id_, study, {**frozen, "baselines": _in_order(frozen["kind"], frozen["baselines"])}, text, t)


def _in_order(kind: str, baselines: dict[str, Any]) -> dict[str, Any]:
    """Baselines with the one first that everything compares with: the prior of mixtures; of merges, whose usual ones
    may be far off, the best predicted. Records of earlier versions have those as they were computed."""
    if kind != "merge":
        return baselines
    names, predicted = list(baselines), np.array([one["aggregate"] for one in baselines.values()], float)
    return {names[k]: baselines[names[k]] for k in ordered(predicted)}


def id_of(frozen: str) -> str:
    """The id of a candidate with this frozen text."""
    return hashlib.sha256(frozen.encode()).hexdigest()[:ID]


def history(store: Store, study: str) -> list[Event]:
    """The history of a study's candidates, oldest first."""
    rows = store.rows(
        "SELECT n, study, candidate, what, author, body, t FROM reviews WHERE study = ? ORDER BY n", [study]
    )
    return [
        Event(n, study, candidate, what, author, json.loads(body), t)
        for n, study, candidate, what, author, body, t in rows
    ]


def people(store: Store) -> list[str]:
    """Whoever took part in a review of the workspace, or has a token."""
    return [name for (name,) in store.rows("SELECT author FROM reviews UNION SELECT person FROM api_tokens ORDER BY 1")]


def read_lines(store: Store, person: str) -> set[int]:
    """The lines of the history that somebody has read in their inbox."""
    return {n for (n,) in store.rows("SELECT n FROM inbox_read WHERE person = ?", [person])}


def state_of_all(store: Store) -> tuple[int, int]:
    """A value that changes with any study's review, and with what anybody reads of it."""
    ((last, read),) = store.rows("SELECT (SELECT coalesce(max(n), 0) FROM reviews), (SELECT count(*) FROM inbox_read)")
    return last, read


def state(store: Store, study: str) -> tuple[int, int]:
    """A value that changes with a study's review: the last line of its history, and its number of confirmation runs.

    Cheap: pages poll it every second.
    """
    ((last, confirmed),) = store.rows(
        "SELECT (SELECT coalesce(max(n), 0) FROM reviews WHERE study = $study), (SELECT count(*) FROM runs "
        "WHERE study = $study AND role = 'confirm' AND state = 'done')",
        {"study": study},
    )
    return last, confirmed
