"""Results of harnesses as a table: a row for each file, a column for each metric, and what is known of the metrics.

A file does not say which run it is of, but what its model and the folders around it are called: `matched` finds the
column of another table that has these names.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.short_names import counted, listed
from engine.importing.harness import Known, Results, is_results, models_of, read_results, table_in
from engine.importing.layouts import LISTED
from engine.importing.limits import bounded
from engine.importing.mapping import RUNS
from engine.importing.questions import Question
from engine.importing.tables import Table

# Columns until the runs are known: what each may be called, when it was measured, which checkpoint of its run it is.
RUN, DATE, OF = "run", "date", "checkpoint"
STEP = re.compile(r"(?:^|[-_.])(?:ckpt|checkpoint|step|iter(?:ation)?|epoch)s?[-_=]?(\d+)", re.I)
SHOWN = 40  # keys in a note
ALIKE = {"versions": "versions", "n-shot": "numbers of examples in the prompt"}  # what must be the same to compare


def error_column(metric: str) -> str:
    """The column with the standard errors of a metric."""
    return f"{metric} stderr"


def results_table(name: str, columns: dict[str, list[Any]], lines: Sequence[int]) -> Table | None:
    """The table of a file whose rows are results of a harness; None for any other file. Its column `run` holds what
    each run may be called. Raises Problem for a row without results or name, and for more than can be read."""
    if not any(isinstance(cell, dict) for cell in columns.get("results", ())):
        return None
    rows = [{key: cells[place] for key, cells in columns.items()} for place in range(len(lines))]
    are = [is_results(row) for row in rows]
    if not any(are):
        return None
    if not all(are):
        raise Problem(
            f"Cannot import row {lines[are.index(False)]} of {name}: it holds no results of a harness, and other rows "
            "do. Remove it."
        )
    names = [_names(row, f"row {line} of {name}") for row, line in zip(rows, lines, strict=True)]
    found = [read_results(row, f"{one[0]} in {name}") for row, one in zip(rows, names, strict=True)]
    told = {one: _known([row.scores[one].known for row in found if one in row.scores], one) for one in _metrics(found)}
    made: dict[str, list[Any]] = {
        RUN: names,
        DATE: [row.get("date") if is_number(row.get("date")) else None for row in rows],
        OF: [_checkpoint(row, own) for row, own in zip(rows, names, strict=True)],
    }
    for one in told:
        scores = [row.scores.get(one) for row in found]
        made[one] = [score and score.value for score in scores]
        if any(score and score.error is not None for score in scores):
            made[error_column(one)] = [score and score.error for score in scores]
    bounded(name, len(lines), len(made))
    return Table(name, made, lines, (*_left(found, name), *_unlike(rows, name)), told=told)


def _names(row: dict[str, Any], said: str) -> list[str]:
    """What the run of a results file may be called, the likeliest first. Raises Problem where nothing tells."""
    if isinstance(run := row.get("run"), str) and run:
        return [run]
    given = row.get("names")
    names = [one for one in given if isinstance(one, str)] if isinstance(given, list) else models_of(row)
    if not names:
        raise Problem(f'Cannot import {said}: it names no model. Add "run": the name of its run.')
    return names


def _checkpoint(row: dict[str, Any], names: list[str]) -> str:
    """Which checkpoint a results file is of: the revision or folder with a step in its name, else its model."""
    settings = [table_in(row, "config").get("model_args"), table_in(table_in(row, "config_general"), "model_config")]
    revision = re.search(r"['\"]?revision['\"]?\s*[=:]\s*['\"]?([^,'\"}]+)", " ".join(map(str, settings)))
    told = [revision[1].strip()] if revision and revision[1].strip() not in ("main", "None") else []
    models = [one for one in models_of(row) if "/" not in one]
    return next((one for one in [*told, *names] if STEP.search(one)), next(iter([*told, *models]), ""))


def _metrics(found: list[Results]) -> list[str]:
    return list(dict.fromkeys(metric for row in found for metric in row.scores))


def _known(several: list[Known], metric: str) -> Known:
    """What the files say of a metric together: the fewest items, and the chance that all of them tell. Raises Problem
    where they differ in which way is better."""
    ways = {one.higher for one in several} - {None}
    if len(ways) > 1:
        raise Problem(
            f"Cannot compare {metric!r}: in some results files higher is better, in others lower. Import them as two "
            "studies."
        )
    chances = {one.chance for one in several}
    items = [one.items for one in several if one.items is not None]
    chance = chances.pop() if len(chances) == 1 else None
    return Known(several[0].metric, ways.pop() if ways else None, chance, min(items) if items else None)


def _left(found: list[Results], name: str) -> list[str]:
    """Notes on what was not taken as it stands, each key once."""
    whys: dict[str, dict[str, None]] = {}
    for row in found:
        for why, key in row.left:
            whys.setdefault(why, {})[key] = None
    return [f"{why} ({name}): {listed(list(keys), SHOWN)}." for why, keys in whys.items()]


def _unlike(rows: list[dict[str, Any]], name: str) -> list[str]:
    """Notes on tasks that were not the same for all runs."""
    notes = []
    for key, what in ALIKE.items():
        values: dict[str, set[str]] = {}
        for row in rows:
            for task, value in table_in(row, key).items():
                values.setdefault(task, set()).add(str(value))
        if differing := [
            f"{task}: {', '.join(sorted(several))}" for task, several in values.items() if len(several) > 1
        ]:
            notes.append(f"Tasks of several {what} do not compare ({name}): {listed(differing, SHOWN)}.")
    return notes


def matched(results: Table, weights: Table, key: str | None, answers: dict[str, str]) -> tuple[Table, str]:
    """One row per run, named as in the column of `weights` that knows most of the names, which is returned too.

    Of several files of a run the newest value of each metric counts; which of several checkpoints of a run is asked.
    Raises Problem where no column knows any name,
    where a file may be of several runs, and where nothing tells which of two values is newer.
    """
    if key is not None and key not in weights.columns:
        raise Problem(
            f"Cannot join {weights.name} on {key!r}: its columns are {listed(list(weights.columns))}. Name the one "
            "with the runs."
        )
    single = [one for one in weights.columns if len(set(weights.keys(one))) == len(weights)]
    single.sort(key=lambda one: RUNS.index(one.lower()) if one.lower() in RUNS else len(RUNS))
    names: list[list[str]] = results.columns[RUN]
    best, most = "", 0
    for column in single if key is None else [key]:
        known = set(weights.keys(column))
        if (count := sum(any(one in known for one in several) for several in names)) > most:
            best, most = column, count
    if not most:
        raise Problem(
            f"Cannot join {weights.name} and {results.name}: no column of the first has a run named like the model or "
            f"a folder of the second ({listed(names[0], 6)}). Name each folder of results after its run."
        )
    groups, asked = _of_one_checkpoint(results, _of_runs(results, set(weights.keys(best))), answers)
    return _merged(replace(results, asked=(*results.asked, *asked)), groups, best), best


def _of_runs(results: Table, known: set[str]) -> dict[str, list[int]]:
    """Run -> its rows. known: the runs of the other table; a row of none of them keeps its likeliest name."""
    groups: dict[str, list[int]] = {}
    for place, several in enumerate(results.columns[RUN]):
        runs = list(dict.fromkeys(one for one in several if one in known))
        if len(runs) > 1:
            raise Problem(
                f"Cannot tell whether {results.row(place)} is of the run {runs[0]!r} or {runs[1]!r}: both names are "
                "in its path or its model's. Name its folder after one run only."
            )
        groups.setdefault(runs[0] if runs else several[0], []).append(place)
    return groups


def _of_one_checkpoint(
    results: Table, groups: dict[str, list[int]], answers: dict[str, str]
) -> tuple[dict[str, list[int]], list[Question]]:
    """The rows of each run that are of one model, and what is asked where a run has those of several. Raises Problem
    where nothing tells which they could be."""
    of = results.columns[OF]
    mixed = {run: list(dict.fromkeys(of[place] for place in places)) for run, places in groups.items()}
    mixed = {run: own for run, own in mixed.items() if len(own) > 1}
    if not mixed:
        return groups, []
    common = set.intersection(*map(set, mixed.values()))
    options = {"last": "of each run its highest step"} if all(map(STEP.search, chain(*mixed.values()))) else {}
    options |= {one: f"the results of {one}" for one in sorted(common, key=_step, reverse=True)[:LISTED]}
    run, own = next(iter(mixed.items()))
    text = (
        f"{results.name} holds results of several models of {counted(len(mixed), 'run')}: {run} has {listed(own, 4)}."
    )
    if not options:
        raise Problem(f"Cannot tell which results count: {text} Give those of one model for each run.")
    question = Question("checkpoint", f"{text} Which ones count?", options)
    answer = question.answer(answers)
    chosen = {run: max(own, key=_step) if answer == "last" else answer for run, own in mixed.items()}
    kept = {run: [place for place in groups[run] if of[place] == one] for run, one in chosen.items()}
    return groups | kept, [question]


def _step(name: str) -> tuple[int, str]:
    """The step in a checkpoint's name, then the name."""
    found = STEP.search(name)
    return (int(found[1]) if found else -1, name)


