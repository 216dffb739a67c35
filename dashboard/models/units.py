"""Numbers as people read them, and the unit in which they read losses: what is kept is in bits per byte.

A loss of b bits per byte is b ln 2 nats per byte, and a perplexity per byte of 2^b: how many equally likely bytes the
model chooses among. So an interval's ends are converted, each by itself; and a difference of losses would be a ratio of
perplexities, so it stays in bits per byte, and says so. Other units (accuracy, standard deviations) stay as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.spec.objectives import BITS

NATS, PERPLEXITY = "nats per byte", "perplexity per byte"
INTERVAL = ("± 95%", "95% from", "to")  # columns of a table: half its width, or both of its ends
READINGS = {"bits": BITS, "nats": NATS, "perplexity": PERPLEXITY}  # as links hold them -> the unit of a loss


MINUS = "−"


def digits(value: float, form: str) -> str:
    """A number in one of Python's formats, such as "+.3f", with a minus sign where Python writes a hyphen. What rounds
    to nothing has none."""
    text = f"{value:{form}}"
    if text.startswith("-") and not text.strip("-0.,%"):
        text = "+" * form.startswith("+") + text[1:]
    return text.replace("-", MINUS)


def with_ends(value: float | None, ends: Sequence[float] | None, form: str = ".3f") -> str:
    """A value with the ends of its interval, as far as they are known."""
    if value is None:
        return ""
    return digits(value, form) + ("" if ends is None else " ({} to {})".format(*(digits(end, form) for end in ends)))


def number(value: float, sign: str = "") -> str:
    """A number with three decimals, or none from 1000 on. sign: "+" to show it always."""
    return digits(value, f"{sign}.3f" if abs(value) < 1000 else f"{sign},.0f")


@dataclass(frozen=True)
class Shown:
    """How values kept in one unit are read. unit, gap_unit: of values, and of differences between two; factor: times
    either; exponential: values are 2 to the power of themselves instead."""

    unit: str
    gap_unit: str
    factor: float = 1.0
    exponential: bool = False

    @property
    def note(self) -> str:
        """What has to be said where differences stand beside values; empty where both have one unit."""
        return f" Differences and noise are in {self.gap_unit}." if self.exponential else ""

    def level(self, values):
        """Values, of any shape, as they are read."""
        return np.exp2(values) if self.exponential else self.factor * values

    def kept(self, values):
        """The inverse of `level`: as they are kept; NaN for a perplexity that cannot be."""
        if not self.exponential:
            return values / self.factor
        return np.log2(np.where(np.asarray(values) > 0, values, np.nan))

    def gap(self, values):
        """Differences between values, or their standard deviations, of any shape, as they are read."""
        return self.factor * values

    def ends(self, values, half):
        """The ends of the intervals around values, as they are read."""
        return self.level(values - half), self.level(values + half)

    def words(self, value: float, half: float | None = None) -> str:
        """A value, with half the width of its interval where that is known."""
        text = self._number(self.level(value))
        if half is None or not math.isfinite(half):
            return text
        if not self.exponential:
            return f"{text} ± {number(float(self.gap(half)))}"
        low, high = self.ends(value, half)
        return f"{text} ({self._number(low)} to {self._number(high)})"

    def _number(self, value) -> str:
        """A value; perplexities from 10 on with two decimals, since three say no more."""
        return digits(value, ".2f") if self.exponential and 10 <= value < 1000 else number(float(value))

    def columns(self, value: float | None, half: float | None, gap: bool = False) -> dict[str, float | None]:
        """The interval of a value (or of a difference) as columns of a table: half its width, or both of its ends."""
        unknown = value is None or half is None
        if not self.exponential:
            return {INTERVAL[0]: None if unknown else float(self.gap(half))}
        ends = (None, None) if unknown else (value - half, value + half) if gap else self.ends(value, half)
        return dict(zip(INTERVAL[1:], ends, strict=True))

    def gap_words(self, value: float, half: float | None = None) -> str:
        """A difference with its sign, and half the width of its interval where that is known."""
        text = number(float(self.gap(value)), "+")
        unknown = half is None or not math.isfinite(half)
        return text if unknown else f"{text} ± {number(float(self.gap(half)))}"


def shown_in(reading: str, unit: str) -> Shown:
    """How values kept in a unit are read, by a name of READINGS."""
    if unit != BITS or reading == "bits":
        return Shown(unit, unit)
    if reading == "nats":
        return Shown(NATS, NATS, factor=math.log(2))
    return Shown(PERPLEXITY, BITS, exponential=True)
