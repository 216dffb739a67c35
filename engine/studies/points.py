"""The points of a study that have a name. Uses the store."""

import numpy as np

from engine.core.errors import Problem
from engine.studies.measured import frame_of_study
from engine.studies.moments import Moment, moment_of
from store import reviews, runs, studies
from store.database import Store

BEST_PREDICTED = "best predicted"  # by the search in use
BEST_MEASURED = "best measured"
ALSO = {"best": BEST_PREDICTED}  # what commands call a point, too


def named_points(moment: Moment) -> dict[str, np.ndarray]:
    """The result of the search in use, where there are as many runs as a fit needs; the baselines; the best measured
    run. Both are the best by the moment's priorities."""
    points = dict(frame_of_study(moment.study).baselines)
    if moment.enough and moment.search is not None:
        points = {BEST_PREDICTED: np.array(moment.search["found"]["found"]["shares"]), **points}
    if moment.best is not None:
        points[best_measured(moment)] = moment.measured.weights[moment.best]
    return points


def best_measured(moment: Moment) -> str:
    """What every page calls the best measured run."""
    return f"{BEST_MEASURED} ({moment.best_run})"


def nominated_points(store: Store, study: studies.Study) -> dict[str, np.ndarray]:
    """The points of a study's candidates by name, newest first."""
    return {one.frozen["name"]: np.array(one.frozen["point"]) for one in reviews.of_study(store, study.id)}


def candidate_called(store: Store, study: studies.Study, name: str) -> reviews.Candidate | None:
    """The study's candidate of a name or id, the newest first."""
    there = reviews.of_study(store, study.id)
    return next((one for one in there if name in (one.id, one.frozen["name"])), None)


def point_of(store: Store, study: studies.Study, candidate: str) -> np.ndarray:
    """The mixture (D,) of a candidate's name or id, of another name, or of a run's id, by the study's own priorities.

    Raises Problem if unknown.
    """
    moment = moment_of(store, study)
    points = named_points(moment) | nominated_points(store, study)
    candidate = ALSO.get(candidate, candidate)
    if candidate in points:
        return points[candidate]
    if (found := candidate_called(store, study, candidate)) is not None:
        return np.array(found.frozen["point"])
    measured = runs.measured_at_all_sizes(store, study.id)
    if candidate in measured.ids:
        return measured.weights[measured.ids.index(candidate)]
    raise Problem(
        f"Cannot find the candidate {candidate!r} in {study.name!r}: choose one of {', '.join(points)}, or the id of a "
        f"finished run. {BEST_PREDICTED!r} exists after a search by the study's own priorities on at least "
        f"{study.enough} runs; there are {moment.study.done}."
    )
