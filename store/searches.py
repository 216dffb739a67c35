"""Questions about searches."""

import json

from store.database import Store


def of_study(store: Store, study: str) -> list[dict]:
    """What the searches of a study found, latest first: {"job", "settings", "found" (engine.search.Found),
    "t"}."""
    rows = store.rows("SELECT job, settings, found, t FROM searches WHERE study = ? ORDER BY t DESC, job", [study])
    return [
        {"job": job, "settings": json.loads(settings), "found": json.loads(found), "t": t}
        for job, settings, found, t in rows
    ]
