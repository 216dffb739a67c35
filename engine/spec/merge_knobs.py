"""A knob: a named parameter of a merge method or of a learner, what it takes, and what a fader or a search tries."""

from dataclasses import dataclass
from typing import Any

from engine.core.checks import check, is_number

LARGEST = 1e9  # of any knob: what is merged with more is lost in the rounding of fp32, or ends it


@dataclass(frozen=True)
class Knob:
    """kind: "bool", "int" or "float"; each: one value per expert; required: it has no default; low, high: what a fader
    or a search tries, None for a bool; least, most: what is taken at all, None: up to LARGEST; text: what it does."""

    name: str
    kind: str
    each: bool
    required: bool
    default: float | bool | None
    low: float | None
    high: float | None
    least: float | None
    most: float | None
    text: str = ""

    def checked(self, name: str, value: Any) -> float | int | bool:
        """A value of the knob's kind. Raises Problem, with the name that the user knows, for what it does not take."""
        if self.kind == "bool":
            check(isinstance(value, bool), value, name, "true or false")
            return bool(value)
        low, high = -LARGEST if self.least is None else self.least, LARGEST if self.most is None else self.most
        whole = self.kind == "int"
        fine = is_number(value, low, high) and (not whole or value == int(value))
        check(fine, value, name, f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g}")
        return int(value) if whole else float(value)
