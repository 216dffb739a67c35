"""Opens a database file, or makes one, and brings one of an earlier version to today's tables."""

from pathlib import Path

import duckdb

from engine.core.errors import Problem
from engine.core.files import replacing
from store.events.bulk import Cursor
from store.journal import JOB

STORAGE = "v1.5.0"  # DuckDB's file format: readable by every DuckDB from 1.5 on
OLD_RESULTS = {
    "searches": "search.finished",
    "proposals": "proposal.finished",
    "merge_searches": "merge_search.finished",
    "merge_learned": "merge.learned",
}


def connect(file: Path) -> duckdb.DuckDBPyConnection:
    """Connect to the file read-write. Raises Problem if another process has it, or it is not a Mixdesk database."""
    try:
        if not file.exists():
            make(file)
        return duckdb.connect(str(file), config={"enable_external_access": False, "threads": 2})
    except duckdb.Error as error:
        reason = str(error).split("\n")[0].rstrip(".!")
        if "lock" in reason.lower():
            raise Problem(
                f"Cannot open {file}: another process owns it. Use the page that is running, or stop it first."
            ) from error
        raise Problem(
            f"Cannot open {file}: {reason}. Free disk space or restore the file; "
            "`python -m store.rebuild` rebuilds it from the journals."
        ) from error


def make(file: Path) -> None:
    """Create an empty database, atomically: a partial file, after a kill or a full disk, would never open again."""
    with replacing(file) as part, duckdb.connect() as maker:
        quoted = str(part).replace("'", "''")  # only ATTACH can set a new file's format
        maker.execute(f"ATTACH '{quoted}' AS fresh (STORAGE_VERSION '{STORAGE}')")
        maker.execute("DETACH fresh")


def gather_results(cursor: Cursor) -> None:
    """Migrate results of a database from before 0.2, which had one table per kind, into the one table."""
    there = {name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    for table, kind in OLD_RESULTS.items():
        if table in there:
            columns = "job, study, settings, found, t"
            cursor.execute(f"INSERT INTO results ({columns}, kind) SELECT {columns}, ? FROM {table}", [kind])
            cursor.execute(f"DROP TABLE {table}")


def key_by_kind(cursor: Cursor) -> None:
    """Migrate offsets of a database from before 0.3, where a job called "owner" had those of the owner's journal."""
    if cursor.execute("SELECT 1 FROM journals WHERE starts_with(name, ?)", [JOB]).fetchone() is None:
        cursor.execute("UPDATE journals SET name = ? || name WHERE name != 'owner'", [JOB])
