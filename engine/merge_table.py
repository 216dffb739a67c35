"""The merge methods and their knobs without torch: for pages, spaces and commands that only name them.

The file is written from the methods' own signatures by `python -m engine.merge_methods`; a test holds it to them.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "merge_methods" / "methods.json"


@dataclass(frozen=True)
class MethodKnob:
    """A knob as a fader needs it.

    kind: "bool", "int" or "float"; each: one value an expert; default: None if it has none; low, high: None for bool.
    """

    name: str
    kind: str
    each: bool
    default: float | bool | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class MethodCard:
    """A method as a page shows it. base: "required", "optional" or "none"; most 0: any number of experts."""

    name: str
    title: str
    paper: str
    base: str
    least: int
    most: int
    knobs: tuple[MethodKnob, ...]


@cache
def method_cards() -> dict[str, MethodCard]:
    """Every method by name, in the order of the table."""
    listed = json.loads(FILE.read_text())
    return {
        one["name"]: MethodCard(**one | {"knobs": tuple(MethodKnob(**knob) for knob in one["knobs"])})
        for one in listed
    }  # fmt: skip
