"""What a journal may say: decisions stand in the owner's; a job's own tells of that job, of its own runs and study.

A node of a cluster holds a token for one attempt at one job, and may write whatever it likes into that job's journal.
What is not the job's own to say is set aside, and shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.core.errors import Problem
from engine.jobs.decisions import DECISIONS, RunsAdded, StudyPlanned
from engine.jobs.events import SHARED, Event, RunsCompared, RunsMeasured
from engine.jobs.housekeeping import StudyDeleted
from engine.jobs.journal import LONGEST
from engine.jobs.kinds import KINDS, kind_of
from engine.jobs.runs import run_id
from store.events.bulk import Cursor

Kinds = dict[str, type[Event]]
CHANGING = (StudyPlanned, RunsAdded, StudyDeleted)  # decisions after which rights are looked up again


@dataclass(frozen=True)
class Rights:
    """The kinds of events that a journal may hold, and whose they may be.

    runs: None for the owner, who may speak of all; study, corpus: None if the job has none; longest: bytes of a line.
    """

    kinds: Kinds
    runs: frozenset[str] | None = None
    study: str | None = None
    corpus: str | None = None
    longest: int = LONGEST

    def check(self, event: Event) -> None:
        """Raises Problem if the event is about another run, study or corpus than the job's."""
        if self.runs is None:
            return
        for what, own in (("study", self.study), ("corpus", self.corpus)):
            targets = getattr(event, what, own)
            if targets != own:
                raise Problem(
                    f"Cannot take {event.kind} from this job: it is about the {what} {targets!r}, not its own."
                )
        if isinstance(event, RunsMeasured | RunsCompared):
            for chosen in event.runs:
                if self.study is None or chosen.id != run_id(self.study, chosen.number):
                    raise Problem(f"Cannot take {event.kind} from this job: {chosen.id!r} is not an id of its study.")
            return
        targets = runs_of(event)
        for run in targets:
            if run not in self.runs:
                raise Problem(f"Cannot take {event.kind} from this job: {run!r} is not one of its runs.")
        if len(set(targets)) < len(targets):
            raise Problem(f"Cannot take {event.kind} from this job: it names a run twice.")


def runs_of(event: Event) -> list[str]:
    """The runs, planned before, that an event is about."""
    targets = getattr(event, "runs", None) or [getattr(event, "run", None)]
    return [run for run in targets if isinstance(run, str)] if isinstance(targets, list) else []


def named(events: Iterable[type[Event]]) -> Kinds:
    return {event.kind: event for event in events}


OWNER = Rights(named(DECISIONS), longest=256 << 20)  # an import of ten million numbers is one line


def rights_of(cursor: Cursor, jobs: list[str]) -> dict[str, Rights]:
    """The rights of the journals of these jobs, without those that are not planned.

    A job that chooses its runs was given none: it tells of each once, by what it measured, and never again.
    """
    runs: dict[str, list[str]] = {}
    for job, run in cursor.execute("SELECT job, id FROM runs WHERE job IN (SELECT unnest(?))", [jobs]).fetchall():
        runs.setdefault(job, []).append(run)
    planned = "SELECT id, kind, study, spec ->> 'corpus' FROM jobs WHERE id IN (SELECT unnest(?))"
    return {
        job: Rights(kinds_of(kind), frozenset(() if chooses(kind) else runs.get(job, ())), study, corpus)
        for job, kind, study, corpus in cursor.execute(planned, [jobs]).fetchall()
    }


def chooses(job_kind: str) -> bool:
    """Whether jobs of a kind measure runs that nobody planned for them."""
    return job_kind in KINDS and kind_of(job_kind).chooses


def kinds_of(job_kind: str) -> Kinds:
    """The kinds of events in the journal of a job of some kind."""
    own = kind_of(job_kind) if job_kind in KINDS else None
    may = {RunsMeasured: own is not None and own.chooses, RunsCompared: own is not None and own.compares}
    shared = [event for event in SHARED if may.get(event, True)]
    return named((*shared, *(own.events if own else ())))


UNPLANNED = Rights(kinds_of(""), frozenset())  # of a job that nobody planned here
