"""Questions about proposals: the runs worth doing next."""

import json

from store.database import Store


def of_study(store: Store, study: str) -> list[dict]:
    """Proposals for a study, latest first: {"job", "settings", "found" (engine/search/proposal_job.py), "t"}."""
    rows = store.rows("SELECT job, settings, found, t FROM proposals WHERE study = ? ORDER BY t DESC, job", [study])
    return [
        {"job": job, "settings": json.loads(settings), "found": json.loads(found), "t": t}
        for job, settings, found, t in rows
    ]


def rounds(store: Store, study: str) -> int:
    """How many rounds of proposed runs were queued in a study: each is one label."""
    return store.rows("SELECT count(DISTINCT label) FROM runs WHERE study = ? AND role = 'proposed'", [study])[0][0]
