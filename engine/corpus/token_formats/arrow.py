"""Hugging Face data sets on disk (save_to_disk): Arrow files whose rows are lists of tokens, memory-mapped."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.corpus.token_formats.base import LONGEST, Format, How, head_of

COLUMNS = ("input_ids", "tokens")  # what the column of tokens is usually called
FILE = b"ARROW1"  # how a file with a footer begins; others are streams


@dataclass(frozen=True)
class Rows:
    """A file's column of tokens: one row a document. column: pyarrow's, in chunks; edges: rows before each of them."""

    path: Path
    column: Any
    edges: np.ndarray
    count: int
    size: int

    @property
    def documents(self) -> int:
        return len(self.column)

    @property
    def units(self) -> int:
        return len(self.column)

    def read(self, units: np.ndarray) -> Iterator[np.ndarray]:
        places = np.searchsorted(self.edges, units, side="right") - 1
        for unit, place in zip(units.tolist(), places.tolist(), strict=True):
            row = self.column.chunk(place)[unit - int(self.edges[place])]
            yield np.zeros(0, np.int64) if row.values is None else row.values[:LONGEST].to_numpy(zero_copy_only=False)


def opened(path: Path, how: How) -> Rows:
    """A file's rows. Raises Problem where none of its columns holds tokens."""
    import pyarrow
    from pyarrow import compute, ipc, types

    head = head_of(path, len(FILE))
    try:
        source = pyarrow.memory_map(str(path))
        table = (ipc.open_file(source) if head == FILE else ipc.open_stream(source)).read_all()
    except (pyarrow.ArrowException, OSError) as error:
        raise Problem(f"Cannot read {path}: it is not an Arrow file, or was cut off ({error}).") from error
    names = table.column_names
    name = how.column or next((one for one in COLUMNS if one in names), None)
    if name not in names:
        raise Problem(
            f"Cannot read {path}: its columns are {listed(names)}, and none is {name or ' or '.join(COLUMNS)}. Say "
            "which holds the tokens."
        )
    column = table.column(name)
    inner = getattr(column.type, "value_type", None)
    if inner is None or not types.is_integer(inner):
        raise Problem(
            f"Cannot read {path}: its column {name!r} is {column.type}, and tokens are lists of whole numbers."
        )
    if any(chunk.flatten().null_count for chunk in column.chunks):
        raise Problem(f"Cannot read {path}: its column {name!r} has lists with nulls in them. It is damaged.")
    edges = np.cumsum([0, *(len(chunk) for chunk in column.chunks)])[:-1]
    count = int(compute.sum(compute.list_value_length(column)).as_py() or 0)
    return Rows(path, column, edges, count, count * inner.bit_width // 8)


FORMAT = Format("Hugging Face (Arrow)", ".arrow", opened)
