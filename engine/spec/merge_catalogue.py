"""The merge methods and their knobs, for pages and studies: read from a file, so that no torch is needed.

catalogue.json is made from engine/merge_methods by `python -m engine.merging.methods`; a test holds the two equal.
"""

import json
from dataclasses import dataclass
from functools import cache
from numbers import Real
from pathlib import Path

from engine.core.errors import Problem
from engine.spec.merge_learners import refuse_without_data

FILE = Path(__file__).with_suffix(".json")
LARGEST = 1e9  # of any knob: what is merged with more is lost in the rounding of fp32, or ends it


@dataclass(frozen=True)
class Knob:
    """A method's parameter. kind: "bool", "int" or "float"; each: one value an expert; required: it has no default;
    low, high: what a fader or a search tries, None for a bool; least, most: what the method takes, None: no limit."""

    name: str
    kind: str
    each: bool
    required: bool
    default: float | bool | None
    low: float | None
    high: float | None
    least: float | None
    most: float | None

    def checked(self, name: str, value) -> float | int | bool:
        """A value of the knob's kind. Raises Problem, with the name that the user knows, for what it does not take."""
        return checked(name, self.kind, self.least, self.most, value)


@dataclass(frozen=True)
class Card:
    """A method as pages and studies know it; the fields of engine.merging.methods.Method, and its knobs by name."""

    name: str
    title: str
    paper: str
    base: str
    least: int
    most: int
    restores: bool
    knobs: dict[str, Knob]


@cache
def catalogue() -> dict[str, Card]:
    """All methods by name, in the order of their table."""
    cards = json.loads(FILE.read_text())
    return {
        name: Card(name, **{**card, "knobs": {key: Knob(key, **knob) for key, knob in card["knobs"].items()}})
        for name, card in cards.items()
    }


def card_of(name: str) -> Card:
    """One method. Raises Problem for one that is not there."""
    refuse_without_data(name)
    if name not in catalogue():
        raise Problem(f"Cannot merge by {name!r}: the methods are {', '.join(catalogue())}.")
    return catalogue()[name]


def checked(name: str, kind: str, least: float | None, most: float | None, value) -> float | int | bool:
    """A knob's value as its kind: "bool", "int" or "float". Raises Problem for another, or one outside the limits."""
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise Problem(f"Cannot use {value!r:.80} as {name}: it must be true or false.")
    low, high = -LARGEST if least is None else least, LARGEST if most is None else most
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not low <= value <= high or (kind == "int" and value != int(value)):
        wanted = "a whole number" if kind == "int" else "a number"
        raise Problem(f"Cannot use {value!r:.80} as {name}: it must be {wanted} from {low:g} to {high:g}.")
    return int(value) if kind == "int" else float(value)
