"""Questions about results: what searches, proposals and other jobs found out."""

import json

from engine.jobs.events import Result
from store.database import Store


def of_study(store: Store, study: str, kind: type[Result]) -> list[dict]:
    """What the jobs of one kind found out in a study, latest first: {"job", "settings", "found", "t"}."""
    rows = store.rows(
        "SELECT job, settings, found, t FROM results WHERE study = ? AND kind = ? ORDER BY t DESC, job",
        [study, kind.kind],
    )
    return [
        {"job": job, "settings": json.loads(settings), "found": json.loads(found), "t": t}
        for job, settings, found, t in rows
    ]
