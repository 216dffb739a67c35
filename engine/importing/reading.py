"""Read tables of runs: what every column is and why, what was left out, and what has to be asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.importing.choices import choose_scale, choose_shares
from engine.importing.columns import Column, explained
from engine.importing.harness_table import matched
from engine.importing.layouts import collapsed, widened, without_summaries
from engine.importing.mapping import FORMATS, Mapping, check_files, key_of, label_of, linked, run_column
from engine.importing.measured import choose_metrics, choose_one, fact_of
from engine.importing.names import kind_of
from engine.importing.phases import PhaseColumns
from engine.importing.questions import Question, Talk
from engine.importing.run_states import without_failed
from engine.importing.same_mixture import choose_alike, without_history
from engine.importing.tables import Table
from engine.importing.trackers import refuse_panel


@dataclass(frozen=True)
class Reading:
    """What is made of one table, or of a pair whose rows stand for each other (metrics: None for one table).

    columns: what each column is, and why; why: why the shares are those; others: what else was plausible, with its
    reason; dropped: rows that were left out, and why; questions: with the answers that were given in `answers`;
    phases: whose totals the shares are, None where nothing tells.
    """

    mapping: Mapping
    weights: Table
    metrics: Table | None
    columns: tuple[Column, ...]
    why: str
    others: tuple[tuple[tuple[str, ...], str], ...]
    dropped: tuple[str, ...]
    questions: tuple[Question, ...]
    answers: dict[str, str]
    notes: tuple[str, ...]
    phases: PhaseColumns | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, for the preview and the command's output."""
        return {
            "columns_read": [one.to_dict() for one in self.columns],
            "shares": {"why": self.why, "others": [{"columns": list(names), "why": why} for names, why in self.others]},
            "dropped": list(self.dropped),
            "questions": [one.to_dict(self.answers) for one in self.questions],
        }


def read(
    format: str,
    weights: Table,
    metrics: Table | None = None,
    *,
    answers: dict[str, str] | None = None,
    weight_columns: list[str] | None = None,
    metric_columns: list[str] | None = None,
    higher_is_better: list[str] | None = None,
    unit: str | None = None,
    key: str | None = None,
    seed: str | None = None,
    model_size: str | None = None,
    n_tokens: str | None = None,
) -> Reading:
    """Read one table or a pair. Given columns win, the rest is read from names and numbers. Lists hold names or globs;
    a key, seed, size or token column given as "" is none, whatever the names say.

    answers: question -> answer; where one is open, its first answer is taken for the time being. Raises Problem for
    an unknown format, columns that are not there, and where no shares or metrics can be found.
    """
    check_files(format, metrics)
    for table in filter(None, (weights, metrics)):
        refuse_panel(table)
    talk = Talk(answers or {})
    weights, metrics, key = _rows(format, weights, metrics, key, talk)
    second = weights if metrics is None else metrics
    given = {"seed": seed, "size": model_size, "budget": n_tokens}
    facts = {kind: fact_of(kind, second, weights) if name is None else name or None for kind, name in given.items()}
    taken = {key, *facts.values(), *FORMATS[format][1]}
    named = metric_columns if metrics is None else None  # of the other table, they are none of this one's
    shares = choose_shares(format, weights, weight_columns, named, taken, talk)
    scale = choose_scale(weights, shares.family, talk)
    if metrics is None and run_column(weights) is None:
        weights = second = _without_steps(weights, list(shares.family.columns), talk)
    if metrics is None:
        weights = second = without_history(weights, list(shares.family.columns), key, talk)
    own = _shares_in(second, weights, shares.family.columns)
    measured = choose_metrics(format, second, metric_columns, higher_is_better, unit, taken, own, talk)
    objectives = linked(measured, list(shares.domains))
    facts = {"seed": facts["seed"], "model_size": facts["size"], "n_tokens": facts["budget"]}
    mapping = Mapping(shares.domains, objectives, key, label_of(weights, key), scale=scale, **facts)
    weights, metrics = choose_alike(mapping, *choose_one(mapping, weights, metrics, talk), talk)
    columns = explained(mapping, shares, weights, metrics)
    others = tuple((one.columns, one.why) for one in shares.others)
    said = (tuple(talk.dropped), tuple(talk.questions), talk.answers, tuple(dict.fromkeys(talk.notes)))
    return Reading(mapping, weights, metrics, columns, shares.family.why, others, *said, shares.phases)


def _rows(
    format: str, weights: Table, metrics: Table | None, key: str | None, talk: Talk
) -> tuple[Table, Table | None, str | None]:
    """The tables with one row per run, those of a pair joined, and the key."""
    if weights.told:
        raise Problem(
            f"Cannot import {weights.name}: it holds results of a harness, and no shares. Give it as the second file "
            "of a pair, after a table of the runs' mixtures."
        )
    weights = _one_row_a_run(weights, talk)
    if metrics is None:
        weights = _without_steps(weights, [run_column(weights)], talk)
        key = key_of(format, key, weights, None)
        if key is not None:
            _places(weights, key)
        elif said := _names_no_runs(weights):
            talk.notes.append(said)
        return weights, None, key
    if metrics.told:
        metrics, key = matched(metrics, weights, key, talk.answers)
        talk.questions += metrics.asked
        talk.notes += metrics.notes
    else:
        metrics = _one_row_a_run(metrics, talk)
    joining = str(key_of(format, key, weights, metrics))
    return *_joined(joining, weights, _without_steps(metrics, [joining], talk), talk), joining


