"""Rates that are fractions of one in some rows and percents in others of one column: asked about, and never guessed."""

from dataclasses import replace

import numpy as np

from engine.core.short_names import counted, listed
from engine.importing.names import may_be_rate
from engine.importing.questions import Question, Talk
from engine.importing.tables import Table
from engine.spec.objectives import Objective

# Times that the least value above 1 is the largest one below, or that all lie closer together once those above 1 are
# divided by 100: 0.8 and 1.2 are percents both, 0.05 to 0.9 and 5 to 90 hardly.
APART, CLOSER = 10, 3
MIXED = "mixed"


def in_one_unit(table: Table, objectives: list[Objective], talk: Talk) -> Table:
    """The table with its rates as fractions of one where somebody says that some of them are percents."""
    percents = {
        one.metric: rows
        for one in objectives
        if may_be_rate(one.metric, one.higher_is_better) and (rows := percents_among(table.loose(one.metric)))
    }
    if not percents:
        return table
    count = counted(sum(map(len, percents.values())), "value")
    options = {
        MIXED: f"fractions of 1 and percents are mixed: the {count} above 1 are divided by 100",
        "same": "each column is in one unit, as it stands",
    }
    said = listed([_both(table, name, rows[0]) for name, rows in percents.items()], 4)
    text = f"{table.name} has values up to 1 and far above in one column: {said}. What are they?"
    if talk.ask(Question("percents", text, options)) != MIXED:
        return table
    done = listed([f"{name} in {counted(len(rows), 'row')}" for name, rows in percents.items()], 6)
    talk.notes.append(f"Percents among fractions of 1, divided by 100: {done}.")
    columns = dict(table.columns)
    for name, rows in percents.items():
        cells = list(columns[name])
        for place in rows:
            cells[place] = float(table.loose(name)[place]) / 100
        columns[name] = cells
    return replace(table, columns=columns, _numbers={})


def _both(table: Table, name: str, high: int) -> str:
    """A column's first value of each kind, and where they stand."""
    values = table.loose(name)
    low = int(np.flatnonzero((values > 0) & (values <= 1))[0])
    return f"{name} is {values[low]:.4g} in row {table.lines[low]} and {values[high]:.4g} in row {table.lines[high]}"


def percents_among(values: np.ndarray) -> list[int]:
    """The rows of a column that look like percents among fractions; none where all may be of one unit."""
    there = values[np.isfinite(values)]
    low, high = there[(there > 0) & (there <= 1)], there[there > 1]
    if not (len(low) and len(high)) or there.min() < 0 or high.max() > 100:
        return []
    together = max(low.max(), high.max() / 100) / min(low.min(), high.min() / 100)
    if high.min() < APART * low.max() and high.max() / low.min() < CLOSER * together:
        return []
    return np.flatnonzero(np.isfinite(values) & (values > 1)).tolist()
