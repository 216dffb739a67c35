"""What must hold before an event is applied: it adds no row that is there, it fits its study, and what it holds can be.

An event that does not fit is set aside, and those around it land in the same transaction: an error of the database
would roll all of them back.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from engine.core.errors import Problem
from engine.core.shown import shown
from engine.jobs.api import RequestBegun, RequestEnded
from engine.jobs.decisions import (
    CandidatePut,
    JobPlanned,
    PlannedJob,
    ReviewAdded,
    RunsAdded,
    RunsSubmitted,
    StudyCreated,
    StudyImported,
    StudyPlanned,
)
from engine.jobs.events import Event, RunsMeasured
from engine.jobs.frozen import Frozen
from engine.jobs.housekeeping import StudyDeleted
from engine.jobs.kinds import KINDS, kind_of
from engine.jobs.reviews import REVIEWS
from engine.jobs.spec import JobSpec, names_a_folder
from engine.jobs.spool import check_id
from engine.spec.kinds.fit import LeagueFinished
from engine.spec.study import StudySpec
from store.events.bulk import Cursor
from store.events.shapes import Shapes

KEYS = {"studies": "id", "runs": "id", "candidates": "id", "requests": "key"}  # table -> its primary key
OF_RUNS = (RunsAdded, StudyPlanned, StudyImported, RunsMeasured, RunsSubmitted)
DELETING = (StudyDeleted, RequestEnded)
RESHAPING = (StudyCreated, StudyPlanned, StudyImported, StudyDeleted)
Ids = dict[str, list[str]]  # table -> keys of rows


class Existing:
    """Which of the rows that a batch of events would add are there: asked once per table, not once per event."""

    def __init__(self, cursor: Cursor, events: Sequence[Event]):
        self.cursor, self.wanted = cursor, defaultdict[str, set[str]](set)
        for event in events:
            for table, ids in new_rows_of(event).items():
                self.wanted[table].update(ids)
        self.known, self.shapes = dict[str, set[str]](), Shapes(cursor, events)

    def check(self, event: Event, job: str) -> None:
        """Raise Problem if the event of a job's journal does not fit; else what it adds counts as there."""
        if (check := CHECKS.get(type(event))) is not None:
            check(event)
        if isinstance(event, OF_RUNS):
            check_runs(event)
        self.shapes.check(event)
        if isinstance(event, LeagueFinished):
            self.check_fit(event, job)
        added = new_rows_of(event)
        for table, ids in added.items():
            known = self.in_table(table)
            if twice := [one for one, times in Counter(ids).items() if times > 1 or one in known]:
                raise Problem(f"Cannot add {shown(twice[0])} to {table}: it is there already.")
        for table, ids in added.items():
            self.known[table].update(ids)
        if isinstance(event, DELETING):
            self.known.clear()  # asked again after it was applied
        if isinstance(event, RESHAPING):
            self.shapes.forget()

    def check_fit(self, event: LeagueFinished, job: str) -> None:
        """Raise Problem unless a leaderboard is of the runs that its job was given, and these are there."""
        asked = "SELECT spec ->> 'fingerprint', json_extract(spec, '$.runs') FROM jobs WHERE id = ?"
        ((fingerprint, given),) = self.cursor.execute(asked, [job]).fetchall() or [(None, None)]
        runs = json.loads(given) if given else []
        there = "SELECT count(DISTINCT id) FROM runs WHERE study = ? AND id IN (SELECT unnest(?))"
        ((count,),) = self.cursor.execute(there, [event.study, runs]).fetchall()
        if event.fingerprint != fingerprint or not event.runs == len(runs) == count:
            raise Problem(f"Cannot take the leaderboard {shown(event.fingerprint)}: its job fitted other runs.")

    def in_table(self, table: str) -> set[str]:
        if table not in self.known:
            key = KEYS[table]
            found = f"SELECT {key} FROM {table} WHERE {key} IN (SELECT unnest(?))"
            self.known[table] = {one for (one,) in self.cursor.execute(found, [[*self.wanted[table]]]).fetchall()}
        return self.known[table]


