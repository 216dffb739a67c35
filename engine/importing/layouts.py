"""Tables in other layouts, turned into one row per run: long tables and histories."""

import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.importing.mapping import run_column
from engine.importing.names import is_across, is_inside, is_up, kind_of, leaf, measures
from engine.importing.questions import Question
from engine.importing.reducing import BEST, CHOICES, LAST, SMOOTHED, reduced
from engine.importing.tables import Table, text_of

VALUES = {"value", "values", "val", "result"}
SUMMARY = re.compile(  # how rows are called that sum up the rows above them
    r"(grand |over)?(all|mean|average|avg|median|total|sum|std|st\.?dev|standard deviation|min|max|minimum|maximum|"
    r"count|mittelwert|summe|durchschnitt|moyenne|promedio)\.?:?",
    re.I,
)
OF_TEXT = re.compile(r"(domain|source|data_?set|sub_?set|corpus|slice|category|lang(uage)?)s?(_?names?)?", re.I)
PHASE = re.compile(r"(phase|stage)(_?(id|nr|no|number|index|name))?", re.I)  # a column of them, told by numbers too
LISTED = 8  # steps that are offered
DIGITS = ".15g"  # of them: tokens of two steps may differ in their tenth digit
BUDGETS = "budgets"  # the answer that makes a run of each row
PROGRESS = re.compile(r".*(seen|consumed|so_far)", re.I)  # in the name of tokens that a run counts as it goes on
REDUCED = {one: CHOICES[one] for one in (BEST, SMOOTHED)}  # what else may count of a history than one of its rows


def without_summaries(table: Table) -> tuple[Table, list[str]]:
    """The table without rows at its end that sum up the others (Mean, Total, ...), and what was left out."""
    names = [text_of(cell) for cell in next(iter(table.columns.values()), [])]
    last = len(names)
    while last > 1 and SUMMARY.fullmatch(names[last - 1]):
        last -= 1
    if last == len(names) or any(map(SUMMARY.fullmatch, names[:last])):  # runs may be called so, too
        return table, []
    lost = [
        f"row {table.lines[place]} of {table.name}: {names[place]!r} sums up the others"
        for place in range(last, len(names))
    ]
    return table.only(range(last)), lost


def widened(table: Table, answers: dict[str, str]) -> tuple[Table, list[Question]]:
    """A long table (a row per run and domain, or per run and metric) as one row per run; others as they are.

    What differs within a run becomes a column for each domain: `loss/web`. Raises Problem for a pair that stands twice.
    """
    text = [name for name in table.columns if not table.is_numeric(name) and any(map(text_of, table.columns[name]))]
    about = [name for name in text if is_across(name) and len(set(table.keys(name))) > 1]
    for column in about:
        if groups := _groups(table, column):
            return _spread(*_told_apart(table, column, groups, text)), []
    phases = [name for name in table.columns if name not in text and PHASE.fullmatch(leaf(name))]
    asked = _doubtful(table, text + phases)
    if asked is not None and asked[1].answer(answers) == "wide":
        return _spread(table, asked[0], _groups(table, asked[0])), [asked[1]]
    return table, [asked[1]] if asked is not None else []


def _groups(table: Table, across: str) -> dict[Hashable, list[int]]:
    """The rows of each run of a long table; empty where `across` has one row per run, or nothing names the runs."""
    named = [
        name for name in table.columns if name != across and kind_of(name) in ("key", "step", "seed", "size", "budget")
    ]
    named = [name for name in named if len(set(table.keys(name))) < len(table)]
    others = [name for name in table.columns if name != across and not table.is_numeric(name)]
    ids = [name for name in named if kind_of(name) == "key"]
    for identity in (named, ids, *([one] for one in others)):
        if not identity:
            continue
        groups: dict[Hashable, list[int]] = {}
        for place, key in enumerate(zip(*(table.keys(name) for name in identity), strict=True)):
            groups.setdefault(key, []).append(place)
        if 2 * sum(len(places) > 1 for places in groups.values()) >= len(groups):
            return groups
    return {}


