"""Requests to a merge study: measure a point, search for a better one, write a checkpoint. Uses the store."""

import hashlib
import json
from pathlib import Path

import numpy as np

from engine.core.checks import check, is_number, is_whole, or_null
from engine.core.errors import Problem
from engine.core.people import need, takes
from engine.core.workspace import checked_name
from engine.jobs.runs import run_id
from engine.search.strategies import STRATEGIES
from engine.spec.kinds.merge_search import KnownRuns, MergeSearchSettings, MergeSearchTask
from engine.spec.kinds.merge_write import MergeWriteTask
from engine.spec.merge import OUTSIDE, anatomy_file
from engine.spec.merge_point import merge_file, references
from engine.spec.statistics import SAME_POINT
from engine.spec.study import StudySpec
from engine.spec.tasks import Merging
from engine.studies.housekeeping import LONGEST
from engine.studies.jobs import add_to
from engine.studies.measured import aggregate_of, for_fitting, frame_of_study
from engine.studies.merge_jobs import merge_jobs, merge_settings, merging_of
from engine.studies.questions import Asked, ask_once, checked_limits, job_id_of, limits_in
from engine.surrogates import SURROGATES
from store import runs, studies
from store.database import Store, in_turn

MOST = 100_000  # evaluations of one search


def merge_spec(study: studies.Study) -> StudySpec:
    """The settings of a planned merge study. Raises Problem for any other study."""
    spec = StudySpec.from_dict(study.spec)
    if spec.kind != "merge":
        raise Problem(f"Cannot merge in {study.name!r}: it is a study of mixtures. Choose or start a merge study.")
    if not study.coordinates:
        raise Problem(f"Cannot merge in {study.name!r}: it is not planned yet. Wait until its corpus is built.")
    return spec


def task_of(study: studies.Study, spec: StudySpec) -> Merging:
    """The fields shared by all jobs that measure merges of this study."""
    return merging_of(spec, study.id, study.corpus["experts"], study.coordinates, list(study.corpus["domains"]))


def checked_points(study: studies.Study, points) -> np.ndarray:
    """Points (G, D) as numbers. Raises Problem for anything else."""
    points = np.atleast_2d(np.asarray(points, float))
    if points.shape[1] != len(study.coordinates) or not np.isfinite(points).all():
        raise Problem(
            f"Cannot merge at {points.tolist()}: give one finite number for each of {', '.join(study.coordinates)}."
        )
    return points


def points_of(study: studies.Study, coefficients: list[dict[str, float]]) -> np.ndarray:
    """Points (G, D) of coefficients by name, 0 where absent. Raises Problem if a coordinate is unknown."""
    for one in coefficients:
        if unknown := [name for name in one if name not in study.coordinates]:
            raise Problem(f"Cannot set {unknown[0]!r}: the coordinates here are {', '.join(study.coordinates)}.")
    return checked_points(study, [[one.get(name, 0.0) for name in study.coordinates] for one in coefficients])


@takes("operator", "measure merges")
@in_turn
def measure_points(store: Store, study: studies.Study, points, label: str | None = None) -> list[str]:
    """Queue the measurement of merges at points (G, D); returns the runs' ids. Points that are measured already, or
    queued, are not repeated.

    They may lie outside the study's box. Raises Problem if they are not numbers, or the label is long.
    """
    fine = label is None or 0 < len(label.strip()) <= LONGEST["name"]
    check(fine, label, "the label of a merge", f"1 to {LONGEST['name']} characters")
    spec, points = merge_spec(study), checked_points(study, points)
    there, new = runs.points_of(store, study.id, (*OUTSIDE, "confirm")).reshape(-1, points.shape[1]), []
    for point in points:
        if (np.abs(there - point).max(axis=1) > SAME_POINT).all():
            new.append(point)
            there = np.vstack([there, point])
    if not new:
        raise Problem(
            "Cannot measure that again: these merges are measured already, or wait for it, and would give the same "
            "losses."
        )
    first = runs.last_number(store, study.id) + 1
    rows = [
        {
            "id": run_id(study.id, number),
            "number": number,
            "role": "proposed",
            "label": label,
            "weights": point.tolist(),
            "seed": spec.seed,
        }
        for number, point in enumerate(new, first)
    ]
    planned = merge_jobs(
        spec, study.id, study.corpus["experts"], study.coordinates, list(study.corpus["domains"]), rows
    )
    return add_to(store, study.id, rows, planned)


