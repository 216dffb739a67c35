"""Helpers for applying events: an event's origin, the row that it declares, and bulk inserts and updates."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from engine.jobs.events import Event, Row

Cursor = duckdb.DuckDBPyConnection
Handler = Callable[["Cursor", "Origin", Any], None]  # applies an event of one kind to the tables
Columns = dict[str, Any]  # name -> a list, or one value for all rows
Types = dict[str, pa.DataType]  # of columns whose type Arrow cannot infer


class Origin(NamedTuple):
    """Where and when an event was written, and by whom (in the owner's journal). journal: a job's id, or "owner"."""

    journal: str
    t: float
    by: str | None


def land(cursor: Cursor, origin: Origin, event: Event, row: Row) -> None:
    """Write the row that an event declares. Raises duckdb.Error for a table, column or value that there is not."""
    values = [column_value(origin, event, name) for name in (*row.columns.values(), *row.where.values())]
    if row.where:
        sets = ", ".join(f"{column} = ?" for column in row.columns)
        which = " AND ".join(f"{column} = ?" for column in row.where)
        cursor.execute(f"UPDATE {row.table} SET {sets} WHERE {which}", values)
    else:
        marks = ", ".join("?" for _ in row.columns)
        cursor.execute(f"INSERT OR REPLACE INTO {row.table} ({', '.join(row.columns)}) VALUES ({marks})", values)


def column_value(origin: Origin, event: Event, name: str) -> object:
    """What stands in a column for an attribute of an event."""
    value = {"t": origin.t, "job": origin.journal}[name] if name in ("t", "job") else getattr(event, name)
    return json.dumps(value) if isinstance(value, dict) else value


def insert(cursor: Cursor, table: str, columns: Columns, types: Types, how: str = "") -> None:
    """Insert many rows at once, a thousand times faster than one by one. columns: lists, or one value for all rows."""
    count = max(len(values) for values in columns.values() if isinstance(values, list))
    lists = {name: values if isinstance(values, list) else [values] * count for name, values in columns.items()}
    with new_rows(cursor, lists, types):
        cursor.execute(f"INSERT {how} INTO {table} BY NAME SELECT * FROM new_rows")


def update(cursor: Cursor, table: str, columns: Columns, types: Types, also: str = "") -> None:
    """Update many rows at once, by their id; `also`: assignments for all of them."""
    with new_rows(cursor, columns, types):
        sets = [f"{name} = new_rows.{name}" for name in columns if name != "id"] + [also] * bool(also)
        cursor.execute(f"UPDATE {table} SET {', '.join(sets)} FROM new_rows WHERE {table}.id = new_rows.id")


@contextmanager
def new_rows(cursor: Cursor, columns: Columns, types: Types) -> Iterator[None]:
    """Columns as a table `new_rows` inside the block."""
    cursor.register("new_rows", pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()}))
    yield
    cursor.unregister("new_rows")  # if the block failed, the cursor is rolled back and discarded
