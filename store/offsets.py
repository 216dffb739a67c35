"""Writes how far each journal was read, and which of its lines were set aside."""

from engine.core.shown import storable
from store.events.bulk import Cursor, insert
from store.journal import Chunk


def remember(cursor: Cursor, chunks: list[Chunk]) -> None:
    """Write the journals' offsets and their corrupt lines."""
    read_to = {chunk.key: chunk.read_to for chunk in chunks}
    insert(cursor, "journals", {"name": list(read_to), "read_to": list(read_to.values())}, {}, "OR REPLACE")
    if aside := [(chunk.name, one) for chunk in chunks for one in chunk.corrupt]:
        columns = {
            "journal": [name for name, _ in aside],
            "read_from": [one.begins for _, one in aside],
            "text": [storable(one.text) for _, one in aside],
            "reason": [storable(one.reason) for _, one in aside],
        }
        insert(cursor, "corrupt_lines", columns, {})
