"""Questions about searches."""

from engine.spec.kinds.merge_learn import MergeLearned
from engine.spec.kinds.merge_search import MergeSearchFinished
from engine.spec.kinds.search import SearchFinished
from store import results
from store.database import Store


def of_study(store: Store, study: str) -> list[dict]:
    """What the searches of a study found, latest first (store.results)."""
    return results.of_study(store, study, SearchFinished)


def of_merges(store: Store, study: str) -> list[dict]:
    """What the searches of a merge study measured best, latest first (store.results)."""
    return results.of_study(store, study, MergeSearchFinished)


def learned(store: Store, study: str) -> list[dict]:
    """The merges that a study learned from text, latest first (store.results)."""
    return results.of_study(store, study, MergeLearned)
