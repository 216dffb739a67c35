"""Schedules of a study with phases: what one is predicted to measure, and the best one. Uses the store.

A schedule is the shares of every phase. What it is predicted to measure is what the surrogate in use predicts of one
mixture with its totals, plus what its order adds. A place is what a run can be trained on: one mixture (D,) throughout,
or a schedule (F, D). F phases, D domains, M metrics.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.analysis.phases import best_order
from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.spec.phases import PLANNED, total_of
from engine.spec.statistics import ci_half_width, lowest, weighted_sum
from engine.studies.measured import frame_of_study
from engine.studies.moments import Moment, moment_of
from engine.studies.phases import SUM, Phases, phased_runs, phases_of, total_in
from engine.studies.points import ALSO, BEST_PREDICTED, candidate_called, named_points, point_of
from engine.surrogates.prediction import Difference, Prediction, difference, predict
from store import studies
from store.database import Store

BEST_SCHEDULE = "best schedule"
ONE_MIXTURE = "one mixture with the same totals"  # that a schedule is compared with
DRAWS, KEPT = 2048, 32  # mixtures that the best schedule's totals are looked for among, and of which orders are tried


@dataclass(frozen=True)
class Schedule:
    """A schedule and its predictions. phases (F, D); one: of one mixture with its totals; change, change_std (M,), and
    of the aggregate: what its order adds, zeros where that is nothing beyond noise."""

    phases: np.ndarray
    one: Prediction
    change: np.ndarray
    change_std: np.ndarray
    aggregate_change: float
    aggregate_change_std: float

    @property
    def aggregate(self) -> float:
        return self.one.aggregate + self.aggregate_change

    @property
    def aggregate_std(self) -> float:
        """Of one run."""
        return float(np.hypot(self.one.aggregate_std, self.aggregate_change_std))


def schedule_at(found: Phases, phases: np.ndarray) -> Schedule:
    """What phases (F, D) are predicted to measure. Raises Problem before the first fit."""
    if found.fit is None:
        raise Problem(f"Cannot predict phases in {found.study.name!r}: nothing is fitted yet. Wait for its first fit.")
    one = predict(found.fit.surrogate, total_of(phases, found.fractions), found.by.weights)
    change, std = np.zeros(len(found.study.metrics) + 1), np.zeros(len(found.study.metrics) + 1)
    if found.order is not None:
        (change,), (std,) = found.order.effect(phases[None])
    return Schedule(phases, one, change[:-1], std[:-1], float(change[-1]), float(std[-1]))


def best_schedule(store: Store, moment: Moment, found: Phases) -> np.ndarray:
    """(F, D) the phases with the lowest predicted aggregate, over totals and orders: one mixture, that of the search in
    use or the prior, where order adds nothing. Raises Problem before the first fit."""
    key = ("best schedule", found.study.id, found.fit and found.fit.name, found.by.weights.tobytes())
    return store.remembered(key, lambda: _best_schedule(moment, found))


def _best_schedule(moment: Moment, found: Phases) -> np.ndarray:
    frame = frame_of_study(found.study)
    start = named_points(moment).get(BEST_PREDICTED, frame.prior)
    if found.order is None or found.fit is None or not found.order.pays:
        return np.repeat(start[None], len(found.fractions), axis=0)
    totals = np.concatenate([start[None], frame.space.draw(frame.prior, DRAWS, np.random.default_rng(0))])
    value = weighted_sum(found.fit.surrogate.mean(totals), found.by.weights)
    kept = np.unique([0, *lowest(value, KEPT)])
    tried = np.stack([best_order(found.order, totals[place]) for place in kept])
    best: np.ndarray = tried[lowest(value[kept] + found.order.mean(tried)[:, -1], 1)[0]]
    return best


def named_schedules(store: Store, moment: Moment) -> dict[str, np.ndarray]:
    """The schedules of a study that have a name, (F, D) each: the best one, where order pays, and the planned one."""
    if not moment.study.spec.get("phases"):
        return {}
    found = phases_of(store, moment)
    best = {BEST_SCHEDULE: best_schedule(store, moment, found)} if found.order and found.order.pays else {}
    return best | {one.label: one.phases for one in phased_runs(store, moment.study) if one.label == PLANNED}


def named_places(store: Store, moment: Moment) -> dict[str, np.ndarray]:
    """The places of a study that have a name: its schedules', and those of `named_points`."""
    return named_schedules(store, moment) | named_points(moment)


def place_of(store: Store, study: studies.Study, name: str) -> np.ndarray:
    """The place of a candidate's name or id, of another name, or of a run's id: (F, D) where it is a schedule. Raises
    Problem if unknown."""
    name = ALSO.get(name, name)
    if (candidate := candidate_called(store, study, name)) is not None:
        return place_in(candidate.frozen)
    schedule = schedule_of(store, study, name)
    return point_of(store, study, name) if schedule is None else schedule


def place_in(frozen: dict[str, Any]) -> np.ndarray:
    """The place of a candidate's frozen record."""
    schedule = frozen.get("schedule")
    return np.array(schedule["phases"] if schedule else frozen["point"], float)


