"""Phases of runs that were trained elsewhere: a family of shares for each, and one of what they add up to."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.importing.points import read_points
from engine.importing.shares import Family, domains_of
from engine.importing.tables import Table

PHASE = re.compile(r"(?:phase|stage)[ _./-]?(\d+)", re.IGNORECASE)
OFF = 1e-3  # by which the phases may miss their totals: tables are rounded
DIGITS = 4  # of a fraction


@dataclass(frozen=True)
class PhaseColumns:
    """fractions (F,): of the tokens; columns: of each phase, domain -> its column of shares."""

    fractions: tuple[float, ...]
    columns: tuple[dict[str, str], ...]

    @property
    def note(self) -> str:
        parts = " and ".join(f"{100 * one:.4g}%" for one in self.fractions)
        return f"The shares are what {len(self.fractions)} phases of {parts} add up to; what is read when is kept."

    def read(self, table: Table) -> np.ndarray:
        """(R, F, D) the shares of the phases. Raises Problem as `read_points` does."""
        return np.stack([read_points(table, one)[0] for one in self.columns], axis=1)


def total_of_phases(table: Table, found: Sequence[Family]) -> Family | None:
    """The family that is what numbered phases add up to; None where there is none."""
    return next((one for one in found if phases_under(table, one, found) is not None), None)


def phases_under(table: Table, total: Family, found: Iterable[Family]) -> PhaseColumns | None:
    """The numbered phases of a family of totals, with the fractions that make these of them; None where none do."""
    names = domains_under(total)
    stages = [(number, one) for one in found if (number := number_of(one)) is not None]
    stages = sorted((number, one) for number, one in stages if set(domains_under(one)) == set(names))
    numbers = [number for number, _ in stages]
    if number_of(total) is not None or len(stages) < 2 or len(set(numbers)) < len(numbers):
        return None
    columns = tuple(domains_under(one) for _, one in stages)
    each = np.stack([_values(table, [one[name] for name in names]) for one in columns], axis=1)
    wanted = _values(table, list(names.values()))
    fractions = np.linalg.lstsq(each, wanted, rcond=None)[0]
    fits = np.abs(each @ fractions - wanted).max() < OFF and abs(fractions.sum() - 1) < OFF
    if not fits or fractions.min() < OFF or np.linalg.matrix_rank(each, OFF) < len(stages):
        return None
    rounded = np.round(fractions / fractions.sum(), DIGITS)
    rounded[-1] = round(1 - rounded[:-1].sum(), DIGITS)
    return PhaseColumns(tuple(rounded.tolist()), columns)


def number_of(family: Family) -> int | None:
    """The number of the phase that a family's columns name; None where they name none."""
    found = PHASE.search(family.prefix or family.suffix)
    return int(found[1]) if found else None


def domains_under(family: Family) -> dict[str, str]:
    """domain -> column, by what the columns have beside the family's own prefix or suffix."""
    return domains_of(family.columns, family.prefix, True, family.suffix)


def _values(table: Table, columns: list[str]) -> np.ndarray:
    """The numbers of columns, row by row, as one list; empty cells are 0."""
    values: np.ndarray = np.nan_to_num(np.stack([table.loose(name) for name in columns], axis=1))
    return values.ravel()
