"""What must hold before an event is applied: it adds no row that is there, and what it holds can be.

An event that does not fit is set aside, and those around it land in the same transaction: an error of the database
would roll all of them back.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from types import NoneType
from typing import Any

from engine.core.errors import Problem
from engine.core.records import shown
from engine.jobs.decisions import (
    VERDICTS,
    CandidatePut,
    JobPlanned,
    PlannedJob,
    RequestBegun,
    RequestEnded,
    ReviewAdded,
    RunsAdded,
    RunsSubmitted,
    StudyCreated,
    StudyImported,
    StudyPlanned,
)
from engine.jobs.events import Event, RunsMeasured
from engine.jobs.housekeeping import StudyDeleted
from engine.jobs.spec import JobSpec
from engine.jobs.spool import check_id, names_a_folder
from store.events.bulk import Cursor

KEYS = {"studies": "id", "runs": "id", "candidates": "id", "requests": "key"}  # table -> its primary key
OF_RUNS = (RunsAdded, StudyPlanned, StudyImported, RunsMeasured, RunsSubmitted)
DELETING = (StudyDeleted, RequestEnded)
Ids = dict[str, list[str]]  # table -> keys of rows


class There:
    """Which of the rows that a batch of events would add are there: asked once per table, not once per event."""

    def __init__(self, cursor: Cursor, events: Iterable[Event]):
        self.cursor, self.wanted = cursor, defaultdict[str, set[str]](set)
        for event in events:
            for table, ids in new_rows_of(event).items():
                self.wanted[table].update(ids)
        self.known = dict[str, set[str]]()

    def check(self, event: Event) -> None:
        """Raise Problem if the event does not fit; else what it adds counts as there."""
        if (check := CHECKS.get(type(event))) is not None:
            check(event)
        if isinstance(event, OF_RUNS):
            check_runs(event)
        added = new_rows_of(event)
        for table, ids in added.items():
            known = self.in_table(table)
            if twice := [one for one, times in Counter(ids).items() if times > 1 or one in known]:
                raise Problem(f"Cannot add {shown(twice[0])} to {table}: it is there already.")
        for table, ids in added.items():
            self.known[table].update(ids)
        if isinstance(event, DELETING):
            self.known.clear()  # asked again after it was applied

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
        raise Problem(f"Cannot take a study of the id {shown(event.study)}: that is no name of a folder.")


def check_import(event: StudyImported) -> None:
    """Raise Problem for an imported study that nothing could show."""
    check_settings(event)
    if not isinstance(event.imported.get("files"), list):
        raise Problem(f"Cannot take the imported study {shown(event.study)}: it names no files.")


def check_settings(event: StudyCreated | StudyImported) -> None:
    """Raise Problem for settings of a study that nothing could show. Their details are read where they are used."""
    check_study(event)
    for name, kinds in {"corpus": (str, NoneType), "merge": (dict, NoneType), "fidelity": (dict, NoneType)}.items():
        if not isinstance(event.spec.get(name), kinds):
            raise Problem(f"Cannot take the settings of a study: {name!r} is {shown(event.spec.get(name))}.")
    if "corpus" not in event.spec:
        raise Problem("Cannot take the settings of a study: 'corpus' is missing.")


def check_runs(event: RunsAdded | StudyPlanned | StudyImported | RunsMeasured | RunsSubmitted) -> None:
    """Raise Problem for a run whose id names no file: what was measured of a run lies in files that are called so."""
    if odd := [one for one in run_ids(event) if not names_a_folder(one)]:
        raise Problem(f"Cannot take a run of the id {shown(odd[0])}: that is no name of a file.")


def check_jobs(jobs: Sequence[PlannedJob | JobPlanned]) -> None:
    """Raise Problem for a job whose id names no folder, or whose settings cannot be."""
    for job in jobs:
        JobSpec.read(job.spec)
        check_id(job.job)


FROZEN = {"name": str, "author": str, "point": list, "names": list, "metrics": list, "predicted": dict}


def check_candidate(event: CandidatePut) -> None:
    """Raise Problem unless it holds what every list of candidates shows."""
    try:
        frozen = json.loads(event.frozen)
        fine = all(isinstance(frozen[one], kind) for one, kind in FROZEN.items())
    except (ValueError, LookupError, TypeError, RecursionError):
        fine = False
    if not fine:
        raise Problem(f"Cannot take the candidate {shown(event.candidate)}: it lacks one of {', '.join(FROZEN)}.")


# What a line of a review holds, by its kind: name -> types. All are needed but those with a None among them.
REVIEWS: dict[str, dict[str, tuple[type, ...]]] = {
    "comment": {"text": (str,), "mentions": (list, NoneType)},
    "decision": {"verdict": (str,), "reason": (str,), "successor": (str, NoneType), "alone": (bool, NoneType)},
    "vote": {"over": (str,), "neither": (bool,), "blind": (bool, NoneType)},
    "confirm": {"times": (int, float), "seeds": (int,), "runs": (int,)},
    "rules": {"approvals": (int,), "author_alone": (bool, NoneType)},
}


def check_review(event: ReviewAdded) -> None:
    """Raise Problem unless it is of a known kind, and holds what its kind needs."""
    if event.what not in REVIEWS:
        raise Problem(f"Cannot take a line of a review: {shown(event.what)} is none of {', '.join(REVIEWS)}.")
    if odd := event.body.keys() - REVIEWS[event.what].keys():
        raise Problem(f"Cannot take a {event.what}: it has no {shown(min(odd))}.")
    for name, kinds in REVIEWS[event.what].items():
        if not isinstance(event.body.get(name), kinds):
            raise Problem(f"Cannot take a {event.what}: {name!r} is {shown(event.body.get(name))}.")
    if event.what == "decision" and event.body["verdict"] not in VERDICTS:
        raise Problem(f"Cannot take a decision: {shown(event.body['verdict'])} is none of {', '.join(VERDICTS)}.")
    if event.what != "rules" and event.candidate is None:
        raise Problem(f"Cannot take a {event.what}: it names no candidate.")


CHECKS: dict[type[Event], Callable[[Any], None]] = {
    StudyCreated: check_settings,
    StudyImported: check_import,
    StudyPlanned: lambda event: check_jobs(event.jobs),
    RunsAdded: lambda event: check_jobs(event.jobs),
    JobPlanned: lambda event: check_jobs([event]),
    CandidatePut: check_candidate,
    ReviewAdded: check_review,
}