def new_rows_of(event: Event) -> Ids:
    """Keys of the rows that an event adds, where one that is there already must not be added again."""
    return {} if (rows := NEW.get(type(event))) is None else rows(event)


def run_ids(event: RunsAdded | StudyPlanned | StudyImported | RunsMeasured | RunsSubmitted) -> list[str]:
    """The runs that an event brings."""
    carried = event.carried or () if isinstance(event, StudyPlanned) else ()
    return [run.id for run in (*event.runs, *carried)]


NEW: dict[type[Event], Callable[[Any], Ids]] = {
    StudyCreated: lambda event: {"studies": [event.study]},
    StudyImported: lambda event: {"studies": [event.study], "runs": run_ids(event)},
    StudyPlanned: lambda event: {"runs": run_ids(event)},
    RunsAdded: lambda event: {"runs": run_ids(event)},
    RunsMeasured: lambda event: {"runs": run_ids(event)},
    CandidatePut: lambda event: {"candidates": [event.candidate]},
    RequestBegun: lambda event: {"requests": [event.key]},
}


def check_study(event: StudyCreated | StudyImported) -> None:
    """Raise Problem unless its id names a folder."""
    if not names_a_folder(event.study):
        raise Problem(f"Cannot take a study of the id {shown(event.study)}: that is not a folder name.")


def check_settings(event: StudyCreated | StudyImported) -> None:
    """Raise Problem for settings of a study that nothing could read."""
    check_study(event)
    if "corpus" not in event.spec:
        raise Problem("Cannot take the settings of a study: 'corpus' is missing.")
    StudySpec.from_dict({"name": event.name, **event.spec})


def check_runs(event: RunsAdded | StudyPlanned | StudyImported | RunsMeasured | RunsSubmitted) -> None:
    """Raise Problem for a run whose id names no file: what was measured of a run lies in files that are called so."""
    if odd := [one for one in run_ids(event) if not names_a_folder(one)]:
        raise Problem(f"Cannot take a run of the id {shown(odd[0])}: that is not a file name.")


def check_jobs(jobs: Sequence[PlannedJob | JobPlanned]) -> None:
    """Raise Problem for a job whose id names no folder, or whose settings cannot be."""
    for job in jobs:
        settings = JobSpec.read(job.spec)
        check_id(job.job)
        if settings.kind in KINDS:
            kind_of(settings.kind).task.check_held(job.spec, f"the task of {shown(job.job)}")


def check_candidate(event: CandidatePut) -> None:
    """Raise Problem unless it holds what every list of candidates shows."""
    try:
        values = json.loads(event.frozen)
    except (ValueError, RecursionError):
        values = event.frozen
    frozen = Frozen.read(values, f"the candidate {shown(event.candidate)}")
    frozen.shape.check(frozen, f"the candidate {shown(event.candidate)}")


def check_review(event: ReviewAdded) -> None:
    """Raise Problem unless it is of a known kind, and holds what its kind needs."""
    if event.what not in REVIEWS:
        raise Problem(f"Cannot take a line of a review: {shown(event.what)} is none of {', '.join(REVIEWS)}.")
    REVIEWS[event.what].read(event.body, f"the body of a {event.what}")
    if event.what != "rules" and event.candidate is None:
        raise Problem(f"Cannot take a {event.what}: it names no candidate.")


CHECKS: dict[type[Event], Callable[[Any], None]] = {
    StudyCreated: check_settings,
    StudyImported: check_settings,
    StudyPlanned: lambda event: check_jobs(event.jobs),
    RunsAdded: lambda event: check_jobs(event.jobs),
    JobPlanned: lambda event: check_jobs([event]),
    CandidatePut: check_candidate,
    ReviewAdded: check_review,
}
