"""Queries about runs of phases."""

from dataclasses import dataclass

import numpy as np

from store.database import Store


@dataclass(frozen=True)
class Phased:
    """A finished run of phases. weights (D,): of all its tokens; phases (F, D); losses (M,), NaN where missing."""

    id: str
    label: str | None
    weights: np.ndarray
    phases: np.ndarray
    losses: np.ndarray


def phased(store: Store, study: str) -> list[Phased]:
    """The finished runs of a study's phases, in the order of their numbers (engine/spec/phases.py)."""
    return store.remembered(("phased", study), lambda: _phased(store, study))


def _phased(store: Store, study: str) -> list[Phased]:
    rows = store.rows(
        "SELECT id, label, weights, phases, losses FROM runs WHERE study = ? AND role IN ('phased', 'imported') "
        "AND state = 'done' AND phases IS NOT NULL ORDER BY number",
        [study],
    )
    return [Phased(id_, label, *(np.array(values, float) for values in arrays)) for id_, label, *arrays in rows]
