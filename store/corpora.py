"""Queries about corpora."""

import json
from typing import Any

from store.database import Store
from store.jobs import COLUMNS, JobRow


def manifest(store: Store, name: str) -> dict[str, Any] | None:
    """The manifest of a built corpus (engine/corpus/build.py describes it); None while it is not built."""
    rows = store.rows("SELECT manifest FROM corpora WHERE name = ?", [name])
    return json.loads(rows[0][0]) if rows and rows[0][0] else None


def is_private(store: Store, name: str) -> bool:
    """Whether none of a corpus' text may be shown: as it was marked last, else as it was built."""
    rows = store.rows("SELECT private, manifest, spec FROM corpora WHERE name = ?", [name])
    if not rows:
        return False
    marked, manifest, spec = rows[0]
    built = json.loads(manifest)["spec"] if manifest else json.loads(spec)
    return bool(built.get("private")) if marked is None else bool(marked)


def names(store: Store) -> list[str]:
    """All corpora, built or being built, oldest first."""
    return [name for (name,) in store.rows("SELECT name FROM corpora ORDER BY created_at, name")]


def job(store: Store, name: str) -> JobRow | None:
    """The latest job that builds a corpus; None before there is one."""
    rows = store.rows(
        f"SELECT {COLUMNS} FROM jobs WHERE kind = 'corpus' AND json_extract_string(spec, '$.corpus') = ? "
        "ORDER BY greatest(planned_at, coalesce(asked_at, 0)) DESC, id DESC LIMIT 1",
        [name],
    )
    return JobRow(*rows[0]) if rows else None


def spec(store: Store, name: str) -> dict[str, Any] | None:
    """A corpus' spec; None if it was never requested."""
    rows = store.rows("SELECT spec FROM corpora WHERE name = ?", [name])
    return json.loads(rows[0][0]) if rows else None
