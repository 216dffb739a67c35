"""Apply journal events to the tables, in whatever order journals are read: an event becomes the row that it declares,
or decisions.py, housekeeping.py, reported.py and outcomes.py have a function for its kind.

Within one journal events apply in their order. Tables that several journals touch are written so that the result is
the same whichever is read first: the owner's journal inserts rows, a job's own journal alone moves the state of the job
and of its runs.
"""

from collections.abc import Sequence

from engine.core.errors import Problem
from engine.jobs.events import Event
from store.events import decisions, housekeeping, outcomes, reported
from store.events.bulk import Cursor, Handler, Origin, land
from store.events.fitting import Existing
from store.events.outcomes import BULK
from store.journal import Chunk

ONE_BY_ONE = 4  # times the work of an event that is applied in bulk
EVENTS: dict[type[Event], Handler] = {**decisions.EVENTS, **housekeeping.EVENTS, **outcomes.EVENTS}
EVENTS |= reported.EVENTS


def weight(chunk: Chunk) -> int:
    """How much work its lines are, in lines of a kind that is applied in bulk."""
    return len(chunk.corrupt) + sum(1 if type(line.event) in BULK else ONE_BY_ONE for line in chunk.lines)


def apply(cursor: Cursor, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Apply chunks of journals to the tables; returns them with what does not fit set aside."""
    bulk: dict[type[Event], list[tuple[Origin, Event]]] = {}
    unfit: list[dict[int, str]] = [{} for _ in chunks]  # of each chunk: the place of a line, and why it does not fit
    there = Existing(cursor, [line.event for chunk in chunks for line in chunk.lines])
    for chunk, wrong in zip(chunks, unfit, strict=True):
        for place, line in enumerate(chunk.lines):
            origin, kind = Origin(chunk.name, line.t, line.by), type(line.event)
            try:
                there.check(line.event, chunk.name)
            except Problem as problem:
                wrong[place] = str(problem)
                continue
            if kind in BULK:
                bulk.setdefault(kind, []).append((origin, line.event))
            elif line.event.lands is not None:
                land(cursor, origin, line.event, line.event.lands)
            else:
                EVENTS[kind](cursor, origin, line.event)
    for kind, events in bulk.items():
        BULK[kind](cursor, events)
    return [chunk.without(wrong) if wrong else chunk for chunk, wrong in zip(chunks, unfit, strict=True)]
