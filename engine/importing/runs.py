"""Checked runs from one or two tables: joined, normalised, refused with row and column named, or taken whole."""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import short_names
from engine.importing.mapping import Mapping
from engine.importing.points import read_points
from engine.importing.tables import Table
from engine.spec.objectives import spreads

FEWEST = 3  # values that a metric needs before anything can be fitted to it
RULED = 100.0  # times the spread of another metric of its unit, from which on one metric rules the mean


@dataclass(frozen=True)
class ImportedRuns:
    """weights (R, D), values (R, M) with NaN where unmeasured; keys: what names each run in its file.

    seeds, parameters, tokens: R whole numbers each, or None where no column tells; notes: what was done and what
    to beware of, in sentences; unseen: domains whose share is 0 in every run.
    """

    mapping: Mapping
    keys: list[str]
    weights: np.ndarray
    values: np.ndarray
    seeds: list[int] | None
    parameters: list[int] | None
    tokens: list[int] | None
    notes: tuple[str, ...]
    unseen: tuple[str, ...]


def read_runs(mapping: Mapping, weights: Table, metrics: Table | None = None) -> ImportedRuns:
    """The runs of one flat table, or of a pair joined on the mapping's key.

    Raises Problem, naming row and column, for: bad shares (see read_points), duplicated keys, keys without a partner
    in the other file, non-numbers, a metric that never varies or was measured in under 3 runs, two runs that are the
    same in every value, and fewer than two domains.
    """
    if len(mapping.weights) < 2:
        raise Problem(
            f"Cannot import {weights.name}: a mixture needs at least two domains, and it has "
            f"{', '.join(mapping.weights) or 'none'}. Name more columns of shares."
        )
    shares, normalised = read_points(weights, mapping.weights)
    second = weights if metrics is None else metrics
    order = _joined(mapping.key, weights, metrics) if mapping.key else np.arange(len(weights))
    values = np.stack([second.numbers(one.metric, missing=True) for one in mapping.objectives], axis=1)
    _check_metrics(mapping, second, values)
    values = values[order]
    seeds, parameters, tokens = (
        _whole(column, weights, second, order) for column in (mapping.seed, mapping.model_size, mapping.n_tokens)
    )
    _refuse_copies(weights, shares, values, seeds, parameters, tokens)
    keys = weights.keys(mapping.label or mapping.key) if mapping.key or mapping.label else [""] * len(weights)
    unseen = tuple(np.array(list(mapping.weights))[(shares == 0).all(axis=0)].tolist())
    notes = _notes(mapping, shares, values, normalised, unseen, parameters, tokens)
    return ImportedRuns(mapping, keys, shares, values, seeds, parameters, tokens, notes, unseen)


def _joined(key: str, weights: Table, metrics: Table | None) -> np.ndarray:
    """For each row of the weights the row of its metrics."""
    places = _places(weights, key)
    if metrics is None:
        return np.arange(len(weights))
    partners = _places(metrics, key)
    for one, its, other in ((weights, places, partners), (metrics, partners, places)):
        if alone := [name for name in its if name not in other]:
            beside = metrics.name if one is weights else weights.name
            raise Problem(
                f"Cannot import {one.row(its[alone[0]])}, column {key!r}: {alone[0]!r} has no partner in {beside} "
                f"({len(alone)} such rows). Add it there, or leave the row out."
            )
    return np.array([partners[name] for name in places])


def _places(table: Table, key: str) -> dict[str, int]:
    """Key -> row. Raises Problem for an empty key and for one that stands twice."""
    places: dict[str, int] = {}
    for place, name in enumerate(table.keys(key)):
        if not name:
            raise Problem(f"Cannot import {table.row(place)}, column {key!r}: it is empty. Every run needs a key.")
        if name in places:
            raise Problem(
                f"Cannot import {table.row(place)}, column {key!r}: {name!r} already stands in "
                f"{table.row(places[name])}. Every key must be there once."
            )
        places[name] = place
    return places


