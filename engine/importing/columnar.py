"""Parquet and Arrow files, bounded by what they say of themselves before anything of them is read."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet

from engine.core.errors import Problem
from engine.importing.limits import BYTES, CELLS, COLUMNS, ROWS
from engine.importing.text_files import Columns

BATCH = 4096  # rows


def read_columnar(path: Path, name: str, kind: str) -> Columns:
    """The columns of a "parquet" or "arrow" file. Raises Problem, before reading on, where they pass a limit.

    A few kilobytes can stand for gigabytes: one long text, repeated by number. So the values are counted while they
    are unpacked, in batches that cannot pass the limit by much, whatever one of them holds.
    """
    batches = _parquet(path, name) if kind == "parquet" else _arrow(path, name)
    columns: dict[str, list] = {}
    rows = size = 0
    for batch in batches:
        rows, size = rows + batch.num_rows, size + batch.nbytes
        _check(name, rows, batch.num_columns, rows * batch.num_columns, size)
        for one, cells in zip(batch.schema.names, batch.columns, strict=True):
            columns.setdefault(one, []).extend(_cells(cells, name, one))
    return columns, list(range(1, rows + 1))


def _cells(array: pa.Array, name: str, column: str) -> list:
    """Python values; a dictionary's stay one object each, however often they stand there."""
    if pa.types.is_dictionary(array.type):
        values = _cells(array.dictionary, name, column)
        return [None if i is None else values[i] for i in array.indices.to_pylist()]
    found = array.to_pylist()
    if not (pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)):
        return found
    try:
        return [None if cell is None else cell.decode() for cell in found]
    except UnicodeDecodeError as error:
        raise Problem(
            f"Cannot import {name}, column {column!r}: it holds bytes that are no text. Leave it out."
        ) from error


def _parquet(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    file = parquet.ParquetFile(path)
    about = file.metadata
    chunks = [
        about.row_group(group).column(i)
        for group in range(about.num_row_groups)
        for i in range(about.num_columns if about.num_columns <= COLUMNS else 0)
    ]
    size = sum(chunk.total_uncompressed_size for chunk in chunks)
    _check(name, about.num_rows, about.num_columns, sum(chunk.num_values for chunk in chunks), size)
    _refuse_twice(name, file.schema_arrow.names)
    # No value is larger than the chunk of its column.
    largest = max((chunk.total_uncompressed_size for chunk in chunks), default=1)
    return file.iter_batches(max(1, min(BATCH, BYTES // max(1, largest))))


def _arrow(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Arrow files are mapped, not read, so that a batch costs nothing until its cells are taken out."""
    with pa.memory_map(str(path)) as source:
        file = pa.ipc.open_file(source)
        _refuse_twice(name, file.schema.names)
        for i in range(file.num_record_batches):
            yield file.get_batch(i)


def _refuse_twice(name: str, names: list[str]) -> None:
    if twice := [one for one, count in Counter(names).items() if count > 1]:
        raise Problem(f"Cannot import {name}: two of its columns are called {twice[0]!r}. Rename one.")


def _check(name: str, rows: int, columns: int, values: int, size: int) -> None:
    limits = {"rows": (rows, ROWS), "columns": (columns, COLUMNS), "values": (values, CELLS)}
    for what, (count, most) in limits.items():
        if count > most:
            raise Problem(
                f"Cannot import {name}: it has {count:,} {what}, and {most:,} can be read. Keep one row a run, the "
                "shares and the metrics."
            )
    if size > BYTES:
        raise Problem(
            f"Cannot import {name}: it unpacks to more than {BYTES >> 20} MiB. Keep the shares and the metrics."
        )
