"""How much of a table is read: what a page can hold in memory and explain while somebody waits."""

from engine.core.errors import Problem

ROWS = 1_000_000
COLUMNS = 10_000
CELLS = 10_000_000
BYTES = 256 << 20  # of text, or of a columnar file's values once unpacked
JSON_BYTES = 64 << 20  # several times as much once it is read
TEXT = 1 << 17  # letters of a cell


def bounded(name: str, rows: int, columns: int) -> None:
    """Raise Problem for a table that is too wide or too large."""
    if columns > COLUMNS:
        raise Problem(
            f"Cannot import {name}: it has {columns:,} columns, and {COLUMNS:,} can be read. Keep the shares and the "
            "metrics."
        )
    if rows * columns > CELLS:
        raise Problem(
            f"Cannot import {name}: it has {rows * columns:,} cells, and {CELLS:,} can be read. Keep one row per run, "
            "or fewer columns."
        )
