"""Views of a study's finished runs: its frame, its aggregate, the runs that surrogates learn from, their noise.

Uses the store.
"""

from dataclasses import dataclass, replace

import numpy as np

from engine.core.errors import Problem
from engine.spec.frame import Frame, frame_of
from engine.spec.merge import OUTSIDE, REFERENCE
from engine.spec.objectives import Aggregate, aggregate
from engine.spec.statistics import ordered
from engine.spec.study import StudySpec
from engine.studies.means import mean_of
from store import runs, studies
from store.database import Store

FEWEST = 2  # degrees of freedom behind a noise that is worth telling


def check_planned(study: studies.Study) -> None:
    """Raises Problem if the study's domains are not known yet."""
    if not study.coordinates:
        raise Problem(f"Cannot use {study.name!r} yet: it is not planned. Wait until its corpus is built.")


def frame_of_study(study: studies.Study) -> Frame:
    """The prior, constraints and baselines of a study that is planned or imported.

    Raises Problem for any other, and where what is kept of it is damaged.
    """
    check_planned(study)
    try:
        return frame_of(StudySpec.from_dict(study.spec), study.coordinates, study.corpus, study.imported)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise Problem(
            f"Cannot use {study.name!r}: the record of its domains and text is damaged ({type(error).__name__}: "
            f"{error}). Start it again under another name; its runs stay."
        ) from error


def aggregate_of(store: Store, study: studies.Study, priorities: dict[str, float] | None = None) -> Aggregate:
    """The aggregate of the study's metrics, by its own priorities or others. Metrics of different units are divided by
    their spread over the runs of the latest fit, so that what it predicts stays one number while runs come in.

    Raises Problem if the study is not planned yet: its metrics are unknown.
    """
    check_planned(study)
    return aggregate_over(study, learned(store, study.id), priorities)


def aggregate_over(
    study: studies.Study, measured: runs.Measured, priorities: dict[str, float] | None = None
) -> Aggregate:
    """The same, over runs that are given. Where means are relative (engine/studies/means.py), losses are divided by
    those of the natural mixture, once some run has measured it."""
    mean, reference = mean_of(study, priorities), None
    if mean.relative:
        prior = frame_of_study(study).prior
        at = np.abs(measured.weights - prior).max(axis=1, initial=0) < 1e-6
        found = measured.losses[at]
        found = found[np.isfinite(found).all(axis=1)]
        reference = found.mean(axis=0) if len(found) else None
    return aggregate(study.objectives, measured.losses, priorities, reference, mean.note(reference is not None))


def aggregate_in(store: Store, study: studies.Study, search: dict) -> Aggregate:
    """How a search weighed the metrics (version 0.1 did not record it: it was the plain mean)."""
    settings = search["settings"]
    if "aggregate" in settings:
        return Aggregate.from_dict(settings["aggregate"])
    return aggregate_of(store, study, settings["priorities"])


def for_fitting(store: Store, study: str) -> runs.Measured:
    """The runs that surrogates learn from: the points of the space without repeats, which measure the noise: one in the
    training folds would leak the answer for its duplicate in the test fold.
    """
    measured = points_measured(store, study)
    learnt = measured.take([i for i, role in enumerate(measured.roles) if role != "repeat"])
    return replace(learnt, beside=tuple(one.id for one in runs.dosed(store, study)))


def learned(store: Store, study: str, fingerprint: str | None = None) -> runs.Measured:
    """The runs that a fit learned from (default: the latest); before the first, those that it would learn from."""
    latest = studies.league(store, study)
    if fingerprint is None and latest is None:
        return for_fitting(store, study)
    known = set(latest["run_ids"] if fingerprint is None else studies.fitted_runs(store, study).get(fingerprint, ()))
    there = runs.measured_at_all_sizes(store, study)  # the fit may be of a size that had the most runs before
    return there.take([row for row, run in enumerate(there.ids) if run in known])


def points_measured(store: Store, study: str) -> runs.Measured:
    """The finished runs that are points of the study's space: all but a merge study's experts and references."""
    measured = runs.measured(store, study)
    return measured.take([i for i, role in enumerate(measured.roles) if role not in OUTSIDE])


def reference_runs(measured: runs.Measured, by: Aggregate) -> dict[str, int]:
    """The reference merges: label -> its row among the measured runs; better ones first."""
    found = {
        label: row
        for row, (role, label) in enumerate(zip(measured.roles, measured.labels, strict=True))
        if role in ("baseline", REFERENCE) and np.isfinite(measured.losses[row]).all()
    }
    labels, rows = list(found), list(found.values())
    return {labels[i]: rows[i] for i in ordered(by.of(measured.losses[rows]))}


@dataclass(frozen=True)
class Noise:
    """The noise of an aggregate between runs of one mixture. freedom: degrees of freedom behind it."""

    std: float
    freedom: int


def noise_floor(measured: runs.Measured) -> np.ndarray | None:
    """(M,) standard deviation of each metric over runs of one mixture, pooled over all mixtures with several runs.

    In the metrics' units; None where fewer than 2 runs repeat another one.
    """
    found = _between_repeats(measured.weights, measured.losses)
    return None if found is None else found[0]


def aggregate_noise(measured: runs.Measured, by: Aggregate) -> Noise | None:
    """The same of an aggregate."""
    return noise_of_groups(measured.weights, by.of(measured.losses)) if len(measured.ids) else None


def noise_of_groups(weights: np.ndarray, values: np.ndarray) -> Noise | None:
    """The noise of values (R,) between runs of equal weights (R, D); None where too few are equal."""
    found = _between_repeats(weights, values[:, None])
    return None if found is None else Noise(float(found[0][0]), found[1])


def _between_repeats(weights: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, int] | None:
    """(M,) standard deviation of values (R, M) over runs of equal weights (R, D), and its degrees of freedom; None
    under FEWEST."""
    if not len(weights):
        return None
    mixtures = np.unique(np.round(weights, 6), axis=0, return_inverse=True)[1].ravel()
    squares, degrees = np.zeros(values.shape[1]), 0
    for mixture in np.flatnonzero(np.bincount(mixtures) > 1):
        own = values[mixtures == mixture]
        if np.isfinite(own).all():
            squares += ((own - own.mean(axis=0)) ** 2).sum(axis=0)
            degrees += len(own) - 1
    return (np.sqrt(squares / degrees), degrees) if degrees >= FEWEST else None
