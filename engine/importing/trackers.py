"""Files of trackers that are no plain tables: Trackio's database, and the panels that Weights & Biases exports.

Trackio keeps a row per run and step in the table `metrics`, with an object of values, and the settings of runs in
`configs`. A panel has a column of steps, and for each run a column `RUN - METRIC`, with its least and largest values.
"""

import json
import math
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

from engine.core.errors import Problem
from engine.core.shown import READS
from engine.importing.limits import ROWS, TEXT, bounded
from engine.importing.tables import Table

SQLITE = b"SQLite format 3"
Columns = tuple[dict[str, list[Any]], list[int]]  # as engine.importing.text_files has them
BETWEEN, RANGES = " - ", ("__MIN", "__MAX")  # in a panel's columns


def refuse_panel(table: Table) -> None:
    """Raise Problem for a panel where mixtures are sought."""
    if panel := [one for one in table.columns if BETWEEN in one and one.endswith(RANGES)]:
        raise Problem(
            f"Cannot import {table.name}: its columns are runs ({panel[0]!r}), as in a chart's export from Weights & "
            "Biases, and hold no mixtures. Export the table of runs instead."
        )


def read_sqlite(path: Path, name: str) -> Columns:
    """The rows of Trackio's database: run_name, step, timestamp, a column for each metric, `config.KEY` for settings.

    Raises Problem for any other database, and for more rows than can be read.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            there = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            columns = {row[1] for row in database.execute("PRAGMA table_info(metrics)")}
            if "metrics" not in there or not {"run_name", "step", "metrics"} <= columns:
                known = ", ".join(sorted(there)[:6]) or "none"
                raise Problem(
                    f"Cannot read {name}: it is a database, and not Trackio's (its tables: {known}). Export the table "
                    "of runs as CSV from the program that writes it."
                )
            asked = "SELECT run_name, step, metrics FROM metrics ORDER BY run_name, step, rowid LIMIT ?"
            rows = database.execute(asked, [ROWS + 1]).fetchall()
            settings = _settings(database) if "configs" in there else {}
    except sqlite3.Error as error:
        raise Problem(
            f"Cannot read {name}: the database is damaged or in use ({error}). Copy it, and try again."
        ) from error
    return _spread(name, rows, settings)


def _settings(database: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """Run -> its settings."""
    columns = {row[1] for row in database.execute("PRAGMA table_info(configs)")}
    if not {"run_name", "config"} <= columns:
        return {}
    rows = database.execute("SELECT run_name, config FROM configs").fetchall()
    return {run: found for run, text in rows if isinstance(found := _object(text), dict)}


def _spread(name: str, rows: list[tuple[Any, ...]], settings: dict[str, dict[str, Any]]) -> Columns:
    """The rows as columns, with what each run was set to beside it."""
    values = [_object(text) for _, _, text in rows]
    if broken := [place for place, one in enumerate(values, 1) if not isinstance(one, dict)]:
        raise Problem(
            f"Cannot read row {broken[0]} of {name}: its metrics are not an object of values. The file is damaged."
        )
    metrics = dict.fromkeys(key for one in values for key in one)
    configs = dict.fromkeys(key for one in settings.values() for key in one)
    bounded(name, len(rows), len(metrics) + len(configs) + 2)
    columns: dict[str, list[Any]] = {"run_name": [row[0] for row in rows], "step": [row[1] for row in rows]}
    columns |= {key: [one.get(key) for one in values] for key in metrics if key not in columns}
    columns |= {f"config.{key}": [settings.get(row[0], {}).get(key) for row in rows] for key in configs}
    return columns, list(range(1, len(rows) + 1))


def _object(text: object) -> Any:
    """What a cell's JSON is; None where it is none, or too long."""
    try:
        return json.loads(text, **READS) if isinstance(text, str | bytes) and len(text) <= TEXT else None
    except (ValueError, RecursionError):
        return None


def unrolled(table: Table, runs: Collection[str]) -> Table:
    """A panel as a row per run and step, with the columns `run`, the step's, and one for each metric; others as they
    are. runs: whose columns are meant."""
    parts = [(name, *name.split(BETWEEN, 1)) for name in table.columns if BETWEEN in name]
    own = [(name, run, metric) for name, run, metric in parts if run in runs and not metric.endswith(RANGES)]
    if not own:
        return table
    step = next(iter(table.columns))
    metrics, found = list(dict.fromkeys(metric for _, _, metric in own)), list(dict.fromkeys(run for _, run, _ in own))
    columns: dict[str, list[Any]] = {"run": [], step: []} | {metric: [] for metric in metrics}
    lines: list[int] = []
    for run in found:
        cells = {metric: table.loose(name) for name, one, metric in own if one == run}
        for place in range(len(table)):
            if any(not math.isnan(values[place]) for values in cells.values()):
                columns["run"].append(run)
                columns[step].append(table.columns[step][place])
                for metric in metrics:
                    columns[metric].append(float(cells[metric][place]) if metric in cells else None)
                lines.append(table.lines[place])
    return Table(table.name, columns, lines, table.notes, table.asked)
