"""Checks of values that people, files and journals give: numbers, texts, and the Problem that names a wrong one."""

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

from engine.core.errors import Problem
from engine.core.shown import shown

LARGEST = 1e100  # of a number that is computed with: its square, summed over millions of runs, is one too


def is_number(value: object, low: float = -LARGEST, high: float = LARGEST) -> bool:
    """Whether it is a number from low to high, of any numeric tower (numpy's, too). True and False are none, nor is
    what is larger than LARGEST."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        number = float(value)
    except OverflowError:
        return False
    return low <= number <= high and abs(number) <= LARGEST


def is_whole(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether it is a whole number from low to high. 2.0, True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def or_null(values: Iterable[float]) -> list[float | None]:
    """Numbers as JSON holds them: None for NaN and infinity."""
    return [float(one) if math.isfinite(one) else None for one in values]


def is_texts(value: object) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def check(fine: object, value: object, what: str, wanted: str) -> None:
    """Raise Problem unless it is fine: what it was to be used as, the value, and what it must be."""
    if not fine:
        raise Problem(f"Cannot use {shown(value)} as {what}: it must be {wanted}.")


def check_fields(values: object, needed: Iterable[str], optional: Iterable[str], what: str) -> None:
    """Raise Problem unless it is a dict with all of the needed fields and nothing but these and the optional ones."""
    must = [*needed]
    known = [*must, *optional]
    if not isinstance(values, dict):
        raise Problem(f"Cannot read {what}: it is {shown(values)}, and must be a table of {', '.join(known)}.")
    if missing := [name for name in must if name not in values]:
        raise Problem(f"Cannot read {what}: its {missing[0]!r} is missing. Its fields: {', '.join(known)}.")
    if unknown := [name for name in values if name not in known]:
        raise Problem(f"Cannot read {what}: it has no field {shown(unknown[0])}. Its fields: {', '.join(known)}.")


def once_each(pairs: Iterable[tuple[str, Any]], what: str) -> dict[str, Any]:
    """Named values as a dict. what: they stand in. Raises Problem for a name that is there twice: which one is meant
    cannot be known."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(f"Cannot read {what}: {shown(name)} is there twice. Leave one of them.")
        found[name] = value
    return found
