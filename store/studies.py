"""Queries about studies and the leaderboards fitted on their runs."""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.core.errors import Missing, Problem
from engine.spec.external import EXTERNAL
from engine.spec.objectives import Objective, domain_losses
from store.database import Store
from store.runs import measured


@dataclass(frozen=True)
class Study:
    """A study and its progress. counts, roles: number of runs by state and by role, without confirmations; done_roles:
    by role, of those that are done; coordinates, the names of its space's dimensions, is empty until it is planned.

    objectives: its metrics with their priorities, in the order of every run's losses; corpus: {"domains": {name:
    {"train_tokens"}}} of available text, None if unknown; imported: the source of its runs, None if
    it trains its own. note, tags, pinned, archived: how people filed it.
    """

    id: str
    name: str
    spec: dict[str, Any]
    coordinates: list[str]
    objectives: list[Objective]
    corpus: dict[str, Any] | None
    imported: dict[str, Any] | None
    state: str
    message: str | None
    created_at: float
    counts: dict[str, int] = field(default_factory=dict)
    roles: dict[str, int] = field(default_factory=dict)
    done_roles: dict[str, int] = field(default_factory=dict)
    note: str = ""
    tags: tuple[str, ...] = ()
    pinned: bool = False
    archived: bool = False

    @property
    def domains(self) -> list[str]:
        """The domains of a mixture study: its coordinates."""
        return self.coordinates

    @property
    def kind(self) -> str:
        """The kind of its points: "mixture" or "merge"."""
        return "merge" if self.spec.get("merge") else "mixture"

    @property
    def external(self) -> bool:
        """Whether somebody else's trainer trains its runs, which are planned here (engine/spec/external.py)."""
        return bool(self.spec.get("trainer") == EXTERNAL)

    @property
    def elsewhere(self) -> bool:
        """Whether no run of it is trained here: they were imported, or an external trainer trains them."""
        return self.imported is not None or self.external

    @property
    def size(self) -> np.ndarray | None:
        """(2,) parameters and tokens of the runs that it is about, where an external trainer's study says so."""
        size = self.spec.get("size")
        return np.array([size["parameters"], size["tokens"]], float) if size else None

    @property
    def metrics(self) -> list[str]:
        """The names of its metrics, in the order of every run's losses."""
        return [one.metric for one in self.objectives]

    @property
    def runs(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        return self.counts.get("done", 0)

    @property
    def lost(self) -> int:
        """Runs that ended without a measurement because their job failed or was cancelled; a retry trains them."""
        return self.counts.get("failed", 0) + self.counts.get("cancelled", 0)

    @property
    def enough(self) -> int:
        """Runs that a fit needs before a prediction may be called best: the log-linear law's minimum over mixtures
        (arXiv:2602.12237); over merges, which searches measure themselves, as many as a plane has parameters."""
        parameters = len(self.coordinates) + 1
        return parameters if self.kind == "merge" else 3 * parameters

    @property
    def open(self) -> int:
        """Runs that have not ended."""
        return self.counts.get("planned", 0) + self.counts.get("running", 0)

    @property
    def way_on(self) -> str:
        """What brings the measurements that are missing, as a sentence for a message."""
        if self.state == "paused":
            return "The study is paused: resume it."
        if self.lost:
            return f"{self.lost} of its runs failed or were cancelled: resume the study."
        if self.state == "cancelled":
            return "The study was cancelled: resume it."
        return "Wait for its runs." if self.open or not self.done else "Wait for the fit, or ask for one."


def all_studies(store: Store) -> list[Study]:
    """Every study, newest first."""
    return list(store.remembered("studies", lambda: _all_studies(store)))


def _all_studies(store: Store) -> list[Study]:
    rows = store.rows(
        "SELECT id, name, spec, domains, metrics, corpus, imported, state, message, created_at, note, tags, "
        "pinned, archived FROM studies ORDER BY created_at DESC, id"
    )
    states: dict[str, Counter[str]] = {}
    roles: dict[str, Counter[str]] = {}
    done: dict[str, Counter[str]] = {}
    own = "SELECT study, state, role, count(*) FROM runs WHERE role != 'confirm' GROUP BY ALL ORDER BY ALL"
    for study, state, role, number in store.rows(own):
        states.setdefault(study, Counter())[state] += number
        roles.setdefault(study, Counter())[role] += number
        if state == "done":
            done.setdefault(study, Counter())[role] += number
    return [_study(row, *(dict(one.get(row[0], {})) for one in (states, roles, done))) for row in rows]


def _study(row: tuple[Any, ...], counts: dict[str, int], roles: dict[str, int], done: dict[str, int]) -> Study:
    """A row of the table as a Study."""
    name, title, spec, domains, metrics, corpus, imported, state, message, created_at, *filed = row
    spec, domains = json.loads(spec), domains or []
    objectives = [Objective(**one) for one in json.loads(metrics)] if metrics else domain_losses(domains)
    priorities = spec.get("priorities", {})
    objectives = [replace(one, priority=priorities.get(one.metric, one.usual)) for one in objectives]
    corpus, imported = (value and json.loads(value) for value in (corpus, imported))
    note, tags, pinned, archived = filed
    return Study(
        name,
        title,
        spec,
        domains,
        objectives,
        corpus,
        imported,
        state,
        message,
        created_at,
        counts,
        roles,
        done,
        note or "",
        tuple(tags or ()),
        bool(pinned),
        bool(archived),
    )


def get(store: Store, study: str) -> Study:
    """One study by id or name, or by the name with which it began. Raises Missing if there is none, Problem if several
    have the name."""
    studies = all_studies(store)
    names = [(one.id, one.name, one.spec.get("name")) for one in studies]
    for known_as in zip(*names, strict=True):
        found = [one for one, name in zip(studies, known_as, strict=True) if name == study]
        if len(found) > 1:
            ids = ", ".join(one.id for one in found)
            raise Problem(f"Cannot tell which study {study!r} is: {len(found)} have that name. Give an id: {ids}.")
        if found:
            return found[0]
    known = ", ".join(s.id for s in studies) or "none yet"
    raise Missing(f"Cannot find the study {study!r}: it may have another name. Studies here: {known}.")


def league(store: Store, study: str) -> dict[str, Any] | None:
    """The latest league of a study: {"fingerprint", "runs", "league", "t", "run_ids"}; None before the first fit."""
    return store.remembered(("league", study), lambda: _league(store, study))


def _league(store: Store, study: str) -> dict[str, Any] | None:
    found = fitted_runs(store, study)
    if not found:
        return None
    there = set(measured(store, study).ids)  # a fit of another size, or of several, is older
    fingerprint = next((name for name, ids in found.items() if there.issuperset(ids)), next(iter(found)))
    asked = "SELECT runs, league, t FROM leagues WHERE study = ? AND fingerprint = ?"
    runs, value, t = store.rows(asked, [study, fingerprint])[0]
    return {
        "fingerprint": fingerprint,
        "runs": runs,
        "league": json.loads(value),
        "t": t,
        "run_ids": found[fingerprint],
    }


def fitted_runs(store: Store, study: str) -> dict[str, list[str]]:
    """The fingerprint of every fit of a study -> the ids of the runs that it learned from; the largest first, of equal
    ones the latest."""
    return store.remembered(("fitted runs", study), lambda: _fitted_runs(store, study))


def _fitted_runs(store: Store, study: str) -> dict[str, list[str]]:
    rows = store.rows(
        "SELECT fingerprint, (SELECT json_extract(spec, '$.runs') FROM jobs "
        "WHERE jobs.id = leagues.study || '-fit-' || fingerprint) "
        "FROM leagues WHERE study = ? ORDER BY runs DESC, t DESC",
        [study],
    )
    return {fingerprint: json.loads(ids) for fingerprint, ids in rows if ids is not None}  # None: no job made it
