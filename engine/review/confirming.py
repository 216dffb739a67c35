"""Confirming a candidate: several seeds beside the baselines, at the study's own size and at a larger one. Uses the
store.
"""

from engine import rounds
from engine.people import acting, need
from store import reviews, studies
from store.database import Store


def plans(store: Store, candidate: str, times: float = 4, seeds: int = 3) -> list[rounds.Plan]:
    """What confirming would train: one plan at the proxies' own size, one `times` as large. Raises Problem as they
    do.
    """
    found = reviews.get(store, candidate)
    study = studies.get(store, found.study)
    return [
        rounds.plan_confirmation(store, study, found.frozen["name"], size, seeds, spread=0)
        for size in dict.fromkeys((1, times))
    ]


def confirm(store: Store, candidate: str, times: float = 4, seeds: int = 3) -> list[str]:
    """Queue it; returns the ids of the new runs, none where all of it was trained before."""
    need("operator", "confirm a candidate")
    found = reviews.get(store, candidate)
    study = studies.get(store, found.study)
    ids = [run for plan in plans(store, candidate, times, seeds) for run in rounds.confirm(store, study, plan)]
    body = {"times": times, "seeds": seeds, "runs": len(ids)}
    store.write("review.added", study=found.study, candidate=found.id, what="confirm", author=acting().name, body=body)
    return ids