def _merged(results: Table, groups: dict[str, list[int]], key: str) -> Table:
    """One row for each group of rows, which are one run's."""
    dates = results.columns[DATE]
    orders = [sorted(places, key=lambda place: (dates[place] is not None, dates[place])) for places in groups.values()]
    columns: dict[str, list[Any]] = {key: list(groups)}
    for metric in results.told:
        cells, errors = results.columns[metric], results.columns.get(error_column(metric))
        newest = [_newest(results, metric, places) for places in orders]
        columns[metric] = [cells[place] for place in newest]
        if errors is not None:
            columns[error_column(metric)] = [errors[place] for place in newest]
    several = [f"{run} ({counted(len(places), 'file')})" for run, places in groups.items() if len(places) > 1]
    note = f"Runs with several results files, of which the newest value of each metric counts: {listed(several)}."
    notes = (*results.notes, note) if several else results.notes
    lines = [results.lines[places[-1]] for places in orders]
    return Table(results.name, columns, lines, notes, results.asked, results.told)


def _newest(results: Table, metric: str, places: list[int]) -> int:
    """The row of a run, among several in the order of their dates, whose value of a metric counts."""
    cells, dates = results.columns[metric], results.columns[DATE]
    there = [place for place in places if cells[place] is not None] or places[-1:]
    last = there[-1]
    for place in there[:-1]:
        if cells[place] != cells[last] and dates[place] in (None, dates[last]):
            raise Problem(
                f"Cannot tell which value of {metric!r} counts: {results.row(place)} says {cells[place]:g} and "
                f"{results.row(last)} {cells[last]:g} of one run, and nothing says which is newer. Remove one."
            )
    return last
