"""The merge methods and their knobs, for pages and studies: read from a file, so that no torch is needed.

merge_catalogue.json is generated from engine/merging/methods by `python -m engine.merging.methods`; a test keeps them
equal.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.core.errors import Problem
from engine.spec.merge_knobs import Knob
from engine.spec.merge_learners import refuse_without_data

FILE = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Card:
    """A method's metadata: fields of engine.merging.methods.Method, and its knobs by name."""

    name: str
    title: str
    paper: str
    base: str
    min_experts: int
    max_experts: int
    identity_at_one: bool
    knobs: dict[str, Knob]


@cache
def catalogue() -> dict[str, Card]:
    """All methods by name, in table order."""
    cards = json.loads(FILE.read_text())
    return {
        name: Card(name, **{**card, "knobs": {key: Knob(key, **knob) for key, knob in card["knobs"].items()}})
        for name, card in cards.items()
    }


def card_of(name: str) -> Card:
    """One method by name. Raises Problem if there is none."""
    refuse_without_data(name)
    if name not in catalogue():
        raise Problem(f"Cannot merge by {name!r}: the methods are {', '.join(catalogue())}.")
    return catalogue()[name]
