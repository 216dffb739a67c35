"""The frozen record of a candidate: its point, its predictions and their source, and the baselines. Uses the store.

D coordinates, F phases, M metrics. All of it is plain JSON and never changes, whatever is measured or fitted later:
later results are in engine/review/evidence.py.
"""

import hashlib
import json
import platform
import time
from importlib import metadata

import numpy as np

from engine import VERSION
from engine.analysis import explain
from engine.core.errors import Problem
from engine.search import plain
from engine.space.baselines import epochs
from engine.space.broken import broken
from engine.space.simplex import Simplex
from engine.spec.frame import Frame
from engine.studies.fits import Fit
from engine.studies.levels import as_lists
from engine.studies.measured import aggregate_of, frame_of_study
from engine.studies.moments import Moment, moment_of
from engine.studies.phases import Phases, phases_of
from engine.studies.schedules import compared_with, predicted_at, predicted_difference, schedule_at, totals
from engine.surrogates.prediction import Prediction
from store import studies
from store.database import Store

FORM = 1  # version of the record; a newer one is refused
FAR = "It is extrapolated: it is farther from every run than runs are from each other."  # also read from old records
PACKAGES = ("numpy", "scipy", "scikit-learn", "lightgbm", "torch")  # that surrogates and proxies depend on


def freeze(
    store: Store,
    study: studies.Study,
    place: np.ndarray,
    about: dict,
    surrogate: str | None = None,
    priorities: dict | None = None,
) -> str:
    """The frozen text of a candidate. place: a point (D,) of the study's space, or a schedule (F, D); about: {"name",
    "rationale", "author"}.

    surrogate: by default the leaderboard's choice; priorities: override the study's own.
    Raises Problem before the first fit, and if the place is invalid.
    """
    frame, aggregate = frame_of_study(study), aggregate_of(store, study, priorities)
    moment = moment_of(store, study, aggregate, surrogate)
    if (fit := moment.fit) is None:
        raise Problem(f"Cannot nominate {about['name']!r}: nothing is predicted in {study.name!r} yet. {study.way_on}")
    place = checked_place(study, frame, place, about["name"])
    known = phases_of(store, moment) if place.ndim == 2 else None
    point, schedule = totals(study, place), None if known is None else schedule_record(known, place)
    record = {
        "form": FORM,
        **about,
        "put_at": time.time(),
        "study": study.id,
        "study_name": study.name,
        "kind": "mixture" if isinstance(frame.space, Simplex) else "merge",
        "names": list(frame.space.names),
        "levels": as_lists(study),
        "point": point.tolist(),
        "schedule": schedule,
        "metrics": plain_metrics(study),
        "aggregate": aggregate.to_dict(),
        "predicted": predicted(fit, predicted_at(store, moment, place)),
        "surrogate": behind(fit),
        "baselines": beside(store, moment, place),
        "corpus": study.spec["corpus"],
        "fidelity": study.spec["fidelity"],
        "budget": frame.budget,
        "epoch_cap": study.spec["epoch_cap"],
        "available": frame.available,
        "merge": study.spec.get("merge"),
        "experts": (study.corpus or {}).get("experts"),
        "caveats": caveats(study, frame, fit, point) + ([] if known is None else in_phases(known)),
        "versions": versions(),
    }
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def plain_metrics(study: studies.Study) -> list[dict]:
    """The study's objectives, in the order of every list of losses."""
    return [plain(one) for one in study.objectives]


def versions() -> dict[str, str]:
    """Versions of Mixdesk, Python and the packages that results depend on."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"mixdesk": VERSION, "python": platform.python_version(), **found}


def checked_place(study: studies.Study, frame: Frame, place: np.ndarray, name: str) -> np.ndarray:
    """A point (D,) of the study's space, its constraints aside, or a schedule (F, D) of its phases. Raises Problem for
    anything else."""
    place = np.asarray(place, float)
    if place.ndim != 2:
        return checked_point(frame, place, name)
    count = len(study.spec.get("phases") or ())
    if len(place) != count:
        raise Problem(f"Cannot nominate {name!r}: it has {len(place)} phases, and {study.name!r} has {count}.")
    return np.stack([checked_point(frame, phase, name) for phase in place])


def schedule_record(known: Phases, phases: np.ndarray) -> dict:
    """The phases (F, D) of a candidate, and what their order adds to the prediction of one mixture: "change",
    "change_std" (M,), "aggregate_change", "aggregate_change_std"."""
    at = schedule_at(known, phases)
    return {
        "fractions": known.fractions.tolist(),
        "phases": phases.tolist(),
        "change": at.change.tolist(),
        "change_std": at.change_std.tolist(),
        "aggregate_change": at.aggregate_change,
        "aggregate_change_std": at.aggregate_change_std,
    }


def in_phases(known: Phases) -> list[str]:
    """What to know of a candidate that is a schedule, in sentences."""
    return [f"It is a schedule of {len(known.fractions)} phases: its point is the totals of all phases.", known.verdict]


def checked_point(frame: Frame, point: np.ndarray, name: str) -> np.ndarray:
    """A point (D,) of the study's space, its constraints aside. Raises Problem for anything else."""
    names = frame.space.names
    point = np.asarray(point, float)
    if point.shape != (len(names),) or not np.isfinite(point).all():
        raise Problem(f"Cannot nominate {name!r}: it takes one number for each of {', '.join(names)}.")
    if not isinstance(frame.space, Simplex):
        return point
    if (point < -1e-6).any() or abs(point.sum() - 1) > 1e-3:
        raise Problem(
            f"Cannot nominate {name!r}: its shares sum to {point.sum():.4g}, and the lowest is {point.min():.4g}. "
            "Shares are at least 0 and sum to 1."
        )
    point = np.maximum(point, 0)
    return point / point.sum()


