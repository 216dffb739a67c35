"""What was frozen with a candidate, as level meters against a baseline. Part of Candidates and Review."""

from dashboard.components.meters import Meter, meters
from dashboard.models.names import named
from dashboard.server import state
from dashboard.views.shared.levels import Ruler, Values, rows_with_total, ruler
from engine.spec.objectives import Aggregate, Objective
from engine.studies.measured import for_fitting
from store import studies


def ruler_of(study: studies.Study, record: dict) -> Ruler:
    """What the meters of a record share: of a candidate (engine/review/freeze.py), or of several compared."""
    objectives = [Objective(**one) for one in record["metrics"]]
    losses = for_fitting(state.store(), study.id).losses
    return ruler(named(record["names"], objectives), Aggregate.from_dict(record["aggregate"]), objectives, losses)


def rows_of(by: Ruler, frozen: dict, baseline: str) -> list[Meter]:
    """The lines of one candidate against one of its baselines."""
    gap = frozen["baselines"][baseline]["difference"]
    return rows_with_total(by, Values.predicted(frozen["predicted"]), Values.predicted(gap), baseline)


def levels(study: studies.Study, frozen: dict, baseline: str, key: str) -> None:
    """The meters of one candidate alone."""
    by = ruler_of(study, frozen)
    meters(rows_of(by, frozen, baseline), by.caption(baseline), key=key)
