"""Parquet files, bounded by what they say of themselves before anything of them is read."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from engine.core.errors import Problem
from engine.importing.limits import BYTES, CELLS, COLUMNS, ROWS
from engine.importing.text_files import Columns

BATCH = 4096  # rows
COUNT = """
import sys, pyarrow.parquet as parquet
about = parquet.read_metadata(sys.argv[1])
groups = [about.row_group(i) for i in range(about.num_row_groups)]
print(sum(group.column(i).num_values for group in groups for i in range(group.num_columns)))
"""


def read_parquet(path: Path, name: str) -> Columns:
    """The columns of a Parquet file. Raises Problem, before reading on, where they pass a limit.

    A few kilobytes can stand for gigabytes: one long text, repeated by number. So the values are counted while they
    are unpacked, in batches that cannot pass the limit by much, whatever one of them holds.
    """
    columns: dict[str, list[Any]] = {}
    rows = size = 0
    for batch in _batches(path, name):
        batch.validate(full=True)  # a damaged file must not end the process
        rows, size = rows + batch.num_rows, size + batch.nbytes
        _check(name, rows, batch.num_columns, rows * batch.num_columns, size)
        for one, cells in zip(batch.schema.names, batch.columns, strict=True):
            columns.setdefault(one, []).extend(_cells(cells, name, one))
    return columns, list(range(1, rows + 1))


def _cells(array: pa.Array, name: str, column: str) -> list[Any]:
    """Python values; a dictionary's stay one object each, however often they stand there."""
    if pa.types.is_dictionary(array.type):
        values = _cells(array.dictionary, name, column)
        return [None if i is None else values[i] for i in array.indices.to_pylist()]
    found: list[Any] = array.to_pylist()
    if not (pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)):
        return found
    try:
        return [None if cell is None else cell.decode() for cell in found]
    except UnicodeDecodeError as error:
        raise Problem(
            f"Cannot import {name}, column {column!r}: it holds bytes that are not text. Leave it out."
        ) from error


def _batches(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Batches of rows. No value is larger than the row group it stands in, so no batch passes the limit by much."""
    file = parquet.ParquetFile(path)
    about = file.metadata
    groups = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
    _check(name, about.num_rows, about.num_columns, about.num_rows * about.num_columns, sum(groups))
    if any(about.schema.column(i).max_repetition_level for i in range(about.num_columns)):
        _check(name, about.num_rows, about.num_columns, _values(path, name), sum(groups))
    _refuse_twice(name, file.schema_arrow.names)
    yield from file.iter_batches(max(1, min(BATCH, BYTES // max([1, *groups]))))


def _values(path: Path, name: str) -> int:
    """How many values a file with lists holds, asked in a process of its own: pyarrow ends the one in which it meets
    a damaged chunk. Raises Problem for such a file."""
    done = subprocess.run([sys.executable, "-c", COUNT, str(path)], capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"Cannot read {name}: its list of columns is damaged. Write it again.")
    return int(done.stdout)


def _refuse_twice(name: str, names: list[str]) -> None:
    if twice := [one for one, count in Counter(names).items() if count > 1]:
        raise Problem(f"Cannot import {name}: two of its columns are called {twice[0]!r}. Rename one.")


def _check(name: str, rows: int, columns: int, values: int, size: int) -> None:
    limits = {"rows": (rows, ROWS), "columns": (columns, COLUMNS), "values": (values, CELLS)}
    for what, (count, most) in limits.items():
        if count > most:
            raise Problem(
                f"Cannot import {name}: it has {count:,} {what}, and {most:,} can be read. Keep one row per run, the "
                "shares and the metrics."
            )
    if size > BYTES:
        raise Problem(
            f"Cannot import {name}: it unpacks to more than {BYTES >> 20} MiB. Keep the shares and the metrics."
        )
