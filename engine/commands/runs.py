"""Commands on single runs: ingest runs posted by external training."""

from engine.core.people import takes
from engine.studies import submissions
from store.database import Store


@takes("operator", "submit runs")
def submit_runs(store: Store, name: str, runs: list[dict]) -> dict:
    """Add runs that were trained elsewhere to a study, by ids of the caller's own: the same run twice is one run."""
    return submissions.submit_runs(store, name, runs)


COMMANDS = (submit_runs,)