def _told_apart(
    table: Table, across: str, groups: dict[Hashable, list[int]], text: list[str]
) -> tuple[Table, str, dict[Hashable, list[int]]]:
    """The same, where a second column tells rows of one run and one value apart (share and loss of a domain): both as
    one column, whose values are `share/web`. Raises Problem for rows that nothing tells apart."""
    if (twice := _twice(table.keys(across), groups)) is None:
        return table, across, groups
    faults = {twice: across}
    for beside in text:
        if beside == across or not 1 < len(set(table.keys(beside))) <= LISTED:
            continue
        front, back = sorted((beside, across), key=lambda one: bool(OF_TEXT.fullmatch(leaf(one))))
        both = [f"{one}/{other}" for one, other in zip(table.keys(front), table.keys(back), strict=True)]
        if (twice := _twice(both, groups)) is None:
            columns = {name: cells for name, cells in table.columns.items() if name not in (across, beside)}
            name = f"{front}/{back}"
            return Table(table.name, columns | {name: both}, table.lines, table.notes, table.asked), name, groups
        faults[twice] = f"{front}/{back}"
    (place, first), columns_of = max(faults.items())  # the columns that tell the most rows apart
    said = "/".join(table.keys(one)[place] for one in columns_of.split("/"))
    raise Problem(
        f"Cannot import {table.row(place)}: {said!r} in column {columns_of!r} is already in {table.row(first)} for the "
        "same run. Every pair must be there once, or another column tell them apart."
    )


def _twice(keys: Sequence[str], groups: dict[Hashable, list[int]]) -> tuple[int, int] | None:
    """The first row whose key stands in its group before, and where; None where there is none."""
    for places in groups.values():
        seen: dict[str, int] = {}
        for place in places:
            if (first := seen.setdefault(keys[place], place)) != place:
                return place, first
    return None


def _spread(table: Table, across: str, groups: dict[Hashable, list[int]]) -> Table:
    """One row per group: columns that never differ within one are kept, the others spread over `across`."""
    keys = table.keys(across)
    values = [one for one in dict.fromkeys(keys) if one]
    rows = list(groups.values())
    columns: dict[str, list[Any]] = {}
    spread: list[str] = []
    for name, cells in table.columns.items():
        if name == across:
            continue
        texts = table.keys(name)
        if all(len({texts[place] for place in places}) == 1 for places in rows):
            columns[name] = [cells[places[0]] for places in rows]
            continue
        spread.append(name)
        found = [{keys[place]: cells[place] for place in places} for places in rows]
        for value in values:
            label = value if kind_of(value) is None else f"{across}={value}"  # a phase called decay is no setting
            columns[value if leaf(name).lower() in VALUES else f"{name}/{label}"] = [one.get(value) for one in found]
    note = (
        f"{table.name} has a row for each {across!r}: {listed(spread)} became a column for each of {listed(values, 6)}."
    )
    return Table(table.name, columns, [table.lines[places[0]] for places in rows], (*table.notes, note), table.asked)


def _doubtful(table: Table, text: list[str]) -> tuple[str, Question] | None:
    """A column of text, or of phases, in which every run has one row for each of the same values, under a name that
    tells nothing."""
    run = run_column(table)
    if run is None or any(kind_of(name) == "step" for name in table.columns):
        return None
    runs = table.keys(run)
    for column in text:
        values = set(table.keys(column))
        pairs = set(zip(runs, table.keys(column), strict=True))
        crossed = len(pairs) == len(table) == len(set(runs)) * len(values)
        if column != run and crossed and 1 < len(values) < len(table):
            options = {
                "wide": f"a long table: what was measured for each {column} belongs to one run",
                "rows": "each row is a run of its own",
            }
            return column, Question("long", f"Each {run!r} has {len(values)} rows, one for each {column!r}.", options)
    return None


