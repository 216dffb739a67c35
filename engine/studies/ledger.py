"""The ledger: what was predicted of runs before they were measured, against what they measured. Uses the store.

Predictions are registered before a run is trained, or, where it was trained elsewhere, before it enters any fit; where
its mixture was nominated, with what the candidate's author was told then. D coordinates, M metrics.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.analysis.explain import support
from engine.core.checks import or_null
from engine.jobs.ledger import PredictionsRegistered, RunPrediction, hash_of
from engine.spec.objectives import Aggregate
from engine.spec.statistics import SAME_POINT, Z80, Z95, is_same_point, weighted_sum
from engine.studies.fits import Fit, fit_of
from engine.studies.measured import aggregate_of, frame_of_study
from engine.studies.schedules import place_in
from engine.surrogates.prediction import difference, predict
from store import confirm_runs, ledger, reviews, studies
from store.database import Store
from store.ledger import Registered

MANY = 16  # different points: with more, and for the frequent posts of runs, only the surrogate in use predicts


def register(store: Store, study: studies.Study, rows: list[dict[str, Any]]) -> None:
    """Write down what is predicted of runs {"id", "role", "weights"} that are about to be added to a study.

    By every surrogate fitted so far, and by the candidates that were nominated at their points. Nothing before the
    first fit.
    """
    fit = fit_of(store, study)
    if fit is None or not rows:
        return
    aggregate = aggregate_of(store, study)
    reference = next(iter(frame_of_study(study).baselines.values()))
    points = np.unique(np.array([row["weights"] for row in rows], float).round(9), axis=0)
    predictions = _frozen(store, study, rows)
    known = {(one["run"], one["surrogate"], one["fit"]) for one in predictions}
    few = len(points) <= MANY and all(row["role"] != "submitted" for row in rows)
    for by in [fit, *_others(store, study, fit)] if few else [fit]:
        seen: dict[bytes, dict[str, Any] | None] = {}
        for row in rows:
            if row.get("phases") is not None:  # a surrogate knows one mixture throughout; a candidate may know more
                continue
            point = np.array(row["weights"], float)
            key = point.round(9).tobytes()
            if key not in seen:
                seen[key] = _predicted(by, point, np.asarray(reference, float), aggregate)
            if (said := seen[key]) is not None and (row["id"], by.name, by.fingerprint) not in known:
                predictions.append({"run": row["id"], "origin": row["role"], **said})
    if predictions:
        store.write(PredictionsRegistered(study.id, [RunPrediction(hash=hash_of(one), **one) for one in predictions]))


def _others(store: Store, study: studies.Study, fit: Fit) -> list[Fit]:
    """The other surrogates of a fit that are saved."""
    names = [one.name for one in fit.league.standings if not one.problem and one.name != fit.name]
    found = [fit_of(store, study, name) for name in names if (fit.folder / f"{name}.npz").exists()]
    return [one for one in found if one is not None]


def _predicted(fit: Fit, point: np.ndarray, reference: np.ndarray, aggregate: Aggregate) -> dict[str, Any] | None:
    """What a surrogate says of one run at a point (D,), and of its difference to a run at the reference (D,).

    None where it has no number to give.
    """
    here, near = predict(fit.surrogate, point, aggregate.weights), support(point[None], fit.measured.weights)
    if not np.isfinite([here.aggregate, here.aggregate_std]).all():
        return None
    prediction = {
        "surrogate": fit.name,
        "fit": fit.fingerprint,
        "weights": aggregate.weights.tolist(),
        "mean": or_null(here.mean),
        "std": or_null(here.std),
        "aggregate": here.aggregate,
        "aggregate_std": here.aggregate_std,
        "distance": float(near.distance[0]),
        "place": near.badge[0],
    }
    if np.abs(point - reference).max() < SAME_POINT:
        return prediction
    gap = difference(fit.surrogate, point, reference, aggregate.weights)
    return prediction | {"reference": reference.tolist(), "gap": gap.aggregate, "gap_std": gap.aggregate_std}


def _frozen(store: Store, study: studies.Study, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What candidates nominated at these runs' points were told: their frozen predictions."""
    found = []
    for candidate in reviews.of_study(store, study.id):
        frozen = candidate.frozen
        base = next(iter(frozen["baselines"].values()))
        place = place_in(frozen)
        there = [row for row in rows if is_same_point(np.array(row.get("phases") or row["weights"], float), place)]
        apart = not is_same_point(place_in(base), place)
        gap = {
            "reference": base["point"],
            "gap": base["difference"]["aggregate"],
            "gap_std": base["difference"]["aggregate_std"],
        }
        found += [
            {
                "run": row["id"],
                "origin": row["role"],
                "surrogate": frozen["surrogate"]["name"],
                "fit": frozen["surrogate"]["runs_hash"],
                "weights": frozen["aggregate"]["weights"],
                **{name: frozen["predicted"][name] for name in ("mean", "std", "aggregate", "aggregate_std")},
                **(gap if apart else {}),
                "candidate": candidate.id,
                "predicted_by": frozen["author"],
                "predicted_at": frozen["put_at"],
            }
            for row in there
        ]
    return found