def _names_no_runs(table: Table) -> str | None:
    """What is to be told of a column that is called like a run, and tells most rows apart, but not all."""
    if (column := run_column(table)) is None:
        return None
    keys = table.keys(column)
    if 2 * len(set(keys)) <= len(keys):  # of seeds, or of steps
        return None
    first: dict[str, int] = {}
    twice = next((place for place, one in enumerate(keys) if first.setdefault(one, place) != place), None)
    if twice is None:
        return None
    rows = f"{table.row(first[keys[twice]])} and in {table.row(twice)}"
    return f"{column!r} names no runs, as {keys[twice]!r} stands in {rows}."


def _one_row_a_run(table: Table, talk: Talk) -> Table:
    """The table without failed runs, and widened where it is long; what was asked while it was read comes along."""
    table, failed, unclear = without_failed(table, talk.answers)
    table, summed = without_summaries(table)
    talk.dropped += [*failed, *summed]
    before = table.asked
    table, asked = widened(table, talk.answers)
    talk.questions += [*before, *unclear, *asked]
    talk.notes += table.notes
    return table


def _without_steps(table: Table, runs: Sequence[str | None], talk: Talk) -> Table:
    """A history as one row per run; runs: the columns that name a row's run, besides its seed and size."""
    if None in runs or not runs:
        return table
    beside = [name for name in table.columns if kind_of(name) in ("seed", "size")]
    before = len(table.notes)
    table, asked = collapsed(table, [table.keys(str(name)) for name in [*runs, *beside]], talk.answers)
    talk.questions += asked
    talk.notes += table.notes[before:]
    return table


def _shares_in(table: Table, weights: Table, columns: tuple[str, ...]) -> set[str]:
    """The columns of shares in a table: of the second of a pair, those that repeat the first one's. What is called as a
    domain there may well be its loss."""
    there = [name for name in columns if name in table.columns]
    return {
        name
        for name in there
        if table is weights or np.allclose(table.loose(name), weights.loose(name), equal_nan=True)
    }


def _joined(key: str, weights: Table, metrics: Table, talk: Talk) -> tuple[Table, Table]:
    """Both tables with the rows that stand for each other, in the order of the first. A mixture stands once for each of
    its runs: of other seeds, sizes or budgets.

    Asks about rows that stand alone. Raises Problem where no row has a partner.
    """
    places, runs = _places(weights, key), _runs_of(metrics, key)
    partners = {name: own[0] for name, own in runs.items()}
    both = [name for name in places if name in partners]
    if not both:
        raise Problem(
            f"Cannot join {weights.name} and {metrics.name} on {key!r}: no value of it stands in both "
            f"({next(iter(places))!r}, {next(iter(partners))!r}, ...). Name the column that both have as the key."
        )
    alone = [
        (one, its[name], name, beside.name)
        for one, its, other, beside in ((weights, places, partners, metrics), (metrics, partners, places, weights))
        for name in its
        if name not in other
    ]
    if alone:
        table, place, name, beside = alone[0]
        text = f"{table.row(place)}, column {key!r}: {name!r} has no partner in {beside} ({len(alone)} such rows)."
        talk.ask(Question("alone", text, {"leave out": "the rows without a partner are left out"}))
        rows = listed([one.row(place) for one, place, _, _ in alone], 4)
        talk.dropped.append(f"{len(alone)} without a partner: {rows}")
    pairs = [(places[one], run) for one in both for run in runs[one]]
    return weights.only([mixture for mixture, _ in pairs]), metrics.only([run for _, run in pairs])


def _runs_of(table: Table, key: str) -> dict[str, list[int]]:
    """Key -> its rows, several where their seeds, sizes or budgets differ. Raises Problem as `_places` does."""
    facts = [name for name in table.columns if name != key and kind_of(name) in ("seed", "size", "budget")]
    rows: dict[str, list[int]] = {}
    for place, name in enumerate(table.meeting(key)):
        rows.setdefault(name, []).append(place)
    told = list(zip(table.keys(key), *map(table.keys, facts), strict=True))
    if "" in rows or len(set(told)) < len(told):
        _places(table, key)  # raises
    return rows


def _places(table: Table, key: str) -> dict[str, int]:
    """Key -> row. Raises Problem for an empty key and for one that stands twice."""
    places: dict[str, int] = {}
    for place, name in enumerate(table.meeting(key)):
        if not name:
            raise Problem(f"Cannot import {table.row(place)}, column {key!r}: it is empty. Every run needs a key.")
        if name in places:
            raise Problem(
                f"Cannot import {table.row(place)}, column {key!r}: {name!r} is already in "
                f"{table.row(places[name])}. Every key must be there once: give one row per run, or one table that has "
                "the shares in the row of each run."
            )
        places[name] = place
    return places
