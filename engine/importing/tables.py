"""Tables of text or numbers from CSV and Parquet, whose cells can be named when something is wrong with them."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.core.errors import Problem

SEPARATORS = ",;\t"
MISSING = {"", "nan", "na", "n/a", "none", "null", "-"}
LARGEST = 1_000_000  # rows


@dataclass(frozen=True)
class Table:
    """columns: name -> cells, as the file has them (text, or numbers from Parquet); first: the first row's number."""

    name: str
    columns: dict[str, list]
    first: int

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def row(self, place: int) -> str:
        """What a person calls a row: its line in a CSV file, its number in a Parquet file."""
        return f"row {place + self.first} of {self.name}"

    def keys(self, column: str) -> list[str]:
        """A column as text: 7, 7.0 and "7" are one key."""
        return [text_of(cell) for cell in self.columns[column]]

    def numbers(self, column: str, missing: bool = False) -> np.ndarray:
        """A column as numbers (rows,), NaN for empty cells where `missing` allows them.

        Raises Problem that names the row and column of a cell that is not a number.
        """
        cells = self.columns[column]
        found = np.array([number_of(cell) for cell in cells], float)  # infinity: no number at all
        wrong = np.isinf(found) if missing else ~np.isfinite(found)
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            said = repr(text_of(cells[place])) if text_of(cells[place]) else "an empty cell"
            empty = " or an empty cell" if missing else ""
            raise Problem(
                f"Cannot import {self.row(place)}, column {column!r}: it holds {said}, and a finite number{empty} is "
                "needed there. Fix it, or leave the row out."
            )
        return found

    def is_numeric(self, column: str) -> bool:
        """Whether more cells are numbers than are something else: a damaged cell does not hide a column."""
        found = np.array([number_of(cell) for cell in self.columns[column]], float)
        return bool(np.isfinite(found).sum() > np.isinf(found).sum())


def text_of(cell) -> str:
    """A cell as text, whole numbers without a fraction."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def number_of(cell) -> float:
    """A cell as a number, NaN for a missing one, infinity for what is no finite number."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        cell = cell.strip()
        if cell.lower() in MISSING:
            return math.nan
        if "_" in cell:  # Python reads 1_000; files do not mean it
            return math.inf
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.inf


def read_table(path: Path, name: str | None = None) -> Table:
    """Read a .parquet file, or else a CSV file (comma, semicolon or tab). name: what people call it.

    Raises Problem where it is neither, has no rows, two columns of one name, or a row of another length.
    """
    name = name or path.name
    try:
        columns = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path, name)
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise Problem(f"Cannot read {name}: {error}. Give a CSV or Parquet file.") from error
    table = Table(name, columns, 1 if path.suffix.lower() in (".parquet", ".pq") else 2)
    if not 1 <= len(table) <= LARGEST:
        raise Problem(f"Cannot import {name}: it has {len(table):,} rows, and 1 to {LARGEST:,} can be read.")
    return table


def _csv(path: Path, name: str) -> dict[str, list]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        header = file.readline()
        file.seek(0)
        lines = csv.reader(file, delimiter=max(SEPARATORS, key=header.count))
        names = [one.strip() for one in next(lines, [])]
        if twice := [one for one in names if names.count(one) > 1]:
            raise Problem(f"Cannot import {name}: two of its columns are called {twice[0]!r}. Rename one.")
        rows = []
        for line in lines:
            if not line:
                continue
            if len(line) != len(names):
                raise Problem(
                    f"Cannot import line {lines.line_num} of {name}: it has {len(line)} cells, and the header names "
                    f"{len(names)} columns. Fix that line."
                )
            rows.append(line)
    return {one: [row[i] for row in rows] for i, one in enumerate(names)}


def _parquet(path: Path) -> dict[str, list]:
    import pyarrow.parquet as parquet

    table = parquet.read_table(path)
    return {name: table.column(name).to_pylist() for name in table.column_names}