# What came of them -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A prediction and what its run measured.

    of: "aggregate" at the proxies' own size, "difference" to the reference at another size, whose level no prediction
    for proxies knows. predicted, std, measured: of that; error: predicted minus measured, below 0 where the prediction
    was optimistic. None while the run, or the reference, is not measured.
    """

    registered: Registered
    of: str
    predicted: float | None
    std: float | None
    measured: float | None

    @property
    def error(self) -> float | None:
        return None if self.measured is None or self.predicted is None else self.predicted - self.measured

    @property
    def deviations(self) -> float | None:
        """Measured minus predicted in standard deviations of the prediction: above 0 where it was optimistic."""
        return None if self.error is None or not self.std else -self.error / self.std


def entries(store: Store, study: str | None = None) -> list[Entry]:
    """Every registered prediction of a study, or of all, with what is known of it now; the latest last."""
    found = ledger.registered(store, study)
    own = {one.id: one.spec.get("fidelity") for one in studies.all_studies(store)}
    confirmed = {name: confirm_runs.confirmations(store, name) for name in {one.study for one in found}}
    return [_entry(one, confirmed[one.study], own[one.study]) for one in found if one.study in own]


def _entry(one: Registered, confirmed: list[confirm_runs.Confirmed], fidelity: dict[str, Any] | None) -> Entry:
    said = one.prediction
    weights = np.array(said.weights)
    total = None if one.losses is None else _total(one.losses, weights)
    if one.fidelity is None or one.fidelity == fidelity:
        return Entry(one, "aggregate", said.aggregate, said.aggregate_std, total)
    if said.reference is None:
        return Entry(one, "difference", None, None, None)
    same = [
        other
        for other in confirmed
        if other.losses is not None
        and other.fidelity == one.fidelity
        and np.abs(other.weights - said.reference).max() < SAME_POINT
    ]
    paired = [other for other in same if other.seed == one.seed] or same
    bases = [base for other in paired if (base := _total(other.losses, weights)) is not None]
    known = total is not None and bases
    return Entry(one, "difference", said.gap, said.gap_std, total - float(np.mean(bases)) if known else None)


def _total(losses: np.ndarray, weights: np.ndarray) -> float | None:
    """The aggregate of losses (M,), None where one that counts is missing."""
    return or_null([weighted_sum(losses, weights)])[0]


@dataclass(frozen=True)
class Record:
    """What came of many predictions. name: of the surrogate, or of the place; runs, points: measured ones, and how
    many different points they are of; in_80, in_95: the fraction inside the intervals; optimism: the mean of measured
    minus predicted in standard deviations of the prediction, each point counted once; half: of its 95% interval, None
    with one point; claims: the optimism is beyond that."""

    name: str
    runs: int
    points: int
    in_80: float
    in_95: float
    optimism: float
    half: float | None

    @property
    def claims(self) -> bool:
        return self.half is not None and abs(self.optimism) > self.half


def records(found: list[Entry], by: str) -> list[Record]:
    """What came of measured predictions by "surrogate", "place" (of the point among the runs) or "origin"."""
    groups: dict[str, list[Entry]] = {}
    for one in found:
        if one.deviations is not None:
            groups.setdefault(getattr(one.registered.prediction, by) or "unknown", []).append(one)
    return [_record(name, group) for name, group in sorted(groups.items())]


def _record(name: str, group: list[Entry]) -> Record:
    from scipy.special import stdtrit

    off = np.array([one.deviations for one in group])
    keys = [(one.registered.study, one.registered.point.round(6).tobytes()) for one in group]
    points = [np.mean([x for x, other in zip(off, keys, strict=True) if other == key]) for key in dict.fromkeys(keys)]
    count = len(points)
    half = float(stdtrit(count - 1, 0.975) * np.std(points, ddof=1) / np.sqrt(count)) if count > 1 else None
    inside = [float((np.abs(off) <= z).mean()) for z in (Z80, Z95)]
    runs = len({one.registered.prediction.run for one in group})
    return Record(name, runs, count, *inside, float(np.mean(points)), half)
