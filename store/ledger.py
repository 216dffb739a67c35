"""Queries about registered predictions, with what their runs measured, and about prices of new sources."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.jobs.ledger import RunPrediction, SourcePrice, hash_of
from store.database import Store

FIELDS = tuple(RunPrediction.__dataclass_fields__)
PRICED = tuple(SourcePrice.__dataclass_fields__)


@dataclass(frozen=True)
class Registered:
    """A prediction and its run. t: when it was registered; by: by whom; point (D,), seed, state and fidelity (None: the
    study's own) of the run, losses (M,) once it is done; whole: its hash is that of its content."""

    study: str
    prediction: RunPrediction
    t: float
    by: str | None
    point: np.ndarray
    seed: int | None
    state: str
    fidelity: dict[str, Any] | None
    losses: np.ndarray | None
    whole: bool


def registered(store: Store, study: str | None = None) -> list[Registered]:
    """The predictions for runs of a study, or of all studies, in the order in which they were registered."""
    return store.remembered(("registered", study), lambda: _all_registered(store, study))


def _all_registered(store: Store, study: str | None) -> list[Registered]:
    columns = ", ".join(f"p.{name}" for name in FIELDS)
    rows = store.rows(
        f"SELECT {columns}, p.study, p.t, p.by_whom, r.weights, r.seed, r.state, r.fidelity, r.losses "
        "FROM predictions p JOIN runs r ON r.id = p.run WHERE p.study = $study OR $study IS NULL "
        "ORDER BY p.t, r.number, p.surrogate, p.hash",
        {"study": study},
    )
    return [_registered(dict(zip(FIELDS, row, strict=False)), *row[len(FIELDS) :]) for row in rows]


def _registered(
    values: dict[str, Any],
    study: str,
    t: float,
    by: str | None,
    point: list[float],
    seed: int | None,
    state: str,
    fidelity: str | None,
    losses: list[float | None] | None,
) -> Registered:
    return Registered(
        study,
        RunPrediction(**values),
        t,
        by,
        np.array(point, float),
        seed,
        state,
        json.loads(fidelity) if fidelity else None,
        np.array(losses, float) if state == "done" and losses else None,
        values["hash"] == hash_of(values),
    )


@dataclass(frozen=True)
class Priced:
    """The price of a new source for a study. t: when it was registered; by: by whom; whole: as of Registered."""

    study: str
    price: SourcePrice
    t: float
    by: str | None
    whole: bool


def source_prices(store: Store, study: str | None = None) -> list[Priced]:
    """The prices of new sources for a study, or for all, in the order in which they were registered."""
    rows = store.rows(
        f"SELECT study, t, by_whom, {', '.join(PRICED)} FROM source_prices "
        "WHERE study = $study OR $study IS NULL ORDER BY t, hash",
        {"study": study},
    )
    found = []
    for name, t, by, *values in rows:
        price = dict(zip(PRICED, values, strict=True))
        found.append(Priced(name, SourcePrice(**price), t, by, price["hash"] == hash_of(price)))
    return found
