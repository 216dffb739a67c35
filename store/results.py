"""Queries about results of searches, proposals and other jobs, latest first.

Each is {"job", "settings": of the job, "found": its result, "t"}, but for those of harnesses.
"""

import json
from typing import Any

from engine.jobs.events import Result
from engine.spec.kinds.lab import LabMeasured
from engine.spec.kinds.merge_ablation import MergeAblated
from engine.spec.kinds.merge_learn import MergeLearned
from engine.spec.kinds.merge_search import MergeSearchFinished
from engine.spec.kinds.overlap import OverlapCounted
from engine.spec.kinds.propose import ProposalFinished
from engine.spec.kinds.rival import RivalFound
from engine.spec.kinds.search import SearchFinished
from store.database import Store


def of_study(store: Store, study: str, kind: type[Result]) -> list[dict[str, Any]]:
    """The results of one kind of job in a study."""
    rows = store.rows(
        "SELECT job, settings, found, t FROM results WHERE study = ? AND kind = ? ORDER BY t DESC, job",
        [study, kind.kind],
    )
    return [
        {"job": job, "settings": json.loads(settings), "found": json.loads(found), "t": t}
        for job, settings, found, t in rows
    ]


def searches(store: Store, study: str) -> list[dict[str, Any]]:
    """The results of searches on a study's surrogates."""
    return of_study(store, study, SearchFinished)


def proposals(store: Store, study: str) -> list[dict[str, Any]]:
    """The proposals of next runs."""
    return of_study(store, study, ProposalFinished)


def merge_searches(store: Store, study: str) -> list[dict[str, Any]]:
    """The results of a merge study's searches."""
    return of_study(store, study, MergeSearchFinished)


def learned_merges(store: Store, study: str) -> list[dict[str, Any]]:
    """The merges that a study learned from text."""
    return of_study(store, study, MergeLearned)


def merge_ablations(store: Store, study: str) -> list[dict[str, Any]]:
    """What merges of fewer experts and without single modules gave."""
    return of_study(store, study, MergeAblated)


def overlaps(store: Store, study: str) -> list[dict[str, Any]]:
    """What was counted of a study's tasks in its training text."""
    return of_study(store, study, OverlapCounted)


def rivals(store: Store, study: str) -> list[dict[str, Any]]:
    """The mixtures that rivals of a study's answer found."""
    return of_study(store, study, RivalFound)


def labs(store: Store, study: str) -> list[dict[str, Any]]:
    """What the fidelity lab measured."""
    return of_study(store, study, LabMeasured)


def harness(store: Store) -> list[dict[str, Any]]:
    """What lm-evaluation-harness measured: {"job", "study", "model", "tasks", "limit", "t"}, and what it found
    (engine.spec.kinds.harness.HarnessFound)."""
    rows = store.rows(
        "SELECT job, study, model, tasks, most_items, found, t FROM harness_results ORDER BY t DESC, job",
    )
    return [
        {"job": job, "study": study, "model": model, "tasks": tasks, "limit": limit, "t": t, **json.loads(found)}
        for job, study, model, tasks, limit, found, t in rows
    ]