def collapsed(
    table: Table, runs: list[list[str]], answers: dict[str, str], named: bool = True
) -> tuple[Table, list[Question]]:
    """A history (a row for every step of a run) as one row per run; a table without a column of steps as it is.

    runs: what names each row's run, as columns of text; named: whether that is a name, and not a mixture. The question
    "steps" asks which row counts: the last, in which a column keeps the last value that it had, a step that all runs
    have, or the best or a smoothed value. Where only tokens count what a run has seen, its rows may be runs of several
    budgets, too.
    """
    groups = grouped(runs)
    step, tokens = _counter(table, "step"), _counter(table, "budget")
    if step is None and tokens is not None and _most_go_on(groups) and (named or PROGRESS.match(leaf(tokens))):
        step = tokens
    if step is None or len(groups) == len(table):
        return table, []
    at = table.loose(step)
    rows = [sorted(places, key=lambda place: at[place]) for places in groups.values()]
    steps = [{at[place] for place in places} for places in rows]
    if any(len(one) < len(places) for one, places in zip(steps, rows, strict=True)):
        return table, []  # a step stands twice: these are not histories
    per = "run" if named else "mixture"
    text = f"{table.name} holds up to {max(map(len, rows))} rows per {per}, by {step!r}. Which one is a run's result?"
    options = {LAST: CHOICES[LAST]} | steps_of(table, step, rows) | REDUCED
    if step == tokens:
        options |= {BUDGETS: f"each row is a run of its own, of as many tokens as {step!r} says"}
    question = Question("steps", text, options)
    answer = question.answer(answers)
    return (table if answer == BUDGETS else at_step(table, step, rows, answer)), [question]


def _counter(table: Table, kind: str) -> str | None:
    """The column of numbers of a kind by which the rows of a history may be told apart."""
    there = [name for name in table.columns if kind_of(name) == kind and table.is_numeric(name)]
    if kind == "budget":  # one of a domain is none, nor one that some rows do not have
        there = [name for name in there if not is_inside(name) and np.isfinite(table.loose(name)).all()]
    return next(iter(there), None)


def _most_go_on(groups: dict[Hashable, list[int]]) -> bool:
    """Whether most runs have several rows: one that stands twice makes no history."""
    return 2 * sum(len(places) > 1 for places in groups.values()) > len(groups)


def grouped(keys: Sequence[Sequence[Hashable]]) -> dict[Hashable, list[int]]:
    """The rows of a table that are the same in every one of some columns, in their order."""
    groups: dict[Hashable, list[int]] = {}
    for place, key in enumerate(zip(*keys, strict=True)):
        groups.setdefault(key, []).append(place)
    return groups


def steps_of(table: Table, step: str, rows: list[list[int]]) -> dict[str, str]:
    """Answers for the steps that all runs have, the latest first."""
    at = table.loose(step)
    common = sorted(set.intersection(*({float(at[place]) for place in places} for places in rows)))
    return {f"{value:{DIGITS}}": f"the rows at {step} {value:{DIGITS}}" for value in common[::-1][:LISTED]}


def at_step(table: Table, step: str | None, rows: list[list[int]], answer: str) -> Table:
    """One row for each run, whose rows are given in their order: as they were at a step, "last", "best" or
    "smoothed"."""
    if answer in REDUCED:
        return _reduced(table, rows, answer)
    if answer != LAST and step is not None:
        at = table.loose(step)
        places = [next(place for place in one if f"{at[place]:{DIGITS}}" == answer) for one in rows]
        return table.only(places, f"Of every run of {table.name}, the row at {step} {answer} counts.")
    columns = {name: [_last(cells, places) for places in rows] for name, cells in table.columns.items()}
    note = f"Of every run of {table.name}, the last value of each column counts."
    return Table(table.name, columns, [table.lines[one[-1]] for one in rows], (*table.notes, note), table.asked)


def _reduced(table: Table, rows: list[list[int]], how: str) -> Table:
    """One row for each run, with its best or smoothed metrics; all other columns have their last value."""
    metrics = [name for name in table.columns if table.is_numeric(name) and measures(name) and kind_of(name) is None]
    open_ = [name for name in metrics if is_up(name) is None] if how == BEST else []
    columns = {name: [_last(cells, places) for places in rows] for name, cells in table.columns.items()}
    for name in metrics:
        if name not in open_:
            values = table.loose(name)
            found = [reduced(values[places], how, bool(is_up(name))) for places in rows]
            columns[name] = [None if value != value else value for value in found]
    note = f"Of every run of {table.name}, the {how} value of each metric counts: {listed(metrics, LISTED)}."
    if open_:
        note += f" Which way is better, the names of {listed(open_, LISTED)} do not tell: their last value counts."
    lines = [table.lines[one[-1]] for one in rows]
    return Table(table.name, columns, lines, (*table.notes, note), table.asked)


def _last(cells: list[Any], places: list[int]) -> Any:
    """The last of the cells that holds something."""
    return next((cells[place] for place in reversed(places) if text_of(cells[place])), None)
