"""The runs of a study as columns and curves."""

from dataclasses import dataclass

import numpy as np

from engine.spec.objectives import Aggregate
from engine.studies.measured import aggregate_of
from store import runs, studies
from store.database import Store


@dataclass(frozen=True)
class RunTable:
    """The runs of a study as columns. shares (R, D); losses (R, M), NaN where there is no result yet.

    score: (R,) the aggregate of the metrics, in the sign people read; `aggregate` has its title and unit.
    """

    columns: dict[str, list]
    shares: np.ndarray
    losses: np.ndarray
    score: np.ndarray
    aggregate: Aggregate


def run_table(store: Store, study: studies.Study, aggregate: Aggregate | None = None) -> RunTable:
    """Every run of a study, by number. aggregate: how metrics are weighted (default: as the study does)."""
    table = runs.table(store, study.id)
    columns = {
        name: table.column(name).to_pylist()
        for name in (
            "id",
            "number",
            "role",
            "label",
            "state",
            "step",
            "steps",
            "seed",
            "tokens",
            "parameters",
            "seconds",
            "job",
            "message",
        )
    }
    shares = runs.matrix(table, "weights", len(study.domains))
    losses = runs.matrix(table, "losses", len(study.metrics))
    aggregate = aggregate or aggregate_of(store, study)
    return RunTable(columns, shares, losses, aggregate.sign * aggregate.of(losses), aggregate)


def training_curves(store: Store, study: studies.Study) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Run number -> (tokens (S,), training loss (S,) in bits per byte)."""
    table = runs.curves(store, study.id)
    if not len(table):
        return {}
    number, tokens, loss = (table.column(name).to_numpy() for name in ("number", "tokens", "loss"))
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    pieces = zip(np.split(tokens, starts[1:]), np.split(loss, starts[1:]), strict=True)
    return {int(number[start]): piece for start, piece in zip(starts, pieces, strict=True)}
