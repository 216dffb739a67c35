"""Parquet files, bounded by what they say of themselves before anything of them is read."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from engine.core.errors import Problem
from engine.core.row_groups import batches
from engine.importing.limits import BYTES, CELLS, COLUMNS, ROWS
from engine.importing.tables import refuse_twice
from engine.importing.text_files import Columns

BATCH = 4096  # rows
PLAIN = BYTES >> 3  # bytes at once of texts that are not read by number
COUNT = """
import sys, pyarrow.parquet as parquet
about = parquet.read_metadata(sys.argv[1])
groups = [about.row_group(i) for i in range(about.num_row_groups)]
print(sum(group.column(i).num_values for group in groups for i in range(group.num_columns)))
"""


def read_parquet(path: Path, name: str) -> Columns:
    """The columns of a Parquet file. Raises Problem, before reading on, where they pass a limit.

    A few kilobytes can stand for gigabytes: one long text, repeated by number. So texts are read as the file has
    them, each once and by number, and they stay so.
    """
    columns: dict[str, list[Any]] = {}
    rows, cells = 0, Cells(name)
    for batch in _batches(path, name):
        batch.validate(full=True)  # a damaged file must not end the process
        rows += batch.num_rows
        _check(name, rows, batch.num_columns, rows * batch.num_columns)
        for one, array in zip(batch.schema.names, batch.columns, strict=True):
            columns.setdefault(one, []).extend(cells.of(array, one))
    return columns, list(range(1, rows + 1))


class Cells:
    """Python values of a file's arrays, whose texts are one object each, however often they stand there."""

    def __init__(self, name: str):
        self.name, self.size = name, 0

    def of(self, array: pa.Array, column: str) -> list[Any]:
        """The values of an array. Raises Problem for what is no text, and where all of them pass the limit."""
        kind = array.type
        if isinstance(array, pa.ExtensionArray):
            return self.of(array.storage, column)
        if pa.types.is_dictionary(kind):
            used = array.indices.drop_null().unique()
            known = dict(zip(used.to_pylist(), self.of(array.dictionary.take(used), column), strict=True))
            return [None if i is None else known[i] for i in array.indices.to_pylist()]
        if pa.types.is_struct(kind):
            fields = [self.of(array.field(i), column) for i in range(kind.num_fields)]
            names = [kind.field(i).name for i in range(kind.num_fields)]
            rows = zip(*fields, strict=True) if fields else ((),) * len(array)
            found = [dict(zip(names, row, strict=True)) for row in rows]
            return [one if there else None for one, there in zip(found, array.is_valid().to_pylist(), strict=True)]
        if pa.types.is_map(kind) or pa.types.is_nested(kind):
            return self._lists(array, column)
        self._count(array.nbytes)
        return self._texts(array.to_pylist(), column) if _is_bytes(kind) else array.to_pylist()

    def _lists(self, array: pa.Array, column: str) -> list[Any]:
        """The values of an array of lists; a map's are lists of pairs."""
        if pa.types.is_fixed_size_list(array.type):
            size = array.type.list_size
            ends = [(array.offset + i) * size for i in range(len(array) + 1)]
        else:
            ends = array.offsets.to_pylist()
        inner = [array.keys, array.items] if pa.types.is_map(array.type) else [array.values]
        parts = [self.of(one.slice(ends[0], ends[-1] - ends[0]), column) for one in inner]
        values = list(zip(*parts, strict=True)) if len(parts) > 1 else parts[0]
        rows = [values[begin - ends[0] : end - ends[0]] for begin, end in pairwise(ends)]
        return [row if there else None for row, there in zip(rows, array.is_valid().to_pylist(), strict=True)]

    def _texts(self, found: list[Any], column: str) -> list[Any]:
        """Bytes as the text that they are."""
        try:
            return [None if cell is None else cell.decode() for cell in found]
        except UnicodeDecodeError as error:
            raise Problem(
                f"Cannot import {self.name}, column {column!r}: it holds bytes that are not text. Leave it out."
            ) from error

    def _count(self, size: int) -> None:
        self.size += size
        _check_size(self.name, self.size)


def _is_bytes(kind: pa.DataType) -> bool:
    forms = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(form(kind) for form in forms)


def _batches(path: Path, name: str) -> Iterator[pa.RecordBatch]:
    """Batches of rows, whose texts are numbers and the texts that they stand for."""
    about = parquet.read_metadata(path)
    leaves = [about.schema.column(i) for i in range(about.num_columns)]
    _check(name, about.num_rows, about.num_columns, about.num_rows * about.num_columns)
    values = about.num_rows
    if any(one.max_repetition_level for one in leaves):
        values = _values(path, name)
        _check(name, about.num_rows, about.num_columns, values)
    texts = [one for one in leaves if one.physical_type == "BYTE_ARRAY"]
    widths = sum(one.length for one in leaves if one.physical_type == "FIXED_LEN_BYTE_ARRAY")
    groups = [about.row_group(i).total_byte_size for i in range(about.num_row_groups)]
    _check_size(name, max(sum(groups), widths * values))
    file = parquet.ParquetFile(path, read_dictionary=[one.path for one in texts])
    refuse_twice(name, file.schema_arrow.names)
    most = values if any(one.max_repetition_level for one in texts) else 1  # values of a row
    yield from batches(file, BATCH, lambda group: _delta_batches(path, name, group, groups[group], most))


def _delta_batches(path: Path, name: str, group: int, size: int, values: int) -> Iterator[pa.RecordBatch]:
    """Batches of a group whose texts continue each other and have no numbers: none is longer than its group.

    values: how many a row may hold.
    """
    if values * size > BYTES:
        raise Problem(
            f"Cannot import {name}: its lists hold texts in a delta encoding, which may stand for any length. Write it "
            "again without that encoding."
        )
    rows = max(1, min(BATCH, PLAIN // (size * values + 1)))
    yield from parquet.ParquetFile(path).iter_batches(rows, row_groups=[group])


def _values(path: Path, name: str) -> int:
    """How many values a file with lists holds, asked in a process of its own: pyarrow ends the one in which it meets
    a damaged chunk. Raises Problem for such a file."""
    done = subprocess.run([sys.executable, "-c", COUNT, str(path)], capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"Cannot read {name}: its list of columns is damaged. Write it again.")
    return int(done.stdout)


def _check(name: str, rows: int, columns: int, values: int) -> None:
    limits = {"rows": (rows, ROWS), "columns": (columns, COLUMNS), "values": (values, CELLS)}
    for what, (count, most) in limits.items():
        if count > most:
            raise Problem(
                f"Cannot import {name}: it has {count:,} {what}, and {most:,} can be read. Keep one row per run, the "
                "shares and the metrics."
            )


def _check_size(name: str, size: int) -> None:
    if size > BYTES:
        raise Problem(
            f"Cannot import {name}: it unpacks to more than {BYTES >> 20} MiB. Keep the shares and the metrics."
        )
