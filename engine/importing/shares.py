"""Which columns are the shares: every family of columns that may be, why, and how its numbers are scaled.

A family is all columns under one prefix, or neighbours whose values sum to 1 (or 100) in every row.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.importing.names import HARD, LOOSE_WORDS, LOSS, SCORE, SHARE_WORDS, SOFT, words_of
from engine.importing.tables import Table

SUM = 0.02  # by which shares may miss 1: tables are rounded
EXACT = 1e-6  # an error of sums below which nothing is told apart
ALIKE = 1.5  # errors of sums that differ by less than this factor do not tell families apart
FEWEST = 3  # rows with shares: with fewer, the others count as zeros
THIRDS = 3  # parts of the rows that are looked at where all of them show nothing
KEPT = 12  # runs of neighbours that are told
NARROWING = 64  # rows by which the runs of neighbours are narrowed down
CLOSEST = 200  # of them that are looked at
PAIRS = 20_000  # of first and last neighbours that are compared
ONE, PERCENT, ROUNDED, COUNTS, RAW, SIGNED = "one", "percent", "rounded", "counts", "raw", "signed"
SUMS = {
    ONE: "they sum to 1",
    PERCENT: "they sum to 100",
    ROUNDED: "they sum to 1 as far as their rounding allows",
    COUNTS: "they have the same sum in every row",
    RAW: "they do not sum to 1",
    SIGNED: "some are below 0",
}


@dataclass(frozen=True)
class Family:
    """columns: in the table's order; prefix: what they begin with; suffix: what they end with; both "" for neighbours;
    named: whether these say shares.

    scale: see SUMS; error: how far their sums miss, as a root of the mean square.
    """

    columns: tuple[str, ...]
    prefix: str
    named: bool
    scale: str
    error: float
    suffix: str = ""

    @property
    def id(self) -> str:
        apart = self.prefix or self.suffix
        return f"{self.prefix}*{self.suffix}" if apart else f"{self.columns[0]}..{self.columns[-1]}"

    @property
    def sums(self) -> bool:
        """Whether its numbers are shares as they stand."""
        return self.scale in (ONE, PERCENT)

    @property
    def why(self) -> str:
        """The reasons to take these columns for shares, as words."""
        if self.suffix:
            return f"all that end in {self.suffix!r}, {SUMS[self.scale]}"
        name = f"named {self.prefix!r}, like weights, and " if self.named else ""
        return f"{name}{SUMS[self.scale]}" + ("" if self.prefix else ", as neighbours")

    def explains(self, other: "Family") -> bool:
        """Whether neighbours that sum to 1 do so because this family does, and are none of their own."""
        over = bool(set(self.columns) & set(other.columns)) and self.sums
        return over and (self.named or max(self.error, EXACT) <= max(other.error, EXACT))

    def rivals(self, other: "Family") -> bool:
        """Whether the other overlaps and is no worse explained."""
        close = max(other.error, EXACT) <= ALIKE * max(self.error, EXACT)
        return bool(set(self.columns) & set(other.columns)) and close and other.named >= self.named


def scale_of(values: np.ndarray) -> tuple[str, float]:
    """How numbers (R, D) are scaled (see SUMS), and the error of their sums. NaN counts as 0; rows of nothing else, and
    rows with infinity, do not count.

    Where most rows sum to 1 or to 100, the others are wrong rows, not another scale.
    """
    known = ~np.isinf(values).any(axis=1)
    some = known & ~np.isnan(values).all(axis=1)
    whole = np.nan_to_num(values[some if some.sum() >= FEWEST else known])
    good = whole[(whole >= 0).all(axis=1)]
    if 2 * len(good) <= len(whole) or not len(good):
        return SIGNED, np.inf
    sums = good.sum(axis=1)
    for scale, target in ((ONE, 1.0), (PERCENT, 100.0)):
        off = np.abs(sums / target - 1)
        if (off <= SUM + 1e-12).all():
            return scale, float(np.sqrt(np.mean(off**2)))
        rounding = good.shape[1] * _unit_of(good) / 2
        if scale == ONE and (off <= min(rounding, 0.5) + 1e-12).all():
            return ROUNDED, float(np.sqrt(np.mean(off**2)))
        if 2 * (off <= SUM).sum() > len(off):
            return scale, float(np.sqrt(np.mean(off[off <= SUM] ** 2)))
    steady = len(sums) > 2 and np.ptp(sums) <= SUM * sums.max() and (np.ptp(good, axis=0) > 0).any()
    return (COUNTS if steady and sums.max() > 2 else RAW), np.inf


def _unit_of(values: np.ndarray) -> float:
    """The decimal place that values are rounded to, 1e-9 where they are not."""
    for digits in range(1, 9):
        if np.abs(values - np.round(values, digits)).max() < 1e-9:
            return 10.0**-digits
    return 1e-9


def families(table: Table, names: list[str]) -> list[Family]:
    """All families among columns of numbers that may be shares, the likeliest first."""
    found = [one for one in _by_prefix(table, names) if one.sums or one.scale in (ROUNDED, COUNTS) or one.named]
    values = np.stack([table.loose(name) for name in names], axis=1) if names else np.zeros((1, 0))
    found += [one for one in _neighbours(values, names) if not any(other.explains(one) for other in found)]
    found += [one for one in _by_suffix(table, names) if not any(other.columns == one.columns for other in found)]
    found = found or _in_most_rows(values, names)
    return sorted(found, key=lambda one: (not one.sums, not one.named, max(one.error, EXACT), -len(one.columns)))


def _by_prefix(table: Table, names: list[str]) -> list[Family]:
    """The families under a common prefix; of prefixes with the same columns the longest."""
    groups: dict[str, list[str]] = {}
    for name in names:
        for mark in SOFT.finditer(name):
            if 0 < mark.end() < len(name):
                groups.setdefault(name[: mark.end()], []).append(name)
    longest = {tuple(members): prefix for prefix, members in groups.items() if len(members) > 1}
    found = []
    for members, prefix in longest.items():
        scale, error = scale_of(np.stack([table.loose(name) for name in members], axis=1))
        words = words_of(prefix)
        named = bool(words & SHARE_WORDS) and not LOSS.search(prefix) and not SCORE.search(prefix)
        if scale in (RAW, SIGNED) and not words & (SHARE_WORDS - LOOSE_WORDS):
            continue
        found.append(Family(members, prefix, named, scale, error))
    return found


def _by_suffix(table: Table, names: list[str]) -> list[Family]:
    """The families with a common end that says shares, or that sum to 1 or to 100: phases, column by column."""
    groups: dict[str, list[str]] = {}
    for name in names:
        marks = list(SOFT.finditer(name))
        if marks and 0 < marks[-1].start() < len(name) - 1:
            groups.setdefault(name[marks[-1].start() :], []).append(name)
    found = []
    for suffix, members in groups.items():
        scale, error = scale_of(np.stack([table.loose(name) for name in members], axis=1))
        says = words_of(suffix[1:]) & (SHARE_WORDS - LOOSE_WORDS)
        if len(members) > 1 and (says or (scale in (ONE, PERCENT) and np.isfinite(error))):
            named = bool((words_of(common_prefix(members)) | words_of(suffix[1:])) & SHARE_WORDS)
            found.append(Family(tuple(members), "", named, scale, error, suffix))
    return found


def _in_most_rows(values: np.ndarray, names: list[str]) -> list[Family]:
    """The runs of neighbours that sum to 1 or to 100 in most rows: a wrong row or two hide nothing.

    They are looked for in a third of the rows at a time. Whoever reads the shares names the wrong rows.
    """
    for start in range(THIRDS if len(values) >= 3 * THIRDS else 0):
        found = [one for one in _neighbours(values[start::THIRDS], names) if _most_agree(values, names, one)]
        if found:
            return found
    return []


def _most_agree(values: np.ndarray, names: list[str], family: Family) -> bool:
    """Whether the columns of a family sum to 1, or to 100, in most rows."""
    places = [names.index(name) for name in family.columns]
    sums = np.nan_to_num(values[:, places], posinf=np.inf).sum(axis=1) / (100 if family.scale == PERCENT else 1)
    return bool(3 * (np.abs(sums - 1) <= SUM).sum() >= 2 * len(sums))


def _neighbours(values: np.ndarray, names: list[str]) -> list[Family]:
    """The best runs of neighbours that sum to 1 or to 100 in every row, and those that the sums cannot tell from them.

    values (R, C): the columns' numbers. Columns of zeros change no sum: inside a run they belong to it, at its ends
    both ways are offered.
    """
    usable = ~np.isinf(values).any(axis=0) & ~(values < 0).any(axis=0)
    values = np.nan_to_num(values, posinf=0)
    breaks = [-1, *np.flatnonzero(~usable).tolist(), len(names)]
    found: list[Family] = []
    for before, after in pairwise(breaks):
        places = np.arange(before + 1, after)
        live = places[(values[:, places] > 0).any(axis=0)]
        for target, scale in ((1.0, ONE), (100.0, PERCENT)):
            for first, last, error in _runs(values[:, live] / target):
                start, end = live[first], live[last - 1] + 1
                found.append(Family(tuple(names[start:end]), "", False, scale, error))
                wide = _with_zeros(start, end, live, places)
                if wide != (start, end):
                    found.append(Family(tuple(names[wide[0] : wide[1]]), "", False, scale, error))
    return _best(found)


def constant(table: Table, names: list[str]) -> Family | None:
    """Neighbours that sum to 1 or to 100 and are the same in every row, of columns of numbers; None where there are
    none. They are shares, most likely, of runs that nothing can be learned from."""
    values = np.stack([table.loose(name) for name in names], axis=1) if names else np.zeros((1, 0))
    least, most = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    held = np.where(least == most, most, np.inf)
    return next(iter(_neighbours(np.stack([held, held]), names)), None)


def _with_zeros(start: int, end: int, live: np.ndarray, places: np.ndarray) -> tuple[int, int]:
    """A run with the columns of zeros that stand at its ends."""
    zeros = set(places.tolist()) - set(live.tolist())
    while start - 1 in zeros:
        start -= 1
    while end in zeros:
        end += 1
    return int(start), int(end)


def _runs(values: np.ndarray) -> list[tuple[int, int, float]]:
    """(first, behind the last, error) of all runs of at least two neighbours that sum to 1 in every row.

    values (R, C) are at least 0, so sums grow with the run, and each first column has one stretch of last ones.
    """
    rows, count = values.shape
    sums = np.concatenate([np.zeros((rows, 1)), np.cumsum(values, axis=1)], axis=1)
    low, high = np.zeros(count, int), np.full(count, count)
    for row in sums[:: max(1, rows // NARROWING)]:
        low = np.maximum(low, np.searchsorted(row, row[:-1] + 1 - SUM - 1e-9, "left"))
        high = np.minimum(high, np.searchsorted(row, row[:-1] + 1 + SUM + 1e-9, "right") - 1)
    found, looked = [], 0
    least, varies = values.min(axis=0), np.ptp(values, axis=0) > 0
    for first in range(count):
        for last in range(max(int(low[first]), first + 2), int(high[first]) + 1):
            looked += 1
            off = np.abs(sums[:, last] - sums[:, first] - 1)
            alone = least[first:last].max() >= 1 - SUM  # one of them is all there is in every row
            if off.max() <= SUM + 1e-9 and not alone and (varies[first:last].any() or rows < 3):
                found.append((first, last, float(np.sqrt(np.mean(off**2)))))
        if looked > PAIRS:
            break
    return sorted(found, key=lambda one: (max(one[2], EXACT), one[0] - one[1]))[:CLOSEST]


def _best(found: list[Family]) -> list[Family]:
    """The best explained runs; of those that overlap with one, the ones as well explained, and the ones around it."""
    kept: list[Family] = []
    for one in sorted(found, key=lambda one: (max(one.error, EXACT), -len(one.columns))):
        over = [other for other in kept if set(one.columns) & set(other.columns)]
        if all(other.rivals(one) or set(other.columns) < set(one.columns) for other in over) and len(kept) < KEPT:
            kept.append(one)
    return kept


def domains_of(
    columns: list[str] | tuple[str, ...], prefix: str, told_apart: bool = False, suffix: str = ""
) -> dict[str, str]:
    """domain -> column: names without the words in front that say that they are shares, or whose they are.

    told_apart: other families have the same names behind another prefix, so the whole prefix is none of the domains';
    suffix: what the columns of the family, and no others, end with.
    """
    marks = list(SOFT.finditer(prefix))
    words = [mark.end() for mark in marks if SOFT.split(prefix[: mark.start()])[-1].lower() in SHARE_WORDS]
    paths = [mark.end() for mark in marks if HARD.match(mark.group())]
    cut = len(prefix) if told_apart else (words or paths or [0])[-1]
    names = [name[cut:].removesuffix(suffix) for name in columns]
    return dict(zip(names if len(set(names)) == len(names) and all(names) else columns, columns, strict=True))


def common_prefix(columns: list[str] | tuple[str, ...]) -> str:
    """What all columns begin with, up to a separator; "" where that is nothing."""
    first = min(columns)
    last = max(columns)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    ends = [mark.end() for mark in SOFT.finditer(first[:same]) if mark.end() < min(map(len, columns))]
    return first[: ends[-1]] if ends else ""
