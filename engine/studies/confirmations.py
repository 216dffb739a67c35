"""Confirmations: a candidate, the baselines and a range of runs trained larger, with several seeds. Uses the store."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis import scaling
from engine.analysis.trust import Trust, trust
from engine.core.errors import Problem
from engine.core.people import takes
from engine.spec.fidelity import Fidelity, larger
from engine.spec.statistics import is_same_point, ordered
from engine.spec.study import StudySpec
from engine.studies import rivals as rival_mixtures
from engine.studies.fits import fit_of
from engine.studies.measured import aggregate_of
from engine.studies.moments import Moment, moment_of
from engine.studies.points import ALSO
from engine.studies.schedules import compared_with, place_of, predicted_at, totals
from engine.studies.training import add_runs, trainable
from store import confirm_runs, runs, studies
from store.database import Store, in_turn

ORDINARY = 0.85  # fraction of the runs, best first, that the range is taken from: poor ones would inflate a correlation
CONFIRM_SEED = 5000  # offset of confirmations' seeds from the study's own


@dataclass(frozen=True)
class Plan:
    """A confirmation before it starts: places by label, one mixture (D,) or a schedule (F, D) each, the candidate's
    first; the larger fidelity; seeds per place."""

    mixtures: dict[str, np.ndarray]
    fidelity: Fidelity
    seeds: int

    @property
    def runs(self) -> int:
        return len(self.mixtures) * self.seeds


def plan_confirmation(
    store: Store,
    study: studies.Study,
    candidate: str = "best",
    times: float = 4,
    seeds: int = 3,
    spread: int = 4,
    rivals: Sequence[str] = (),
) -> Plan:
    """Which mixtures to train larger: the candidate (of a schedule its totals, too), the baselines, those that `rivals`
    found (engine/spec/rivals.py), and `spread` measured runs from best to worst.

    times: how many times the weights of a proxy's layers, and its tokens; 1: at the proxies' own size. The spread is
    even in predicted rank, so that a rank correlation has something to rank. Raises Problem if anything is invalid.
    """
    if study.kind == "merge":  # its points are no shares that a model could be trained on
        raise Problem(f"Cannot confirm in {study.name!r}: it is about merges. Confirm one of its candidates instead.")
    fit = fit_of(store, study)
    if fit is None:
        raise Problem(f"Cannot confirm in {study.name!r}: nothing is fitted, so nothing is predicted. {study.way_on}")
    if not 1 <= times <= 64 or not 1 <= seeds <= 20 or not 0 <= spread <= 64:
        raise Problem(
            f"Cannot confirm with {seeds} seeds at {times:g} times the size and a spread of {spread}: use 1 to 20 "
            "seeds, 1 to 64 times the size, and a spread of 0 to 64."
        )
    if times != 1 and trainable(study).start is not None:
        raise Problem(
            f"Cannot confirm at {times:g} times the size: the runs of {study.name!r} begin with a saved proxy of their "
            "own size. Confirm at 1 times the size."
        )
    candidate = ALSO.get(candidate, candidate)
    place = place_of(store, study, candidate)
    mixtures: dict[str, np.ndarray] = {candidate: place}
    measured = fit.measured
    order = ordered(aggregate_of(store, study).of(fit.surrogate.mean(measured.weights)))
    places = np.linspace(0, ORDINARY * (len(order) - 1), spread).round().astype(int)
    others = compared_with(study, place) | labelled(store, study, rivals)
    others |= {measured.ids[i]: measured.weights[i] for i in order[places]}
    for name, point in others.items():
        if not any(is_same_point(point, there) for there in mixtures.values()):
            mixtures[name] = point
    return Plan(mixtures, larger(trainable(study).fidelity, times), seeds)


def labelled(store: Store, study: studies.Study, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The mixtures of rivals by the label of their confirmation: the method's title, with a number where one that it
    found before, by other priorities or a longer recipe, was confirmed already."""
    there = confirm_runs.confirmations(store, study.id)
    found = {}
    for title, point in rival_mixtures.mixtures_of(store, study, names).items():
        label, number = title, 1
        while any(one.label == label and not is_same_point(one.weights, point) for one in there):
            number += 1
            label = f"{title} ({number})"
        found[label] = point
    return found


