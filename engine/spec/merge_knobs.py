"""A knob: a named parameter of a merge method or learner, its valid values, and the range of faders and searches."""

from dataclasses import dataclass
from typing import Any

from engine.core.checks import check, is_number

LARGEST = 1e9  # of any knob: beyond it merges drown in fp32 rounding, or overflow


@dataclass(frozen=True)
class Knob:
    """kind: "bool", "int" or "float"; each: one value per expert; required: it has no default; low, high: range of
    faders and searches, None for a bool; minimum, maximum: valid values, None: up to LARGEST; text: what it does."""

    name: str
    kind: str
    each: bool
    required: bool
    default: float | bool | None
    low: float | None
    high: float | None
    minimum: float | None
    maximum: float | None
    text: str = ""

    def checked(self, name: str, value: Any) -> float | int | bool:
        """The value as the knob's kind. Raises Problem if it is invalid; `name` is the user's name for the knob."""
        if self.kind == "bool":
            check(isinstance(value, bool), value, name, "true or false")
            return bool(value)
        low = -LARGEST if self.minimum is None else self.minimum
        high = LARGEST if self.maximum is None else self.maximum
        whole = self.kind == "int"
        fine = is_number(value, low, high) and (not whole or value == int(value))
        check(fine, value, name, f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g}")
        return int(value) if whole else float(value)
