"""Results of planned runs in a table: a tracker's export, or anybody's, with the runs' ids in some column.

A row per run, or a history with a row per run and step, of which the last, the best or a smoothed value counts.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.core.checks import or_null
from engine.core.errors import Problem
from engine.core.short_names import counted, listed
from engine.importing.layouts import widened
from engine.importing.measured import is_training
from engine.importing.names import core, kind_of, leaf
from engine.importing.reducing import CHOICES, reduced
from engine.importing.run_states import has_ended
from engine.importing.tables import Table
from engine.importing.trackers import unrolled

MOST_POINTS = 5_000  # of a run's curve that are sent; of more, evenly
TRAINING = "RUNNING"


class Wanted(NamedTuple):
    """A metric of the study, and whether higher is better."""

    metric: str
    higher: bool


class Found(NamedTuple):
    """runs: as `submit_runs` takes them; columns: metric -> the column that was read; notes: what was left out."""

    runs: list[dict[str, Any]]
    columns: dict[str, str]
    notes: list[str]


def results_in_table(
    table: Table,
    ids: Collection[str],
    metrics: Sequence[Wanted],
    value: str | None = None,
    given: Mapping[str, str] | None = None,
) -> Found:
    """The results of planned runs (ids) in a table. value: which one of a history counts, of CHOICES; given: metric ->
    its column, where names do not tell.

    Raises Problem where no row is of a planned run, a metric's column cannot be told, or a history's value is not said.
    """
    table, _ = widened(unrolled(table, ids), {})
    run = run_column(table, ids)
    columns = metric_columns(table, metrics, given or {})
    keys = table.keys(run)
    groups = {key: [place for place, one in enumerate(keys) if one == key] for key in dict.fromkeys(keys) if key in ids}
    notes = []
    if others := {key for key in keys if key not in ids}:
        notes.append(
            f"Left out of {table.name}: {counted(len(others), 'run')} that no plan has, such as {min(others)!r}."
        )
    step = next((name for name in table.columns if kind_of(name) == "step" and table.is_numeric(name)), None)
    several = any(len(places) > 1 for places in groups.values())
    if several and step is None:
        raise Problem(f"Cannot read {table.name}: runs have several rows, and no column is called like a step. Add it.")
    if several and value is None:
        options = "; ".join(f"{name}: {text}" for name, text in CHOICES.items())
        raise Problem(f"Cannot tell which row of {table.name} is a run's result. Say which value counts: {options}.")
    made = []
    for name, places in groups.items():
        rows = sorted(places, key=lambda place: table.loose(step)[place]) if step else places
        one = _run(table, name, rows, (step, columns, metrics, value or "last"))
        if one is None:
            notes.append(f"{name} is still in training, by {table.name}: only its curve was taken, where it has one.")
            one = {"run": name, "state": "running"}
        made.append(one | _curve(table, rows, step, columns, one))
    return Found([one for one in made if len(one) > 2 or one.get("state") != "running"], columns, notes)


def run_column(table: Table, ids: Collection[str]) -> str:
    """The column that holds the ids of most rows. Raises Problem where none holds any."""
    counts = {name: sum(key in ids for key in table.keys(name)) for name in table.columns}
    best = max(counts, key=lambda name: counts[name], default=None)
    if best is None or not counts[best]:
        example = next(iter(ids), "none")
        raise Problem(
            f"Cannot find planned runs in {table.name}: no column holds an id such as {example}. Name the runs in the "
            "tracker by their ids, or put the id into their settings."
        )
    return best


def metric_columns(table: Table, metrics: Sequence[Wanted], given: Mapping[str, str]) -> dict[str, str]:
    """Metric -> its column: the one that was given, that is called the same, or as a loss of it. Raises Problem where
    a given one is not there, where several could be meant, and where no metric has one."""
    known = [one.metric for one in metrics]
    if unknown := [name for name in given if name not in known]:
        raise Problem(f"Cannot read {unknown[0]!r}: the metrics of this study are {', '.join(known)}.")
    if missing := [name for name in given.values() if name not in table.columns]:
        raise Problem(
            f"Cannot find the column {missing[0]!r} in {table.name}. It has {listed(list(table.columns), 12)}."
        )
    found = dict(given)
    for name in [one for one in known if one not in given]:
        own = [one for one in table.columns if one == name or table.is_numeric(one)]
        may = [one for one in own if kind_of(one) is None]
        for called in (lambda one: one, leaf, lambda one: core(leaf(one)), core):
            fitting = [one for one in may if called(one).lower() == name.lower() and not is_training(one)]
            if len(fitting) == 1:
                found[name] = fitting[0]
            if len(fitting) > 1:
                raise Problem(f"Cannot tell which column of {table.name} is {name!r}: {listed(fitting)}. Name it.")
            if fitting:
                break
    if not found:
        raise Problem(
            f"Cannot find a metric in {table.name}: none of {listed(known, 6)} is called like a column "
            f"({listed(list(table.columns), 12)}). Name the columns."
        )
    return found


def _run(table: Table, name: str, rows: list[int], how: tuple[Any, ...]) -> dict[str, Any] | None:
    """A run's result from its rows in their order; None where it has not ended."""
    _, columns, metrics, value = how
    states = [one for one in table.columns if kind_of(one) == "state"]
    said = {one: str(table.columns[one][rows[-1]] or "").strip() for one in states}
    verdicts = {one: has_ended(leaf(one), state.lower()) for one, state in said.items() if state}
    if training := [one for one, state in said.items() if state.upper() == TRAINING]:
        verdicts.pop(training[0], None)
        return None
    if failed := [one for one, verdict in verdicts.items() if verdict is False]:
        return {"run": name, "state": "failed", "message": f"{table.name} says {failed[0]} {said[failed[0]]}."}
    higher = {one.metric: one.higher for one in metrics}
    losses = {}
    for metric, column in columns.items():
        cells = table.loose(column)[rows]
        if not np.isnan(cells).all():  # what no row has was not measured
            found = reduced(cells, value, higher[metric])
            (losses[metric],) = or_null([found])
    return {"run": name, "losses": losses}


def _curve(
    table: Table, rows: list[int], step: str | None, columns: dict[str, str], one: dict[str, Any]
) -> dict[str, Any]:
    """The curve of a history: its training loss and metrics by step; tokens where a column tells, else by the last."""
    if step is None or len(rows) < 2:
        return {}
    at = table.loose(step)
    tokens = next((name for name in table.columns if kind_of(name) == "budget" and table.is_numeric(name)), None)
    if tokens is None and "losses" not in one:
        return {}  # before the last one nothing tells the tokens per step
    training = next((name for name in table.columns if is_training(name) and table.is_numeric(name)), None)
    chosen = [rows[i * len(rows) // min(len(rows), MOST_POINTS)] for i in range(min(len(rows), MOST_POINTS))]
    points = []
    for place in chosen:
        point: dict[str, Any] = {"step": int(at[place])}
        if tokens is not None and math.isfinite(table.loose(tokens)[place]):
            point["tokens"] = int(table.loose(tokens)[place])
        if training is not None and not math.isnan(loss := float(table.loose(training)[place])):
            (point["loss"],) = or_null([loss])
        losses = {metric: float(table.loose(column)[place]) for metric, column in columns.items()}
        if all(map(math.isfinite, losses.values())):
            point["losses"] = losses
        if {"loss", "losses"} & set(point):
            points.append(point)
    last = max(int(at[place]) for place in rows)
    return {"curve": points} | ({"steps": last} if last > 0 else {}) if points else {}
