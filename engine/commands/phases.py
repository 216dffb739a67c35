"""Commands on phases: whether their order matters, and what a schedule is predicted to measure."""

from engine.studies import phases as of_phases
from engine.studies.measured import aggregate_of
from engine.studies.moments import moment_of
from store import studies
from store.database import Store


def phases(
    store: Store,
    name: str,
    schedule: list[dict[str, float]] | None = None,
    priorities: dict[str, float] | None = None,
) -> dict:
    """Whether the order of a study's phases matters, and the best schedule; schedule: the shares of every phase, which
    are predicted too."""
    study = studies.get(store, name)
    moment = moment_of(store, study, aggregate_of(store, study, priorities))
    found = of_phases.phases_of(store, moment)
    answer = {"study": study.id, **of_phases.as_json(found)}
    wanted = {} if schedule is None else {"asked": of_phases.read_phases(study, schedule)}
    if found.fit is not None:
        wanted["best"] = of_phases.best_schedule(store, moment, found)
    predicted = {which: of_phases.schedule_at(found, shares) for which, shares in wanted.items()}
    return answer | {which: of_phases.schedule_json(found, one) for which, one in predicted.items()}


COMMANDS = (phases,)