@takes("operator", "search merges")
@in_turn
def queue_merge_search(
    store: Store,
    study: studies.Study,
    strategy: str = "guided",
    evaluations: int = 128,
    minutes: float = 0,
    surrogate: str = "gp",
    priorities: dict | None = None,
    spread: bool = False,
    seed: int = 0,
    limits: dict[str, float] | None = None,
) -> Asked:
    """Queue a search that measures merges of its own choice. The same request is one job; a
    guided search after further measurements is another.

    strategy: of engine.search.strategies; evaluations: at most so many merges; minutes: of measuring, 0 for no limit;
    surrogate: for guided rounds; priorities: metric -> weight (default: the study's); spread: draw new weights of the
    metrics in every guided round, for a front; limits: metric -> at most so much (a score: at least), which the answer
    keeps on other text with the probability engine.search.limits.SURE. Raises Problem if anything is invalid.
    """
    spec = merge_spec(study)
    check_search(strategy, evaluations, minutes, surrogate, spread, seed)
    frame, known = frame_of_study(study), for_fitting(store, study.id)
    settings = MergeSearchSettings(
        strategy=strategy,
        evaluations=evaluations,
        minutes=minutes,
        surrogate=surrogate,
        seed=seed,
        spread=spread,
        aggregate=aggregate_of(store, study, priorities).to_dict(),
        priorities=priorities or {},
        limits=checked_limits(study, limits),
    )
    learnt = known.fingerprint if strategy == "guided" else ""
    job_id = job_id_of(study, "search-merges", settings.to_dict() | {"learnt": learnt})
    task = MergeSearchTask(
        **task_of(study, spec).to_dict(),
        space=frame.space.to_dict(),
        prior=frame.prior.tolist(),
        settings=settings,
        first=runs.last_number(store, study.id) + 1,
        known=known_runs(store, study, known),
        limits=limits_in(store, study, settings.limits),
    )
    return ask_once(store, job_id, task.spec(**merge_settings(spec, study.id)), study.id)


def known_runs(store: Store, study: studies.Study, known: runs.Measured) -> KnownRuns:
    """The finished runs that a search may learn from."""
    errors = runs.standard_errors(store, study.id, len(study.metrics))
    return KnownRuns(
        weights=known.weights.reshape(-1, len(study.coordinates)).tolist(),
        losses=[or_null(row) for row in known.losses],
        losses_se=[or_null(errors[run]) for run in known.ids],
    )


def check_search(strategy: str, evaluations: int, minutes: float, surrogate: str, spread: bool, seed: int) -> None:
    """Raise Problem unless a search may have these settings: see `queue_merge_search`."""
    if strategy not in STRATEGIES:
        raise Problem(f"Cannot search by {strategy!r}: choose one of {', '.join(STRATEGIES)}.")
    if surrogate not in SURROGATES:
        raise Problem(f"Cannot guide a search by {surrogate!r}: the surrogates are {', '.join(SURROGATES)}.")
    if not is_whole(evaluations, 1, MOST):
        raise Problem(f"Cannot measure {evaluations!r} merges: give a whole number from 1 to {MOST:,}.")
    if not is_number(minutes, 0):
        raise Problem(f"Cannot search for {minutes!r} minutes: give a number of at least 0; 0 sets no limit.")
    if not is_whole(seed, 0):
        raise Problem(f"Cannot use {seed!r} as seed: give a whole number of at least 0.")
    if spread and strategy != "guided":
        raise Problem(f"Cannot spread a search by {strategy!r} over a front: only guided rounds can. Choose guided.")


def queue_write(store: Store, study: studies.Study, point: np.ndarray, name: str) -> Asked:
    """Queue the writing of a merge as a checkpoint into the workspace's exports/; the same request is one job.

    name: of its folder, or of its file if the experts are proxies. Raises Problem if the name is invalid.
    """
    need("operator", "write a merged checkpoint")
    spec, point = merge_spec(study), checked_points(study, point)[0]
    task, root = task_of(study, spec), store.workspace.root
    out = checked_name(name, "merged checkpoint") + ("" if spec.merge.external else ".safetensors")
    text = merge_file(
        spec.merge,
        study.corpus["experts"],
        study.coordinates,
        point,
        references(root, task),
        tensors_of(root, study.id),
    )
    job_id = job_id_of(study, "write", {"file": text, "out": out})
    writing = MergeWriteTask(study=study.id, file=text, out=out)
    return ask_once(store, job_id, writing.spec(), study.id, lacking=not (root / "exports" / out).exists())


def short_hash(point: np.ndarray) -> str:
    """An eight-character hash of a point."""
    return hashlib.sha256(np.round(np.asarray(point, float), 9).tobytes()).hexdigest()[:8]


def tensors_of(root: Path, study: str) -> list[str]:
    """The tensors of a study's models, from its first measured merge; empty before."""
    try:
        return json.loads((root / anatomy_file(study)).read_text())["tensors"]
    except OSError:
        return []