def totals(study: studies.Study, place: np.ndarray) -> np.ndarray:
    """(D,) the shares of all tokens of a place; of a merge, its coefficients."""
    return total_in(study, place) if place.ndim == 2 else place


def compared_with(study: studies.Study, place: np.ndarray) -> dict[str, np.ndarray]:
    """The points (D,) that a place is compared with, by label: of a schedule one mixture with its totals, then the
    study's baselines."""
    own = {ONE_MIXTURE: totals(study, place)} if place.ndim == 2 else {}
    return own | frame_of_study(study).baselines


def predicted_at(store: Store, moment: Moment, place: np.ndarray) -> Prediction:
    """What a run at a place is predicted to measure."""
    if place.ndim == 1:
        return predict(moment.fit.surrogate, place, moment.aggregate.weights)
    at = schedule_at(phases_of(store, moment), place)
    std = np.hypot(at.one.std, at.change_std)
    return Prediction(at.one.shares, at.one.mean + at.change, std, at.aggregate, at.aggregate_std)


def predicted_difference(store: Store, moment: Moment, place: np.ndarray, baseline: np.ndarray) -> Difference:
    """A run at a place minus one of the mixture `baseline` (D,): what its totals change, and what its order adds."""
    by, surrogate = moment.aggregate.weights, moment.fit.surrogate
    if place.ndim == 1:
        return difference(surrogate, place, baseline, by)
    at = schedule_at(phases_of(store, moment), place)
    gap = difference(surrogate, at.one.shares, baseline, by)
    total, std = gap.aggregate + at.aggregate_change, float(np.hypot(gap.aggregate_std, at.aggregate_change_std))
    return replace(
        gap,
        mean=gap.mean + at.change,
        std=np.hypot(gap.std, at.change_std),
        aggregate=total,
        aggregate_std=std,
        inside_noise=abs(total) <= ci_half_width(std),
    )


def schedule_of(store: Store, study: studies.Study, name: str) -> np.ndarray | None:
    """(F, D) the phases of a schedule's name or of a run's id; None where it is neither. Raises Problem for the best
    schedule where order adds nothing: that is one mixture."""
    if not study.spec.get("phases"):
        return None
    if name in (BEST_SCHEDULE, PLANNED):
        moment = moment_of(store, study)
        named = named_schedules(store, moment)
        if name not in named:
            why = phases_of(store, moment).verdict if name == BEST_SCHEDULE else "No run of it is finished."
            raise Problem(f"Cannot use {name!r} of {study.name!r}. {why}")
        return named[name]
    return next((one.phases for one in phased_runs(store, study) if one.id == name), None)


def read_phases(study: studies.Study, asked: list[dict[str, float]]) -> np.ndarray:
    """(F, D) the phases that somebody wrote as shares by domain. Raises Problem where they are none of the study's."""
    count = len(study.spec.get("phases") or ())
    if len(asked) != count:
        raise Problem(f"Cannot read {len(asked)} phases: {study.name!r} has {count}. Give the shares of each.")
    for place, one in enumerate(asked, 1):
        if unknown := [name for name in one if name not in study.domains]:
            raise Problem(f"Cannot read phase {place}: it names {unknown[0]!r}; there are {', '.join(study.domains)}.")
        if not all(is_number(share, 0, 1) for share in one.values()) or abs(sum(one.values()) - 1) > SUM:
            raise Problem(f"Cannot read phase {place}, {one}: shares are from 0 to 1, and sum to 1.")
    phases = np.array([[one.get(name, 0.0) for name in study.domains] for one in asked], float)
    shares: np.ndarray = phases / phases.sum(axis=1, keepdims=True)
    return shares


def epochs_by_phase(study: studies.Study, phases: np.ndarray, fractions: np.ndarray) -> np.ndarray | None:
    """(F, D) passes over each domain's text in each phase of the real run, NaN where it is unknown; None without budget
    or counts."""
    frame = frame_of_study(study)
    if frame.pools is None or not frame.budget:
        return None
    passes: np.ndarray = phases * fractions[:, None] * frame.budget / frame.pools.tokens
    return passes


def schedule_json(found: Phases, at: Schedule) -> dict:
    """A schedule and its predictions, as plain values."""
    study, epochs = found.study, epochs_by_phase(found.study, at.phases, found.fractions)
    named = [dict(zip(study.domains, row.tolist(), strict=True)) for row in at.phases]
    passes = (
        None
        if epochs is None
        else [
            {name: None if np.isnan(one) else float(one) for name, one in zip(study.domains, row, strict=True)}
            for row in epochs
        ]
    )
    metrics = zip(study.metrics, at.one.mean, at.one.std, at.change, at.change_std, strict=True)
    return {
        "phases": named,
        "total": dict(zip(study.domains, at.one.shares.tolist(), strict=True)),
        "epochs": passes,
        "aggregate": at.aggregate,
        "aggregate_std": at.aggregate_std,
        "change": at.aggregate_change,
        "change_std": at.aggregate_change_std,
        "metrics": [
            {
                "metric": name,
                "mean": float(mean + change),
                "std": float(np.hypot(std, off)),
                "change": float(change),
                "change_std": float(off),
            }
            for name, mean, std, change, off in metrics
        ],
    }
