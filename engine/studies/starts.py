"""Starts of studies that continue from a saved proxy: whether one fits, and what training from it changed. Uses the
store. M metrics."""

from dataclasses import asdict, dataclass

import numpy as np

from engine.core.errors import Problem
from engine.spec.starts import check_start, study_of
from engine.spec.statistics import ci_half_width
from engine.spec.study import StudySpec
from engine.studies.moments import Moment
from engine.studies.points import BEST_PREDICTED, named_points
from engine.surrogates.prediction import predict
from store import corpora, studies
from store.database import Store
from store.starts import measured_start


def check_fits(store: Store, spec: StudySpec, manifest: dict) -> None:
    """Raise Problem unless a study's start, where it has one, is of its proxies' architecture and its corpus'
    tokenizer."""
    if spec.start is None or spec.fidelity is None:
        return
    check_start(store.workspace.root, spec.start, spec.fidelity, manifest["tokenizer"]["vocabulary"])
    name = study_of(spec.start)
    trained = next((one for one in studies.all_studies(store) if one.id == name), None)
    corpus = trained and trained.spec["corpus"]
    if corpus and not _same_tokenizer(store, corpus, spec.corpus):
        raise Problem(
            f"Cannot begin with {spec.start}: it was trained on the corpus {corpus!r}, whose tokenizer is not that of "
            f"{spec.corpus!r}. Build this corpus with that tokenizer."
        )


def _same_tokenizer(store: Store, one: str, other: str) -> bool:
    if one == other:
        return True
    first, second = (corpora.manifest(store, name) for name in (one, other))
    if first is None or second is None:  # it was deleted: the vocabulary's size has been compared
        return True
    files = [store.workspace.root / "corpora" / name / "tokenizer.json" for name in (one, other)]
    own, theirs = (file.read_bytes() if file.exists() else b"" for file in files)
    return first["tokenizer"] == second["tokenizer"] and own == theirs


@dataclass(frozen=True)
class Change:
    """What training from the start changed in one metric: the start as measured, what is predicted of a run of the best
    mixture, and half of that prediction's 95% interval. gap: predicted minus start; beyond: that is more than the
    interval."""

    metric: str
    start: float
    predicted: float
    half: float
    gap: float
    beyond: bool


def changes(store: Store, moment: Moment) -> tuple[str, list[Change]]:
    """The name of the mixture, and each metric's change there. Raises Problem where the study begins with random
    weights, or the start is not measured, or nothing predicted yet."""
    study = moment.study
    if not study.spec.get("start"):
        raise Problem(f"Cannot tell what training changed in {study.name!r}: its runs begin with random weights.")
    started = measured_start(store, study.id)
    if started is None or moment.fit is None:
        what = "its start is not measured" if started is None else "nothing is fitted"
        raise Problem(f"Cannot tell what training changed in {study.name!r}: {what} yet. {study.way_on}")
    points = named_points(moment)
    name = BEST_PREDICTED if BEST_PREDICTED in points else next(iter(points))
    here = predict(moment.fit.surrogate, points[name], moment.aggregate.weights)
    half = ci_half_width(here.std)
    gap = here.mean - started
    rows = zip(study.metrics, started, here.mean, half, gap, np.abs(gap) > half, strict=True)
    return name, [Change(metric, *map(float, told), bool(beyond)) for metric, *told, beyond in rows]


def as_json(found: tuple[str, list[Change]]) -> dict:
    """The same as plain values."""
    return {"mixture": found[0], "changes": [asdict(one) for one in found[1]]}