def _check_metrics(mapping: Mapping, table: Table, values: np.ndarray) -> None:
    for one, column in zip(mapping.objectives, values.T, strict=True):
        measured = column[np.isfinite(column)]
        if len(measured) < min(FEWEST, len(column)):
            raise Problem(
                f"Cannot import column {one.metric!r} of {table.name}: it was measured in {len(measured)} runs, and "
                f"{FEWEST} are the fewest that say anything. Leave the column out."
            )
        if len(measured) > 1 and np.ptp(measured) == 0:
            raise Problem(
                f"Cannot import column {one.metric!r} of {table.name}: it is {measured[0]:g} in every run from "
                f"{table.row(0)} on, and a metric that never varies says nothing of mixtures. Leave the column out."
            )


def _whole(column: str | None, weights: Table, second: Table, order: np.ndarray) -> list[int] | None:
    """A column of whole numbers of at least 0 from either table, in the order of the weights."""
    if column is None:
        return None
    table = second if column in second.columns else weights
    if column not in table.columns:
        raise Problem(f"Cannot find a column {column!r} in {weights.name} or {second.name}. Name another one.")
    found = table.numbers(column)
    wrong = np.flatnonzero((found < 0) | (found != np.round(found)) | (found > 2**62))
    if len(wrong):
        raise Problem(
            f"Cannot import {table.row(wrong[0])}, column {column!r}: {found[wrong[0]]:g} is not a whole number of at "
            "least 0. Fix it, or name another column."
        )
    return [int(x) for x in (found[order] if table is second else found)]


def _refuse_copies(table: Table, shares, values, *facts) -> None:
    """Raise Problem for a run that repeats another one in every value: it would pass for a measurement of its own."""
    columns = [shares, np.nan_to_num(values, nan=-np.inf)]
    columns += [np.array(fact, float)[:, None] for fact in facts if fact is not None]
    seen: dict[bytes, int] = {}
    for place, row in enumerate(np.concatenate(columns, axis=1)):
        if (first := seen.setdefault(row.tobytes(), place)) != place:
            raise Problem(
                f"Cannot import {table.row(place)}: it is the same as {table.row(first)} in every share and metric. "
                "A run counts once: remove one of them."
            )


def _notes(mapping, shares, values, normalised, unseen, parameters, tokens) -> tuple[str, ...]:
    """What was done and what to beware of."""
    runs, domains = shares.shape
    notes = []
    if normalised:
        notes.append(f"The shares of {_counted(normalised)} did not sum to 1 exactly and were normalised.")
    if runs < 5:
        notes.append(f"Too few runs ({runs}) for cross-validation, which takes 5: nothing can be fitted yet.")
    if runs < domains:
        notes.append(
            f"Fewer runs ({runs}) than domains ({domains}): predictions will be little better than the mean. "
            f"{3 * (domains + 1)} runs are enough for the smooth laws."
        )
    elif runs < 3 * (domains + 1):
        notes.append(f"{_counted(runs)} of {domains} domains: the smooth laws want {3 * (domains + 1)}.")
    if unseen:
        notes.append(
            f"{', '.join(unseen)}: the share is 0 in every run, so nothing is known of it, and no search proposes it."
        )
    repeats = runs - len(np.unique(np.round(shares, 6), axis=0))
    if repeats:
        notes.append(f"Repeats of another run's mixture: {_counted(repeats)}. They measure the noise.")
    if gaps := int(np.isnan(values).any(axis=1).sum()):
        notes.append(f"Without some metric: {_counted(gaps)}. Each metric is fitted to the runs that have it.")
    for what, numbers in (("model sizes", parameters), ("token budgets", tokens)):
        if numbers and len(set(numbers)) > 1:
            notes.append(f"The runs are of {len(set(numbers))} {what}; the surrogates take them as one.")
    return (*notes, *_ruled(mapping, values))


def _counted(runs: int) -> str:
    return "1 run" if runs == 1 else f"{runs:,} runs"


def _ruled(mapping, values) -> list[str]:
    """A warning where one metric's spread drowns the others of its unit in a plain mean."""
    units = {(one.unit, one.higher_is_better) for one in mapping.objectives}
    spread = spreads(values)
    largest, least = int(spread.argmax()), int(spread.argmin())
    if len(units) > 1 or spread[largest] < RULED * spread[least]:
        return []
    names = short_names([one.metric for one in mapping.objectives])
    return [
        f"Wildly different scales: {names[largest]} varies {spread[largest] / spread[least]:,.0f} times as much as "
        f"{names[least]} and rules the plain mean. Turn its priority down."
    ]