def predicted(fit: Fit, here: Prediction) -> dict:
    """The predicted results of a run: mean and std (M,), noise (M,): the part of std from a run's own noise."""
    return {
        "mean": here.mean.tolist(),
        "std": here.std.tolist(),
        "aggregate": here.aggregate,
        "aggregate_std": here.aggregate_std,
        "noise": (fit.surrogate.scale * np.sqrt(fit.surrogate.noise)).tolist(),
    }


def behind(fit: Fit) -> dict:
    """The surrogate and its runs, by their hashes; its held-out score."""
    digest = hashlib.sha256((fit.folder / f"{fit.name}.npz").read_bytes()).hexdigest()
    return {
        "name": fit.name,
        "title": fit.title,
        "sha256": digest,
        "runs": len(fit.measured.ids),
        "runs_hash": fit.fingerprint,
        "held_out_spearman": fit.standing.mean_spearman,
    }


def beside(store: Store, moment: Moment, place: np.ndarray) -> dict[str, dict]:
    """Every baseline: its point, its predictions, and the candidate minus it, as two measured runs differ. Of a
    schedule, the one mixture with its totals is one."""
    found: dict[str, dict] = {}
    for name, baseline in compared_with(moment.study, place).items():
        change = predicted_difference(store, moment, place, np.asarray(baseline, float))
        found[name] = {
            "point": change.baseline.shares.tolist(),
            "mean": change.baseline.mean.tolist(),
            "std": change.baseline.std.tolist(),
            "aggregate": change.baseline.aggregate,
            "aggregate_std": change.baseline.aggregate_std,
            "difference": {
                "mean": change.mean.tolist(),
                "std": change.std.tolist(),
                "aggregate": change.aggregate,
                "aggregate_std": change.aggregate_std,
                "inside_noise": change.inside_noise,
            },
        }
    return found


def lost_runs(study: studies.Study) -> list[str]:
    """A sentence where runs of the study failed or were cancelled."""
    if not study.lost:
        return []
    return [f"{study.lost} of the study's {study.runs} runs failed or were cancelled: it is without them."]


def caveats(study: studies.Study, frame: Frame, fit: Fit, point: np.ndarray) -> list[str]:
    """Reasons to doubt the predictions, in sentences."""
    found = []
    if study.spec["fidelity"] and study.kind == "merge":
        found.append("Its experts are proxies. Merges of larger models may differ.")
    elif study.spec["fidelity"]:
        found.append("Predictions hold at proxy size. Larger models may differ: confirm it first.")
    if explain.support(point[None], fit.measured.weights).badge[0] == explain.EXTRAPOLATED:
        found.append(FAR)
    if isinstance(frame.space, Simplex) and (beyond := broken(frame.space, point)):
        found.append(f"It violates the study's constraints (bounds, groups or the epoch cap): {'; '.join(beyond)}.")
    elif not frame.space.contains(point[None])[0]:
        found.append("It violates the study's constraints.")
    if len(fit.measured.ids) < study.enough:
        found.append(f"It is based on {len(fit.measured.ids)} runs, and a fit needs about {study.enough}.")
    found += lost_runs(study)
    if study.imported:
        found.append("Its runs were imported; Mixdesk did not see their training.")
    elif study.external:
        found.append("Its runs were trained elsewhere; predictions hold at their size.")
    if frame.pools is not None and frame.pools.unknown:
        found.append(f"How much text there is of {', '.join(frame.pools.unknown)} is unknown, and so are its epochs.")
    if frame.available is not None and frame.budget:
        seen = epochs(point, frame.available, frame.budget)
        cap = study.spec["epoch_cap"] + 1e-9
        if over := [name for name, value in zip(frame.space.names, seen, strict=True) if value > cap]:
            found.append(f"At the target budget the epoch cap would be exceeded by {', '.join(over)}.")
    return found
