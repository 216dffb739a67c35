"""The sizes of a study's runs, and its predictions at a size: of a larger model, or of more tokens.

Uses the store. Confirmations count here: they are runs of the study at other sizes.
"""

from dataclasses import asdict
from functools import lru_cache

import numpy as np

from engine.analysis.sizes import AtSize, Sizes
from engine.core.errors import Problem
from engine.spec.sizes import notes_on_sizes, own_size, sizes_of
from store import runs, studies
from store.database import Store


def has_sizes(store: Store, study: studies.Study) -> bool:
    """Whether the finished runs of a mixture study are of several sizes."""
    try:
        return study.kind == "mixture" and len(sizes_of(runs.sizes(store, study.id)[1])[0]) > 1
    except Problem:  # sizes in two units
        return False


def notes(store: Store, study: studies.Study) -> list[str]:
    """What has to be known of the sizes of the runs that surrogates of shares learn from; nothing for one size."""
    return notes_on_sizes(runs.own_fidelity(store, study.id), study.size) if study.kind == "mixture" else []


def summary(store: Store, study: studies.Study, parameters: float | None = None, tokens: float | None = None) -> dict:
    """{"sizes": [{"parameters", "tokens", "runs", "in_use": surrogates of shares take these}], "notes"}.

    notes: of the sizes, or of predictions at the one that is named; then raises Problem as `at` does.
    """
    asked = parameters is not None or tokens is not None
    said = list(at(store, study, parameters, tokens).notes) if asked else notes(store, study)
    try:
        found, own = (sizes_of(one)[0] for one in (runs.sizes(store, study.id)[1], runs.own_fidelity(store, study.id)))
    except Problem:  # in two units: the notes say so
        return {"sizes": [], "notes": said}
    place = own_size(own, study.size)
    used = own[place].place if place >= 0 else None
    return {"sizes": [{**asdict(one), "in_use": one.place == used} for one in found], "notes": said}


def at(store: Store, study: studies.Study, parameters: float | None, tokens: float | None) -> AtSize:
    """Predictions at a size. Raises Problem where the study's runs do not tell of it."""
    return over_sizes(store, study).at(parameters, tokens)


def over_sizes(store: Store, study: studies.Study) -> Sizes:
    """What all finished runs of a mixture study tell of sizes, fitted once for the same runs. Raises Problem."""
    if study.kind != "mixture":
        raise Problem(f"Cannot predict at a size with {study.name!r}: merges have the size of the models merged.")
    weights, fidelity, losses = runs.sizes(store, study.id)
    if not len(weights):
        raise Problem(f"Cannot predict at a size with {study.name!r}: none of its runs is done. {study.way_on}")
    signs = [-1.0 if one.higher_is_better else 1.0 for one in study.objectives]
    return _fitted(len(weights), *(array.tobytes() for array in (weights, fidelity, losses)), tuple(signs))


@lru_cache(maxsize=8)
def _fitted(count: int, weights: bytes, fidelity: bytes, losses: bytes, signs: tuple[float, ...]) -> Sizes:
    """The fit to runs whose arrays have these bytes."""
    arrays = (np.frombuffer(content).reshape(count, -1) for content in (weights, fidelity, losses))
    return Sizes.fit(*arrays, np.array(signs))
