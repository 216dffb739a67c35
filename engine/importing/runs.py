"""Checked runs from one or two tables: joined, normalised, refused with row and column named, or taken whole."""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import counted, listed, short_names
from engine.importing.columns import varied_settings
from engine.importing.harness_table import error_column
from engine.importing.mapping import Mapping
from engine.importing.measured import FEWEST
from engine.importing.names import impossible
from engine.importing.points import read_points
from engine.importing.reading import Reading
from engine.importing.tables import Table
from engine.spec.objectives import deviations
from engine.spec.sizes import facts, notes_on_sizes

Facts = list[int | None] | None  # of each run, where a column tells them
FAR = 100.0  # interquartile ranges from the median, from which on a value is told
RULED = 100.0  # times the spread of another metric of its unit, from which on one metric rules the mean


@dataclass(frozen=True)
class ImportedRuns:
    """weights (R, D), values (R, M) with NaN where unmeasured; errors (R, M): standard errors of the values, NaN where
    one is not known, or None where no file tells; keys: what names each run in its file.

    seeds, parameters, tokens: R whole numbers each (None for a seed that is not known), or None where no column tells;
    notes: what was done and what to know about it, in sentences; unseen: domains whose share is 0 in every run; phases
    (R, F, D): the shares of each phase, and fractions (F,) of the tokens, or None.
    """

    mapping: Mapping
    keys: list[str]
    weights: np.ndarray
    values: np.ndarray
    errors: np.ndarray | None
    seeds: Facts
    parameters: Facts
    tokens: Facts
    notes: tuple[str, ...]
    unseen: tuple[str, ...]
    phases: np.ndarray | None = None
    fractions: tuple[float, ...] = ()


def read_runs(reading: Reading) -> ImportedRuns:
    """The runs of what was read.

    Raises Problem, naming row and column, for: bad shares (see read_points), non-numbers, a metric that never varies
    or was measured in under 3 runs, and two runs that are the same in every value.
    """
    mapping, weights = reading.mapping, reading.weights
    shares, done = read_points(weights, mapping.weights, mapping.scale)
    second = weights if reading.metrics is None else reading.metrics
    values = np.stack([second.numbers(one.metric, missing=True) for one in mapping.objectives], axis=1)
    errors = _errors(mapping, second)
    _check_metrics(mapping, second, values)
    seeds = _whole(mapping.seed, weights, second, missing=True)
    parameters, tokens = (_whole(column, weights, second) for column in (mapping.model_size, mapping.n_tokens))
    _refuse_copies(weights, shares, values, seeds, parameters, tokens)
    named = mapping.label or mapping.key
    keys = weights.keys(named) if named else [""] * len(weights)
    unseen = tuple(np.array(list(mapping.weights))[(shares == 0).all(axis=0)].tolist())
    settings = varied_settings(reading.columns, reading.weights, reading.metrics)
    notes = (*reading.notes, *_left_out(reading), *done, *_notes(mapping, shares, values, unseen, parameters, tokens))
    notes += (*_far_off(mapping, second, values), *_too_low(mapping, second, values))
    told = (*notes, *settings)
    phases = None if reading.phases is None else reading.phases.read(weights)
    fractions = () if reading.phases is None else reading.phases.fractions
    return ImportedRuns(
        mapping, keys, shares, values, errors, seeds, parameters, tokens, told, unseen, phases, fractions
    )


def _errors(mapping: Mapping, table: Table) -> np.ndarray | None:
    """(R, M) standard errors of the metrics, NaN where one is not known; None where none is."""
    columns = [error_column(one.metric) for one in mapping.objectives]
    if not table.told or not any(name in table.columns for name in columns):
        return None
    unknown = np.full(len(table), np.nan)
    return np.stack([table.numbers(name, True) if name in table.columns else unknown for name in columns], axis=1)


def _left_out(reading: Reading) -> list[str]:
    """Notes on rows that were left out."""
    return [f"Left out: {one}." for one in reading.dropped]


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


def _whole(column: str | None, weights: Table, second: Table, missing: bool = False) -> Facts:
    """A column of whole numbers of at least 0 from either table, None for empty cells where `missing` allows them."""
    if column is None:
        return None
    table = second if column in second.columns else weights
    found = table.whole_numbers(column, missing)
    return [None if np.isnan(x) else int(x) for x in found]


def _refuse_copies(table: Table, shares: np.ndarray, values: np.ndarray, *facts: Facts) -> None:
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