@takes("operator", "confirm mixtures")
@in_turn
def confirm(store: Store, study: studies.Study, plan: Plan) -> list[str]:
    """Queue the training of a plan, with the same seeds for every mixture; returns the new runs' ids.

    Runs that an earlier confirmation trained or queued are not trained again.
    """
    first = StudySpec.from_dict(study.spec).seed + CONFIRM_SEED
    alive = ("planned", "running", "done")
    there = [one for one in confirm_runs.confirmations(store, study.id, schedules=True) if one.state in alive]
    there = [one for one in there if one.fidelity == plan.fidelity.to_dict()]
    rows = [
        {
            "role": "confirm",
            "label": name,
            "weights": totals(study, place).tolist(),
            "phases": place.tolist() if place.ndim == 2 else None,
            "seed": first + seed,
        }
        for name, place in plan.mixtures.items()
        for seed in range(plan.seeds)
        if not any(one.seed == first + seed and is_same_point(one.place, place) for one in there)
    ]
    return add_runs(store, study, rows, plan.fidelity) if rows else []


@dataclass(frozen=True)
class Confirmation:
    """The results so far of one fidelity's confirmation.

    names, places (P): its mixtures (D,) and schedules (F, D); predicted, predicted_std (P,): their aggregates by the
    surrogate in use, at the proxies' size; trust: None while results are missing, as `waiting` says. done, lost,
    runs: how many of its runs are done, ended without a measurement, and there are.
    """

    fidelity: Fidelity
    names: list[str]
    places: list[np.ndarray]
    predicted: np.ndarray
    predicted_std: np.ndarray
    trust: Trust | None
    waiting: str | None
    done: int
    lost: int
    runs: int


def confirmations(
    store: Store, study: studies.Study, surrogate: str | None = None, priorities: dict | None = None
) -> list[Confirmation]:
    """Every confirmation of a study, the largest models first, compared with the surrogate's predictions."""
    moment = moment_of(store, study, aggregate_of(store, study, priorities), surrogate)
    by_size: dict[tuple, list[confirm_runs.Confirmed]] = {}
    for run in confirm_runs.confirmations(store, study.id, schedules=True):
        by_size.setdefault(tuple(sorted(run.fidelity.items())), []).append(run)
    found = [_confirmation(store, moment, rows) for rows in by_size.values()] if moment.fit else []
    return sorted(found, key=lambda one: -one.fidelity.flops(256))


def _confirmation(store: Store, moment: Moment, rows: list[confirm_runs.Confirmed]) -> Confirmation:
    labels = list(dict.fromkeys(run.label for run in rows))
    done = {name: [run for run in rows if run.label == name and run.losses is not None] for name in labels}
    names = [name for name in labels if done[name]]
    places = [done[name][0].place for name in names]
    seen = [predicted_at(store, moment, place) for place in places]
    predicted, std = (np.array([getattr(one, field) for one in seen]) for field in ("aggregate", "aggregate_std"))
    measured = [np.array([moment.aggregate.of(run.losses) for run in done[name]]) for name in names]
    try:
        verdict, waiting = trust(predicted, std, measured, chosen=0), None
    except Problem as problem:
        verdict, waiting = None, str(problem)
    fidelity = Fidelity.from_dict(rows[0].fidelity)
    count = sum(len(values) for values in measured)
    lost = sum(run.state in ("failed", "cancelled", "diverged", "refused") for run in rows)
    return Confirmation(fidelity, names, places, predicted, std, verdict, waiting, count, lost, len(rows))


def scale_check(store: Store, study: studies.Study, priorities: dict | None = None) -> scaling.Check:
    """The joint law over shares and fidelity, checked at the largest size. Raises Problem if there is only one size."""
    weights, fidelity, losses = runs.sizes(store, study.id)
    known = ~np.isnan(fidelity).any(axis=1)
    aggregate = aggregate_of(store, study, priorities)
    return scaling.check(weights[known], fidelity[known], losses[known], aggregate.weights)
