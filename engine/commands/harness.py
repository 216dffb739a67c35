"""Commands on lm-evaluation-harness: run it on a model, list what it measured."""

from engine.commands.jobs import answer_of
from engine.core.people import takes
from engine.studies import harness
from store import results
from store.database import Store


@takes("operator", "run a harness")
def run_harness(store: Store, model: str, tasks: list[str], limit: int | None = None, study: str | None = None) -> dict:
    """Queue a run of lm-evaluation-harness on a model: a folder in checkpoints/ or exports/, or a proxy in experts/.

    tasks: the harness' own, or files in harness/; limit: items of each; study: of a proxy in exports/.
    """
    return answer_of(store, harness.queue_harness(store, model, tasks, limit, study))


def harness_results(store: Store) -> list[dict]:
    """What lm-evaluation-harness measured on models, latest first: scores with standard errors, chance and items."""
    return results.harness(store)


COMMANDS = (
    run_harness,
    harness_results,
)
