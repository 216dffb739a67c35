"""A study's runs as one flat CSV or Parquet table that `import` reads: a row per run, columns of shares and metrics."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.sheets import as_text

FACTS = {
    "id": pa.string(),
    "number": pa.int64(),
    "role": pa.string(),
    "label": pa.string(),
    "state": pa.string(),
    "seed": pa.int64(),
    "parameters": pa.int64(),
    "tokens": pa.int64(),
    "seconds": pa.float64(),
    "cpu_seconds": pa.float64(),
    "device": pa.string(),
    "step": pa.int64(),
    "steps": pa.int64(),
    "job": pa.string(),
    "message": pa.string(),
}
# Of a run as `list_runs` gives it -> what its columns begin with: se is the standard error, seen what it really saw.
GROUPS = {"weights": "share", "losses": "metric", "losses_se": "se", "shares": "seen"}
SUFFIXES = (".csv", ".parquet")


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as `list_runs` gives them, as a table."""
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in FACTS.items()}
    for group, prefix in GROUPS.items():
        for name in dict.fromkeys(name for row in rows for name in row.get(group) or ()):
            values = [(row.get(group) or {}).get(name) for row in rows]
            columns[f"{prefix}/{name}"] = pa.array(values, pa.float64())
    return pa.table(columns)


def write(rows: list[dict[str, Any]], path: Path) -> Path:
    """Write the table atomically. Raises Problem for a name that is neither CSV nor Parquet."""
    if path.suffix not in SUFFIXES:
        raise Problem(f"Cannot write {path}: its name must end with {' or '.join(SUFFIXES)}.")
    with replacing(path) as part:
        part.write_bytes(as_bytes(rows, path.suffix))
    return path


def as_bytes(rows: list[dict[str, Any]], suffix: str) -> bytes:
    """The table as the bytes of a file."""
    out, table = pa.BufferOutputStream(), table_of(rows)
    if suffix == ".csv":
        csv.write_csv(without_formulas(table), out)
    else:
        parquet.write_table(table, out)
    return bytes(out.getvalue())


def without_formulas(table: pa.Table) -> pa.Table:
    """A table whose texts no spreadsheet takes for formulas (engine/core/sheets.py)."""
    columns = [
        pa.array([None if cell is None else as_text(cell) for cell in column.to_pylist()], column.type)
        if pa.types.is_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.table(columns, [as_text(name) for name in table.column_names])
