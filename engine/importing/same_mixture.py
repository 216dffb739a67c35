"""Rows that share a mixture: repeats that measure the noise, one run's history, or runs that chance does not explain.

Only repeats may stand side by side. What a table does not tell is asked.
"""

from collections import Counter

import numpy as np

from engine.core.short_names import listed
from engine.importing.choices import OFFERED
from engine.importing.columns import left_out
from engine.importing.layouts import REDUCED, at_step, grouped, steps_of
from engine.importing.mapping import Mapping, label_of, run_column
from engine.importing.names import COMPUTE, REMARK, kind_of, leaf, measures
from engine.importing.questions import Question, Talk
from engine.importing.reducing import CHOICES, LAST
from engine.importing.tables import Table

APART = ("seed", "size", "budget")  # what tells two runs of one mixture apart
MATTERS = ("setting", "size", "budget", "step", "count", "text", "other")  # roles of columns that repeats agree in


def without_history(table: Table, shares: list[str], key: str | None, talk: Talk) -> Table:
    """The table with one row per run, where most mixtures stand in several rows that nothing tells apart.

    A history without a column named like a step looks so, and so do repeats without a seed: it is asked.
    """
    label = label_of(table, key)
    twice = label is not None and len(set(table.keys(label))) < len(table)
    numbered = key is not None and table.counts_rows(key) and twice  # a number for each row, beside the runs' names
    if (key is not None and not numbered) or talk.answers.get("long") == "rows" or (label is not None and not twice):
        return table
    run = label if numbered else run_column(table) or label
    names = [*shares, *([run] if run else []), *(name for name in table.columns if kind_of(name) in APART)]
    rows = list(grouped([table.keys(name) for name in names]).values())
    if 2 * sum(len(places) > 1 for places in rows) <= len(rows):
        return table
    step = _counter(table, {*names}, rows)
    history = {LAST: CHOICES[LAST]} | ((steps_of(table, step, rows) | REDUCED) if step else {})
    repeats = {"rows": "each row is a run of its own: they measure the noise"}
    same = f"{'name and ' if run else ''}mixture{f', and {step!r} counts them' if step else ''}"
    text = f"{table.name} has up to {max(map(len, rows))} rows of the same {same}. Are they the history of one run?"
    answer = talk.ask(Question("steps", text, history | repeats if run or step else repeats | history))
    if answer == "rows":
        return table
    before = len(table.notes)
    table = at_step(table, step, rows, answer)
    talk.notes += table.notes[before:]
    return table


def _counter(table: Table, taken: set[str], rows: list[list[int]]) -> str | None:
    """A column of numbers that rise within every run, as steps do under whatever name."""
    for name in table.columns:
        if name in taken or measures(name) or not np.isfinite(table.loose(name)).all():
            continue
        if all((np.diff(table.loose(name)[places]) > 0).all() for places in rows) and not table.counts_rows(name):
            return name
    return None


def choose_alike(mapping: Mapping, weights: Table, metrics: Table | None, talk: Talk) -> tuple[Table, Table | None]:
    """The runs that compare: where runs of one mixture differ in columns that are not read, those that were chosen."""
    columns = {**weights.columns, **(metrics.columns if metrics else {})}
    table = Table(weights.name, columns, weights.lines)
    facts = [name for name in (mapping.model_size, mapping.n_tokens) if name]
    read = {*mapping.weights.values(), *(one.metric for one in mapping.objectives), *facts}
    read |= {name for name in (mapping.key, mapping.label, mapping.seed) if name}
    same = grouped([weights.keys(name) for name in mapping.weights.values()] + [table.keys(name) for name in facts])
    repeats = [places for places in same.values() if len(places) > 1]
    if not repeats:
        return weights, metrics
    differing = [name for name in columns if name not in read and _tells_kinds(table, name, repeats)]
    if not differing or talk.answers.get("steps") == "rows":  # said already: they differ by chance
        return weights, metrics
    cells = zip(*(table.keys(name) for name in differing), strict=True)
    kinds = [", ".join(f"{name}={cell}" for name, cell in zip(differing, row, strict=True)) for row in cells]
    second = weights if metrics is None else metrics
    some = np.isfinite(np.stack([second.loose(one.metric) for one in mapping.objectives])).any(axis=0).tolist()
    measured = Counter(kind for kind, there in zip(kinds, some, strict=True) if there)
    counts = sorted(Counter(kinds).items(), key=lambda pair: (-measured[pair[0]], -pair[1]))[:OFFERED]
    options = {kind: f"{count:,} of {len(kinds):,} runs" for kind, count in counts}
    options["all"] = "all runs: surrogates take them as one, and differences between them as noise"
    text = f"Runs of one mixture differ in {listed(differing)}. Only runs of one kind compare. Which ones count?"
    answer = talk.ask(Question("alike", text, options))
    if answer == "all":
        return weights, metrics
    places = [place for place, kind in enumerate(kinds) if kind == answer]
    talk.dropped.append(f"{len(kinds) - len(places):,} runs that are not {answer}")
    return weights.only(places), None if metrics is None else metrics.only(places)


def _tells_kinds(table: Table, name: str, repeats: list[list[int]]) -> bool:
    """Whether a column that is not read differs between runs of one mixture, and not in nearly every row.

    A column that does is a time, a measurement or a text about each run, and tells no kinds of them.
    """
    role = left_out(table, name)[0]
    if (role not in MATTERS and not COMPUTE.search(name)) or (role == "text" and REMARK.fullmatch(leaf(name))):
        return False
    keys = table.keys(name)
    return 2 * len(set(keys)) <= len(keys) and any(len({keys[place] for place in places}) > 1 for places in repeats)
