"""What each kind of journal event does to the tables. The functions are in decided.py and outcomes.py, one a
kind; the order of journals does not matter.

Within one journal events apply in their order. Tables that several journals touch are written so that the
result is the same whichever is read first: the owner's journal inserts rows, a job's own journal alone moves
the state of the job and of its runs.
"""

from collections.abc import Sequence

from store.events import decisions as decided
from store.events import outcomes
from store.events.outcomes import BULK
from store.journal import Chunk

EVENTS = decided.EVENTS | outcomes.EVENTS


def apply(cursor, chunks: Sequence[Chunk]) -> None:
    """Bring chunks of journals into the tables. Unknown kinds are left alone: a newer worker's."""
    bulk: dict[str, list[tuple[str, dict]]] = {}
    for chunk in chunks:
        for event in chunk.events:
            if event["kind"] in BULK:
                bulk.setdefault(event["kind"], []).append((chunk.name, event))
            elif event["kind"] in EVENTS:
                EVENTS[event["kind"]](cursor, chunk.name, event)
    for kind, events in bulk.items():
        BULK[kind](cursor, events)
