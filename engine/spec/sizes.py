"""The sizes of a study's runs, in parameters and tokens: which runs stand at each, and which size a study is about.

Losses of different sizes do not compare, so surrogates of shares learn from the runs of one. R runs; fidelity (R, 2):
parameters and tokens of each run, NaN where it does not tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import counted, listed, short_count

SAME = 0.05  # sizes that differ by less, in natural logarithms of either, are one
WHAT = ("parameters", "tokens")
MOST = 8  # sizes that a sentence lists
UNITS = 1e5  # times the next smaller one: no study leaves such a gap, so the numbers are in two units


@dataclass(frozen=True)
class Size:
    """parameters, tokens: means over its runs, None where they do not tell; runs: how many."""

    parameters: float | None
    tokens: float | None
    runs: int

    def __str__(self) -> str:
        parts = [
            f"{short_count(value)} {what}" for value, what in zip(self.place, WHAT, strict=True) if value is not None
        ]
        return " and ".join(parts) or "unknown size"

    @property
    def place(self) -> tuple[float | None, float | None]:
        """Parameters and tokens."""
        return self.parameters, self.tokens


def facts(parameters: Sequence[float | None] | None, tokens: Sequence[float | None] | None, runs: int) -> np.ndarray:
    """(R, 2) fidelity of runs; 0 and None are unknown."""
    columns = [[None] * runs if column is None else column for column in (parameters, tokens)]
    found = np.array(columns, float).T.reshape(runs, 2)
    return np.where(found > 0, found, np.nan)


def sizes_of(fidelity: np.ndarray) -> tuple[list[Size], np.ndarray]:
    """The sizes, smallest first, and the place of each run's among them (R,): -1 where a run tells nothing of its own.

    Raises Problem where numbers cannot be of one unit.
    """
    check_units(fidelity)
    marks = np.stack([_level(column) for column in fidelity.T], axis=1)
    known = (marks >= 0).any(axis=1)
    which = np.full(len(fidelity), -1)
    if known.any():
        which[known] = np.unique(marks[known], axis=0, return_inverse=True)[1].ravel()
    sizes = []
    for place in range(which.max(initial=-1) + 1):
        there = fidelity[which == place]
        sizes.append(Size(_mean(there[:, 0]), _mean(there[:, 1]), len(there)))
    return sizes, which


def _mean(values: np.ndarray) -> float | None:
    if np.isnan(values).all():
        return None
    alike = (values == values[0]).all()
    return float(values[0]) if alike else float(np.exp(np.log(values).mean()))


def _level(values: np.ndarray) -> np.ndarray:
    """(R,) number of each value's group of nearly equal ones, 0 the smallest; -1 where unknown."""
    order = np.argsort(values)
    steps = np.cumsum(np.r_[0, np.diff(np.log(values[order])) > SAME]) if len(values) else np.zeros(0, int)
    found = np.empty(len(values), int)
    found[order] = steps
    return np.where(np.isnan(values), -1, found)


def check_units(fidelity: np.ndarray) -> None:
    """Raises Problem where a size is UNITS times the next smaller one."""
    for what, column in zip(WHAT, fidelity.T, strict=True):
        known = np.unique(column[~np.isnan(column)])
        ratio = known[1:] / known[:-1]
        if (ratio >= UNITS).any():
            gap = int(ratio.argmax())
            raise Problem(
                f"Cannot compare sizes of {known[gap]:,.0f} and {known[gap + 1]:,.0f} {what}: they look like numbers "
                "in two units, such as millions beside single ones. Give all of them in one."
            )


def own_size(sizes: list[Size], wanted: np.ndarray | None = None) -> int:
    """The place of the size with the most runs, the larger one where several have as many; -1 without sizes. wanted
    (2,): the size that a study says it is about, -1 where no run tells of it."""
    if wanted is not None:
        near = at_size(np.array([one.place for one in sizes], float).reshape(-1, 2), wanted)
        return int(near.argmax()) if near.any() else -1
    return max(range(len(sizes)), key=lambda place: (sizes[place].runs, place), default=-1)


def at_own_size(fidelity: np.ndarray) -> np.ndarray:
    """(R,) which runs are of the size with the most runs. Those that tell nothing of their size count as of it.

    All of them, where sizes cannot be compared.
    """
    try:
        sizes, which = sizes_of(fidelity)
    except Problem:
        return np.ones(len(fidelity), bool)
    own: np.ndarray = (which == own_size(sizes)) | (which == -1)
    return own


def at_size(fidelity: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(R,) which runs are of a size (2,): of its parameters and tokens, as far as they tell."""
    far = np.abs(np.log(fidelity / size)) > SAME  # NaN, where a run does not tell, is not
    near: np.ndarray = ~far.any(axis=1)
    return near


def notes_on_sizes(fidelity: np.ndarray, wanted: np.ndarray | None = None) -> list[str]:
    """How many runs stand at each size and what becomes of them; nothing where there is one size. wanted: as of
    `own_size`."""
    try:
        sizes, which = sizes_of(fidelity)
    except Problem as problem:
        return [f"{problem} Until then surrogates take all runs as of one size."]
    if len(sizes) < 2:
        return []
    counts = [f"{counted(one.runs, 'run')} at {one}" for one in sizes]
    place, unknown = own_size(sizes, wanted), int((which == -1).sum())
    taken = "none" if place < 0 else f"only the {counted(sizes[place].runs, 'run')} at {sizes[place]}"
    why = "the size with the most runs" if wanted is None else "the size that the study is about"
    return [
        f"The runs are of {len(sizes)} sizes: {listed(counts, MOST, between='; ')}. Surrogates of shares take {taken}, "
        f"{why}. All of them serve predictions at a size."
        + (f" Runs without a size are counted there: {unknown}." if unknown else "")
    ]
