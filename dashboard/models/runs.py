"""The runs of a study as columns and curves."""

from dataclasses import dataclass

import numpy as np

from engine.spec.objectives import BITS, TOKEN_NATS, Aggregate
from engine.studies.measured import aggregate_of
from store import runs, studies
from store.database import Store


@dataclass(frozen=True)
class RunTable:
    """The runs of a study as columns. weights (R, D): the points; losses (R, M), NaN where there is no result yet.

    score: (R,) the aggregate of the metrics, in the sign people read; `aggregate` has its title and unit.
    """

    columns: dict[str, list]
    weights: np.ndarray
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
            "device",
            "job",
            "message",
        )
    }
    weights = runs.matrix(table, "weights", len(study.coordinates))
    losses = runs.matrix(table, "losses", len(study.metrics))
    aggregate = aggregate or aggregate_of(store, study)
    return RunTable(columns, weights, losses, aggregate.sign * aggregate.of(losses), aggregate)


def gaps(finished: np.ndarray, metrics: list[str], counted: np.ndarray, title: str, imported: bool) -> list[str]:
    """Which metrics (M,) some finished runs lack, of losses (R, M), why, and what follows for these runs: sentences.

    counted: (M,) which count in the aggregate of that title.
    """
    there, said = np.isfinite(finished), []
    why = "the file has no number there" if imported else "nothing finite was measured"
    for name, number, counts in zip(metrics, there.sum(axis=0), counted, strict=True):
        if number == len(finished):
            continue
        lack = "all" if not number else f"{len(finished) - number:,} of"
        follows = f": these have no {title}, in which it counts" if counts else ""
        shown = "" if number else ", so it has no column and no axis here"
        said.append(f"{name} is missing in {lack} {len(finished):,} finished runs ({why}){shown}{follows}.")
    return said


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """A running mean (S,) in which each value before counts `weight` of the next; it starts at the first value."""
    total, counted, found = 0.0, 0.0, np.empty(len(values))
    for place, value in enumerate(values):
        total, counted = weight * total + value, weight * counted + 1
        found[place] = total / counted
    return found


def best_so_far(score: np.ndarray, better: str) -> np.ndarray:
    """(R,) the best of the scores up to each run, in their order; better: "lower" or "higher"."""
    return (np.minimum if better == "lower" else np.maximum).accumulate(score)


def training_unit(study: studies.Study) -> str:
    """The unit of the losses of training curves: that of the domains' losses."""
    return TOKEN_NATS if any(one.unit == TOKEN_NATS for one in study.objectives) else BITS


def training_curves(
    store: Store, study: studies.Study, numbers: list[int] | None = None
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Run number -> (tokens (S,), training loss (S,) in bits per byte); of these runs, or of some of each part."""
    table = runs.curves(store, study.id, numbers=numbers)
    if not len(table):
        return {}
    number, tokens, loss = (table.column(name).to_numpy() for name in ("number", "tokens", "loss"))
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    pieces = zip(np.split(tokens, starts[1:]), np.split(loss, starts[1:]), strict=True)
    return {int(number[start]): piece for start, piece in zip(starts, pieces, strict=True)}
