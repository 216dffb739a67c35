"""Shares from a table: matched by name in any order, checked, normalised where rounding left them short of 1."""

import numpy as np

from engine.core.errors import Problem
from engine.importing.mapping import SUM
from engine.importing.tables import Table

EXACT = 1e-9


def read_points(table: Table, columns: dict[str, str]) -> tuple[np.ndarray, int]:
    """Mixtures (rows, D) of a table whose columns are {domain: column}, and how many rows had to be normalised.

    A domain's column may also bear the domain's own name. Raises Problem, naming row and column, for a column that is
    missing, a share that is negative or no number, and a row that misses 1 by more than 2%.
    """
    shares = np.stack([_shares(table, domain, column) for domain, column in columns.items()], axis=1)
    total = shares.sum(axis=1)
    wrong = np.flatnonzero(np.abs(total - 1) > SUM + 1e-12)
    if len(wrong):
        percent = (np.abs(total / 100 - 1) <= SUM).all()
        cure = "They look like percent: divide by 100." if percent else "Fix the row, or leave it out."
        raise Problem(
            f"Cannot import {table.row(wrong[0])}, columns {next(iter(columns.values()))!r} to "
            f"{list(columns.values())[-1]!r}: its shares sum to {total[wrong[0]]:.6g}, and they must sum to 1 within "
            f"{SUM:.0%}. {cure}"
        )
    return shares / total[:, None], int((np.abs(total - 1) > EXACT).sum())


def _shares(table: Table, domain: str, column: str) -> np.ndarray:
    name = column if column in table.columns else domain
    if name not in table.columns:
        raise Problem(
            f"Cannot import {table.name}: it has no column {column!r} with the shares of {domain!r}. Add it, with 0 "
            "where a mixture does without."
        )
    found = table.numbers(name)
    if (found < 0).any():
        place = int(np.flatnonzero(found < 0)[0])
        raise Problem(
            f"Cannot import {table.row(place)}, column {name!r}: the share {found[place]:g} is below 0. Fix it, or "
            "leave the row out."
        )
    return found
