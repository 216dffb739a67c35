"""Tables of text or numbers, whose cells can be named when something is wrong with them."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.core.checks import LARGEST
from engine.core.errors import Problem
from engine.core.shown import TOO_LARGE, huge_text, shown
from engine.importing.harness import Known
from engine.importing.questions import Question

MISSING = {"", "nan", "na", "n/a", "none", "null", "-", "\u2013", "\u2014"}
WHOLE = re.compile(r"([+-]?\d+)\.0*")
NUMBER = re.compile(r"^([+-]?)0*(\d+)(\.\d*|)$")


def refuse_twice(name: str, columns: Sequence[str]) -> None:
    """Raise Problem for two columns of one name, also where both look alike and are other characters (é and e with an
    accent behind it)."""
    seen: set[str] = set()
    for column in columns:
        if (shown := unicodedata.normalize("NFC", column)) in seen:
            raise Problem(f"Cannot import {name}: two of its columns are called {column!r}. Rename one.")
        seen.add(shown)


@dataclass(frozen=True)
class Table:
    """columns: name -> cells, as the file has them (text, or numbers from Parquet and JSON).

    lines: what people call each row: its line in a text file, its number elsewhere; notes: what was done while it
    was read, in sentences; asked: what reading it left open; told: its metrics, where it is no table of a person's but
    results of a harness, which say of each what it is.
    """

    name: str
    columns: dict[str, list[Any]]
    lines: Sequence[int]
    notes: tuple[str, ...] = ()
    asked: tuple[Question, ...] = ()
    told: dict[str, Known] = field(default_factory=dict)
    _numbers: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.lines)

    def row(self, place: int) -> str:
        """What a person calls a row: its line in a CSV file, its number in a Parquet file."""
        return f"row {self.lines[place]} of {self.name}"

    def keys(self, column: str) -> list[str]:
        """A column as text: 7, 7.0 and "7" are one key, and so is "7.0" where the column holds numbers only."""
        found = [text_of(cell) for cell in self.columns[column]]
        if np.isfinite(self.loose(column)).all():
            found = [whole[1] if (whole := WHOLE.fullmatch(text)) else text for text in found]
        return found

    def meeting(self, column: str) -> list[str]:
        """A column as the keys that another table may write otherwise: numbers are the same as 7, 007 and 7.50 as 7.5.

        Unless two of the column's own keys would be one then.
        """
        keys = self.keys(column)
        plain = [NUMBER.sub(lambda one: one[1] + one[2] + one[3].rstrip("0").rstrip("."), key) for key in keys]
        same = np.isfinite(self.loose(column)).all() and len(set(plain)) == len(set(keys))
        return plain if same else keys

    def loose(self, column: str) -> np.ndarray:
        """A column as numbers (rows,): NaN for missing cells, infinity for text and for numbers beyond LARGEST."""
        if column not in self._numbers:
            found = numbers_of(self.columns[column])
            self._numbers[column] = np.where(np.abs(found) > LARGEST, np.inf, found)
        return self._numbers[column]

    def numbers(self, column: str, missing: bool = False) -> np.ndarray:
        """A column as numbers (rows,), NaN for empty cells where `missing` allows them.

        Raises Problem that names the row and column of a cell that is not a number.
        """
        found = self.loose(column)
        wrong = np.isinf(found) if missing else ~np.isfinite(found)
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            said = text_of(self.columns[column][place])
            self.refuse_huge(column, place)
            if math.isfinite(number_of(self.columns[column][place])):
                raise Problem(
                    f"Cannot import {self.row(place)}, column {column!r}: {said} is too large to compute with (at most "
                    f"{LARGEST:g}). Leave the row out: its run diverged, or the cell is damaged."
                )
            empty = " or an empty cell" if missing else ""
            raise Problem(
                f"Cannot import {self.row(place)}, column {column!r}: it holds "
                f"{shown(said) if said else 'an empty cell'}, and a finite number{empty} is needed there. Fix it, or "
                "leave the row out."
            )
        return found

    def refuse_huge(self, column: str, place: int | None = None) -> None:
        """Raise Problem for a cell that is a number, and too large for one. place: its row; None: any of the column."""
        for row in range(len(self)) if place is None else (place,):
            if (huge := huge_text(self.columns[column][row])) is not None:
                raise Problem(
                    f"Cannot import {self.row(row)}, column {column!r}: {huge} is {TOO_LARGE}. Leave the row out: its "
                    "run diverged, or the cell is damaged."
                )

    def whole_numbers(self, column: str, missing: bool = False) -> np.ndarray:
        """A column of whole numbers of at least 0, as `numbers` gives them. Raises Problem for a cell that is none."""
        if column not in self.columns:
            raise Problem(f"Cannot find a column {column!r} in {self.name}. Name another one.")
        found = self.numbers(column, missing)
        wrong = np.flatnonzero(~np.isnan(found) & ((found < 0) | (found != np.round(found)) | (found > 2**62)))
        if len(wrong):
            raise Problem(
                f"Cannot import {self.row(wrong[0])}, column {column!r}: {found[wrong[0]]:g} is not a whole number of "
                "at least 0. Fix it, or name another column."
            )
        return found

    def is_numeric(self, column: str) -> bool:
        """Whether more cells are numbers than are something else: a damaged cell does not hide a column."""
        found = self.loose(column)
        return bool(np.isfinite(found).sum() > np.isinf(found).sum())

    def is_whole(self, column: str) -> bool:
        """Whether all numbers of a column are whole ones."""
        found = self.loose(column)
        there = found[np.isfinite(found)]
        return bool(len(there)) and bool((there == np.round(there)).all())

    def counts_rows(self, column: str) -> bool:
        """Whether a column numbers the rows: 0, 1, 2, ... or 1, 2, 3, ..."""
        found = self.loose(column)
        return len(found) > 2 and found[0] in (0, 1) and bool(np.array_equal(found, found[0] + np.arange(len(found))))

    def only(self, places: Sequence[int], note: str | None = None) -> "Table":
        """The table of these rows, in this order, which keep the names that people know them by."""
        columns = {name: [cells[i] for i in places] for name, cells in self.columns.items()}
        notes = (*self.notes, note) if note else self.notes
        return Table(self.name, columns, [self.lines[i] for i in places], notes, self.asked, self.told)


def text_of(cell: Any) -> str:
    """A cell as text, whole numbers without a fraction."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def numbers_of(cells: list[Any]) -> np.ndarray:
    """Cells as numbers: see `number_of`. A column of plain numbers takes the short way."""
    try:
        if all(type(cell) in (int, float) for cell in cells):
            return np.array(cells, float)
        if all(type(cell) is str and "_" not in cell for cell in cells):
            return np.array(list(map(float, cells)), float)
    except (ValueError, OverflowError):
        pass
    return np.array([number_of(cell) for cell in cells], float)


def number_of(cell: Any) -> float:
    """A cell as a number, NaN for a missing one, infinity for what is no finite number; true and false are none."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        cell = cell.strip().replace("\u2212", "-")  # as typesetters and some spreadsheets write it
        if cell.lower() in MISSING:
            return math.nan
        if "_" in cell:  # Python reads 1_000; files do not mean it
            return math.inf
    try:
        return math.inf if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.inf
