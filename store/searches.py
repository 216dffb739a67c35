"""Questions about searches."""

import json

from store.database import Store


def of_study(store: Store, study: str) -> list[dict]:
    """What the searches of a study found, latest first: {"job", "settings", "found" (engine.search.Found),
    "t"}."""
    return _latest_first(store, "searches", study)


def of_merges(store: Store, study: str) -> list[dict]:
    """What the searches of a merge study measured best, latest first: {"job", "settings", "found", "t"}."""
    return _latest_first(store, "merge_searches", study)


def learned(store: Store, study: str) -> list[dict]:
    """The merges that a study learned from text, latest first: {"job", "settings", "found", "t"}."""
    return _latest_first(store, "merge_learned", study)


def _latest_first(store: Store, table: str, study: str) -> list[dict]:
    rows = store.rows(f"SELECT job, settings, found, t FROM {table} WHERE study = ? ORDER BY t DESC, job", [study])
    return [
        {"job": job, "settings": json.loads(settings), "found": json.loads(found), "t": t}
        for job, settings, found, t in rows
    ]
