"""Questions about results: what searches, proposals and other jobs found out, latest first.

Each is {"job", "settings": the question, "found": the answer, "t"}.
"""

import json
from typing import Any

from engine.jobs.events import Result
from engine.spec.kinds.merge_learn import MergeLearned
from engine.spec.kinds.merge_search import MergeSearchFinished
from engine.spec.kinds.propose import ProposalFinished
from engine.spec.kinds.search import SearchFinished
from store.database import Store


def of_study(store: Store, study: str, kind: type[Result]) -> list[dict[str, Any]]:
    """What the jobs of one kind found out in a study."""
    rows = store.rows(
        "SELECT job, settings, found, t FROM results WHERE study = ? AND kind = ? ORDER BY t DESC, job",
        [study, kind.kind],
    )
    return [
        {"job": job, "settings": json.loads(settings), "found": json.loads(found), "t": t}
        for job, settings, found, t in rows
    ]


def searches(store: Store, study: str) -> list[dict[str, Any]]:
    """What the searches on a study's surrogates found."""
    return of_study(store, study, SearchFinished)


def proposals(store: Store, study: str) -> list[dict[str, Any]]:
    """The runs that were proposed to be done next."""
    return of_study(store, study, ProposalFinished)


def merge_searches(store: Store, study: str) -> list[dict[str, Any]]:
    """What the searches of a merge study measured best."""
    return of_study(store, study, MergeSearchFinished)


def learned_merges(store: Store, study: str) -> list[dict[str, Any]]:
    """The merges that a study learned from text."""
    return of_study(store, study, MergeLearned)
