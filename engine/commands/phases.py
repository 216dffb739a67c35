"""Commands on phases: whether their order matters, and what a schedule is predicted to measure."""

from dataclasses import asdict

from engine.studies import phases as of_phases
from engine.studies import schedules
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
    measured = [asdict(one) for one in of_phases.measured_in_phases(store, found)]
    answer = {"study": study.id, **of_phases.as_json(found), "measured": measured}
    wanted = {} if schedule is None else {"asked": schedules.read_phases(study, schedule)}
    if found.fit is not None:
        wanted["best"] = schedules.best_schedule(store, moment, found)
    predicted = {which: schedules.schedule_at(found, shares) for which, shares in wanted.items()}
    return answer | {which: schedules.schedule_json(found, one) for which, one in predicted.items()}


COMMANDS = (phases,)
