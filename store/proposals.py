"""Questions about proposals: the runs worth doing next."""

from engine.spec.kinds.propose import ProposalFinished
from store import results
from store.database import Store


def of_study(store: Store, study: str) -> list[dict]:
    """Proposals for a study, latest first (store.results)."""
    return results.of_study(store, study, ProposalFinished)


def rounds(store: Store, study: str) -> int:
    """How many rounds of proposed runs were queued in a study: each is one label."""
    return store.rows("SELECT count(DISTINCT label) FROM runs WHERE study = ? AND role = 'proposed'", [study])[0][0]
