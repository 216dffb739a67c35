"""Many rows written at once: a thousand times faster than one by one."""

from contextlib import contextmanager

import pyarrow as pa


def insert(cursor, table, columns, types, how=""):
    """Insert many rows at once, a thousand times faster than one by one. columns: lists, or one value for all rows."""
    count = max(len(values) for values in columns.values() if isinstance(values, list))
    lists = {name: values if isinstance(values, list) else [values] * count for name, values in columns.items()}
    with new_rows(cursor, lists, types):
        cursor.execute(f"INSERT {how} INTO {table} BY NAME SELECT * FROM new_rows")


def update(cursor, table, columns, types, also=""):
    """Update many rows at once, by their id; `also`: what is set in all of them."""
    with new_rows(cursor, columns, types):
        sets = [f"{name} = new_rows.{name}" for name in columns if name != "id"] + [also] * bool(also)
        cursor.execute(f"UPDATE {table} SET {', '.join(sets)} FROM new_rows WHERE {table}.id = new_rows.id")


@contextmanager
def new_rows(cursor, columns, types):
    """Columns as a table `new_rows` inside the block."""
    cursor.register("new_rows", pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()}))
    yield
    cursor.unregister("new_rows")  # where the block failed, the cursor is rolled back and thrown away
