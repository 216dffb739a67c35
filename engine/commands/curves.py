"""Commands on training curves: what runs in training are expected to measure at their end."""

from engine.studies.endings import as_json, endings_of
from engine.studies.measured import aggregate_of
from store import studies
from store.database import Store


def curves(store: Store, name: str, priorities: dict[str, float] | None = None) -> dict:
    """What a study's runs in training are predicted to measure at their end, with 95% intervals, from their losses on
    the way; and how well finished runs are predicted so by the others."""
    study = studies.get(store, name)
    found = endings_of(store, study, aggregate_of(store, study, priorities))
    return {"study": study.id, **as_json(study, found)}


COMMANDS = (curves,)
