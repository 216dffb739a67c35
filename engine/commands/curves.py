"""Commands on training curves: what runs in training are expected to measure at their end, and which were stopped."""

from dataclasses import asdict

from engine.studies.endings import as_json, endings_of
from engine.studies.measured import aggregate_of
from engine.studies.stopping import spared
from store import studies
from store.database import Store


def curves(store: Store, name: str, priorities: dict[str, float] | None = None) -> dict:
    """What a study's runs in training are predicted to measure at their end, with 95% intervals, from their losses on
    the way; and how well finished runs are predicted so by the others, and what stopping runs early has saved."""
    study = studies.get(store, name)
    found = endings_of(store, study, aggregate_of(store, study, priorities))
    saved = spared(store, study)
    stopped = None if saved is None else {**asdict(saved), "note": saved.sentence}
    return {"study": study.id, **as_json(study, found), "stopped": stopped}


COMMANDS = (curves,)
