"""Shares from a table: matched by name in any order, checked, normalised where rounding left them short of 1."""

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.importing.shares import PERCENT, SUM, scale_of
from engine.importing.tables import Table

EXACT = 1e-9
DIVIDE, SOFTMAX = "divide", "softmax"
SCALES = {
    DIVIDE: "weights to be divided by their sum, row by row",
    SOFTMAX: "logarithms of weights (a softmax over each row makes shares of them)",
}


def read_points(table: Table, columns: dict[str, str], scale: str | None = None) -> tuple[np.ndarray, list[str]]:
    """Mixtures (rows, D) of a table whose columns are {domain: column}, and what was done to the numbers, in sentences.

    scale: how numbers become shares that sum neither to 1 nor to 100, see SCALES; None where they must. A domain's
    column may also bear the domain's own name. An empty cell is 0 where the rest of its row sums to 1.

    Raises Problem, naming row and column, for a column that is missing, a share that is negative, empty or no number,
    and a row that misses 1 by more than 2%.
    """
    found = np.stack([_numbers(table, domain, column) for domain, column in columns.items()], axis=1)
    names = [column if column in table.columns else domain for domain, column in columns.items()]
    kind, _ = scale_of(found)
    notes = []
    if kind == PERCENT:
        found = found / 100
        notes.append("The shares are in percent: every row sums to 100.")
    as_they_are = kind in ("one", PERCENT)
    if scale == SOFTMAX and not as_they_are:
        _refuse(table, names, found, np.isnan(found), "it is empty, and every logarithm is needed")
        powers = np.exp(found - found.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True), ["A softmax over each row made shares of the weights."]
    _refuse(table, names, found, found < 0, "the share {:g} is below 0")
    rest = np.nan_to_num(found).sum(axis=1)
    short = np.abs(rest - 1) > SUM + 1e-12
    if scale is None or as_they_are:
        _refuse(
            table, names, found, np.isnan(found) & short[:, None], "it holds an empty cell, and a share is needed there"
        )
    if empty := int(np.isnan(found).any(axis=1).sum()):
        sums = "" if scale == DIVIDE and not as_they_are else ": the rest of each row sums to 1"
        notes.append(f"Empty cells of shares are 0 in {counted(empty, 'run')}{sums}.")
    found = np.nan_to_num(found)
    if scale == DIVIDE and not as_they_are:
        _refuse(table, names, found, np.broadcast_to((rest <= 0)[:, None], found.shape), "all weights of the row are 0")
        return found / rest[:, None], [*notes, "The weights of each row were divided by their sum."]
    if short.any():
        place = int(np.flatnonzero(short)[0])
        raise Problem(
            f"Cannot import {table.row(place)}, columns {names[0]!r} to {names[-1]!r}: its shares sum to "
            f"{rest[place]:.6g}, and they must sum to 1 within {SUM:.0%}. Fix the row, or leave it out."
        )
    if normalised := int((np.abs(rest - 1) > EXACT).sum()):
        notes.append(f"The shares of {counted(normalised, 'run')} did not sum to 1 exactly and were normalised.")
    return found / rest[:, None], notes


def _refuse(table: Table, names: list[str], found: np.ndarray, wrong: np.ndarray, what: str) -> None:
    """Raise Problem for the first wrong cell (rows, D)."""
    if wrong.any():
        place, column = np.argwhere(wrong)[0]
        raise Problem(
            f"Cannot import {table.row(place)}, column {names[column]!r}: {what.format(found[place, column])}. Fix it, "
            "or leave the row out."
        )


def _numbers(table: Table, domain: str, column: str) -> np.ndarray:
    name = column if column in table.columns else domain
    if name not in table.columns:
        raise Problem(
            f"Cannot import {table.name}: it has no column {column!r} with the shares of {domain!r}. Add it, with 0 "
            "where a mixture does without."
        )
    return table.numbers(name, missing=True)
