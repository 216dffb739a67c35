"""Commands on studies that continue from a saved proxy."""

from engine.studies.measured import aggregate_of
from engine.studies.moments import moment_of
from engine.studies.starts import as_json, changes
from store import studies
from store.database import Store


def since_start(store: Store, name: str, priorities: dict[str, float] | None = None) -> dict:
    """What training from a study's start is predicted to change at its best mixture, metric by metric, with 95%
    intervals: what is learned, and what is forgotten."""
    study = studies.get(store, name)
    moment = moment_of(store, study, aggregate_of(store, study, priorities))
    return {"study": study.id, **as_json(changes(store, moment))}


COMMANDS = (since_start,)
