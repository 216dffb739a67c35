"""A study's fitted surrogate and its named points."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine import surrogates
from engine.core.errors import Problem
from engine.league import League, Standing, held_out_of
from engine.spec.objectives import Aggregate
from engine.studies.measured import aggregate_of, frame_of_study, points_measured
from engine.surrogates import Surrogate
from store import results, reviews, runs, studies
from store.database import Store


@dataclass(frozen=True)
class Fit:
    """The surrogates fitted on a study's runs, and the one in use.

    runs: how many it was fitted to; measured: those runs, in the order of the held-out predictions; folder: of
    the fitted surrogates.
    """

    name: str
    surrogate: Surrogate
    league: League
    fingerprint: str
    measured: runs.Measured
    folder: Path

    @property
    def title(self) -> str:
        return self.surrogate.title

    @property
    def standing(self) -> Standing:
        """The standing of the surrogate in use."""
        return self.league[self.name]

    @property
    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Held-out mean and std (R, M) of the measured runs. Raises Problem."""
        return predictions_of(self.folder, self.name)


BEST_PREDICTED = "best predicted"  # by the latest search
ALSO = {"best": BEST_PREDICTED}  # what commands call a point, too

load = lru_cache(maxsize=32)(surrogates.load)
predictions_of = lru_cache(maxsize=32)(held_out_of)


def fit_of(store: Store, study: studies.Study, name: str | None = None) -> Fit | None:
    """The latest fit of a study with that surrogate (default: the leaderboard's choice); None before the first.

    Raises Problem if the surrogate is unknown, or could not be fitted.
    """
    latest = studies.league(store, study.id)
    if latest is None:
        return None
    league = League.from_dict(latest["league"])
    name = name or league.default
    standing = next((s for s in league.standings if s.name == name), None)
    if standing is None or standing.problem:
        there = ", ".join(s.name for s in league.standings if not s.problem)
        why = standing.problem if standing else "there is none of that name"
        raise Problem(f"Cannot use the surrogate {name!r}: {why}. Choose one of: {there}.")
    folder = store.workspace.surrogates(study.id, latest["fingerprint"])
    measured = runs.measured_at_all_sizes(store, study.id)  # the fit may be of a size that had the most runs before
    behind = measured.take([measured.ids.index(run) for run in latest["run_ids"]])
    return Fit(name, load(folder / f"{name}.npz"), league, latest["fingerprint"], behind, folder)


def named_points(store: Store, study: studies.Study, aggregate: Aggregate | None = None) -> dict[str, np.ndarray]:
    """The named mixtures: the latest search's result, where there are as many runs as a fit needs; the baselines; the
    best measured run.

    whole: the aggregate, by default by the study's own priorities.
    """
    points = dict(frame_of_study(study).baselines)
    if study.done >= study.enough and (found := results.searches(store, study.id)):
        points = {BEST_PREDICTED: np.array(found[0]["found"]["found"]["shares"]), **points}
    measured = points_measured(store, study.id)
    aggregate = aggregate or aggregate_of(store, study)
    if len(measured.ids) and (best := aggregate.best(measured.losses)) is not None:
        points[f"best measured ({measured.ids[best]})"] = measured.weights[best]
    return points


def nominated_points(store: Store, study: studies.Study) -> dict[str, np.ndarray]:
    """The points of a study's candidates by name, newest first."""
    return {one.frozen["name"]: np.array(one.frozen["point"]) for one in reviews.of_study(store, study.id)}


def point_of(store: Store, study: studies.Study, candidate: str) -> np.ndarray:
    """The mixture (D,) of a candidate's name or id, of another name, or of a run's id. Raises Problem if unknown."""
    points = named_points(store, study) | nominated_points(store, study)
    candidate = ALSO.get(candidate, candidate)
    if candidate in points:
        return points[candidate]
    if (found := next((one for one in reviews.of_study(store, study.id) if one.id == candidate), None)) is not None:
        return np.array(found.frozen["point"])
    measured = runs.measured_at_all_sizes(store, study.id)
    if candidate in measured.ids:
        return measured.weights[measured.ids.index(candidate)]
    raise Problem(
        f"Cannot find the candidate {candidate!r} in {study.name!r}: choose one of {', '.join(points)}, or the id of a "
        f"finished run. {BEST_PREDICTED!r} exists after a search on at least "
        f"{study.enough} runs; there are {study.done}."
    )
