"""A flat table of two dozen runs: shares of three domains, a loss, a score; as CSV or Parquet."""

import csv

import numpy as np
import pyarrow
import pyarrow.parquet

RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet(np.ones(3), 24).round(4)
LOSS = 3 - SHARES[:, 0] + 0.01 * RNG.normal(size=24)
QUIZ = 0.3 + 0.4 * SHARES[:, 1] + 0.01 * RNG.normal(size=24)
FLAT = {
    "run": [f"r{i}" for i in range(24)],
    "w/web": SHARES[:, 0],
    "w/code": SHARES[:, 1],
    "w/news": SHARES[:, 2],
    "web_val_loss": LOSS,
    "quiz_acc": QUIZ,
    "seed": range(24),
    "model_size": [1_000_000] * 24,
    "n_tokens": [10**8] * 24,
}


def write(path, columns: dict):
    """A CSV or Parquet file of columns."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.table({name: list(cells) for name, cells in columns.items()}), path)
        return path
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
    return path


def table_of(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def changed(column: str, place: int, value, columns: dict = FLAT) -> dict:
    """The flat table with one cell changed."""
    cells = list(columns[column])
    cells[place] = value
    return {**columns, column: cells}
