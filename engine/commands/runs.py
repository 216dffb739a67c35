"""Commands on single runs: ingest runs posted by external training."""

from engine.core.people import need
from engine.studies import submissions
from store.database import Store


def submit_runs(store: Store, name: str, runs: list[dict]) -> dict:
    """Add runs that were trained elsewhere to a study, by ids of the caller's own: the same run twice is one run."""
    need("operator", "submit runs")
    return submissions.submit_runs(store, name, runs)


COMMANDS = (submit_runs,)
