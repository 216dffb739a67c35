"""Numbers as options give them: what is none, or too large, is named as it was written, and short."""

from argparse import ArgumentTypeError
from collections.abc import Callable

from engine.core.shown import Huge, number, shown, whole


def number_given(text: str) -> float:
    """A number. Raises ArgumentTypeError for anything else."""
    return _of(text, number, "a number")


def whole_given(text: str) -> int:
    """A whole number. Raises ArgumentTypeError for anything else."""
    return int(_of(text, whole, "a whole number"))


def _of(text: str, read: Callable[[str], float], wanted: str) -> float:
    try:
        found = read(text)
    except ValueError:
        raise ArgumentTypeError(f"{shown(text)} is not {wanted}") from None
    if isinstance(found, Huge):
        raise ArgumentTypeError(f"it is {found}")
    return found