def _notes(
    mapping: Mapping, shares: np.ndarray, values: np.ndarray, unseen: tuple[str, ...], parameters: Facts, tokens: Facts
) -> tuple[str, ...]:
    """What was done, and warnings."""
    runs, domains = shares.shape
    different = len(np.unique(np.round(shares, 6), axis=0))
    notes = []
    if runs < 5:
        notes.append(f"Too few runs ({runs}) for cross-validation, which takes 5: nothing can be fitted yet.")
    what = "runs" if different == runs else "different mixtures"
    if different == 1 < runs:
        one = [f"{name} {share:.4g}" for name, share in zip(mapping.weights, shares[0].tolist(), strict=True)]
        notes.append(f"All runs are of one mixture ({listed(one, 6)}): they say nothing of any other. Add others.")
    elif different < domains:
        notes.append(
            f"Fewer {what} ({different}) than domains ({domains}): predictions will be little better than the mean. "
            f"{3 * (domains + 1)} runs are enough for the smooth laws."
        )
    elif different < 3 * (domains + 1):
        many = counted(different, what.removesuffix("s"))
        notes.append(f"{many} of {domains} domains: the smooth laws want {3 * (domains + 1)}.")
    if unseen:
        notes.append(
            f"{', '.join(unseen)}: the share is 0 in every run, so nothing is known of it, and no search proposes it."
        )
    notes += _repeats(shares, parameters, tokens)
    lost = dict(zip([one.metric for one in mapping.objectives], np.isnan(values).sum(axis=0).tolist(), strict=True))
    if missing := [f"{name} in {counted(count, 'run')}" for name, count in lost.items() if count]:
        notes.append(
            f"Empty cells: {listed(missing)}. Each metric is fitted to the runs that have it, and a run without one "
            "that counts has no mean."
        )
    notes += notes_on_sizes(facts(parameters, tokens, runs))
    return (*notes, *_ruled(mapping, values))


def _repeats(shares: np.ndarray, parameters: Facts, tokens: Facts) -> list[str]:
    """Notes on runs that share a mixture: of the same size and budget they measure the noise, of others they do not."""
    facts = [np.array(fact, float)[:, None] for fact in (parameters, tokens) if fact is not None]
    same = len(shares) - len(np.unique(np.round(shares, 6), axis=0))
    noise = len(shares) - len(np.unique(np.concatenate([np.round(shares, 6), *facts], axis=1), axis=0))
    notes = [f"Repeats of another run's mixture: {counted(noise, 'run')}. They measure the noise."] if noise else []
    if same > noise:
        notes.append(f"The mixture of another run at another size or budget: {counted(same - noise, 'run')}.")
    return notes


def _far_off(mapping: Mapping, table: Table, values: np.ndarray) -> list[str]:
    """A note on values so far from all others of their metric that one run would rule every fit."""
    notes = []
    for one, column in zip(mapping.objectives, values.T, strict=True):
        low, middle, high = np.nanpercentile(column, (25, 50, 75))
        if far := np.flatnonzero(np.abs(column - middle) > FAR * (high - low)).tolist() if high > low else []:
            rows = listed([f"{column[place]:.4g} in {table.row(place)}" for place in far], 4)
            text = f"{one.metric} is {rows}. Leave out what diverged."
            notes.append(f"Far from all other runs, whose median is {middle:.4g}: {text}")
    return notes


def _too_low(mapping: Mapping, table: Table, values: np.ndarray) -> list[str]:
    """A note on values that no model has: text costs some bits, and no error or accuracy is below 0."""
    notes = []
    for one, column in zip(mapping.objectives, values.T, strict=True):
        if low := np.flatnonzero(column <= impossible(one.metric)).tolist():
            rows = listed([f"{column[place]:.4g} in {table.row(place)}" for place in low], 4)
            kind = "score" if one.higher_is_better else "loss or error"
            notes.append(f"No {kind} can be so low: {one.metric} is {rows}. Leave out what did not finish.")
    return notes


def _ruled(mapping: Mapping, values: np.ndarray) -> list[str]:
    """A warning where one metric's spread drowns the others of its unit in a plain mean."""
    units = {(one.unit, one.higher_is_better) for one in mapping.objectives}
    spread = deviations(values)
    largest, least = int(spread.argmax()), int(spread.argmin())
    times = spread[largest] / spread[least]
    if len(units) > 1 or times < RULED:
        return []
    names = short_names([one.metric for one in mapping.objectives])
    return [
        f"Wildly different scales: {names[largest]} varies {times:{',.0f' if times < 1e9 else '.0e'}} times as much as "
        f"{names[least]} and rules the plain mean. Turn its priority down."
    ]
