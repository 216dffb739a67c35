"""Apply journal events to the tables, in whatever order journals are read: an event becomes the row that it declares,
or decisions.py and outcomes.py have a function for its kind.

Within one journal events apply in their order. Tables that several journals touch are written so that the result is
the same whichever is read first: the owner's journal inserts rows, a job's own journal alone moves the state of the job
and of its runs.
"""

from collections.abc import Sequence

from engine.jobs.events import Event
from store.events import decisions, outcomes
from store.events.bulk import At, Cursor, Handler, land
from store.events.outcomes import BULK
from store.journal import Chunk

EVENTS: dict[type[Event], Handler] = {**decisions.EVENTS, **outcomes.EVENTS}


def apply(cursor: Cursor, chunks: Sequence[Chunk]) -> None:
    """Apply chunks of journals to the tables."""
    bulk: dict[type[Event], list[tuple[At, Event]]] = {}
    for chunk in chunks:
        for line in chunk.lines:
            at, kind = At(chunk.name, line.t, line.by), type(line.event)
            if kind in BULK:
                bulk.setdefault(kind, []).append((at, line.event))
            elif line.event.lands is not None:
                land(cursor, at, line.event, line.event.lands)
            else:
                EVENTS[kind](cursor, at, line.event)
    for kind, events in bulk.items():
        BULK[kind](cursor, events)
