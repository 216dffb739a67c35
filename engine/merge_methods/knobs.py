"""A merge method's knobs: its function's keyword arguments, with the range that a fader or a search gives them.

The signature says which knobs there are, of which kind, and their defaults; RANGES is the only other place.
"""

import inspect
import json
from dataclasses import dataclass
from typing import get_args

from engine.merge_methods.base import Method, PerExpert

REQUIRED = object()
DEFAULTS = {"density": 1.0, "gamma": 0.01, "epsilon": 0.15}  # of knobs an expert, as mergekit has them
RANGES: dict[str, tuple[float, float]] = {  # by name; `method.name` where one method means something else by it
    "weight": (0.0, 1.0),
    "lam": (0.0, 2.0),
    "t": (0.0, 1.0),
    "nearswap.t": (0.0, 0.01),
    "density": (0.05, 1.0),
    "gamma": (0.0, 0.2),
    "epsilon": (0.0, 0.45),
    "beta": (0.05, 1.0),
    "ratio": (0.01, 0.5),
    "common": (0.0, 1.0),
    "mask_lambda": (0.1, 1.0),
    "agree": (1, 8),
    "task": (1, 40),
    "steps": (1, 1000),
    "doge_ta.lam": (0.0, 0.3),
    "select_topk": (0.05, 1.0),
    "max_iter": (1, 50),
    "tol": (1e-8, 1e-3),
    "eps": (1e-12, 1e-6),
}


@dataclass(frozen=True)
class Knob:
    """A method's parameter.

    kind: bool, int or float; each: one value an expert; default: REQUIRED if it has none; low, high: what a fader or
    a search tries (the method itself takes more); None for a bool.
    """

    name: str
    kind: type
    each: bool
    default: object
    low: float | None
    high: float | None


def knobs_of(method: Method) -> dict[str, Knob]:
    """The method's knobs by name, in the order of its signature."""
    found = {}
    for name, one in inspect.signature(method.merge).parameters.items():
        if name == "x":
            continue
        kinds = (one.annotation, *get_args(one.annotation))
        each = PerExpert in kinds
        default = REQUIRED if one.default is inspect.Parameter.empty else one.default
        if each and default is REQUIRED:
            default = DEFAULTS.get(name, REQUIRED)
        kind = bool if bool in kinds else int if int in kinds else float
        low, high = RANGES.get(f"{method.merge.__name__}.{name}") or RANGES.get(name) or (None, None)
        found[name] = Knob(name, kind, each, default, low, high)
    return found


def catalogue_text() -> str:
    """What engine/merging/catalogue.json holds: every method of the table with its knobs, as JSON."""
    from engine.merge_methods import METHODS

    cards = {}
    for name, method in METHODS.items():
        knobs = {
            knob.name: {
                "kind": knob.kind.__name__, "each": knob.each, "required": knob.default is REQUIRED,
                "default": None if knob.default is REQUIRED else knob.default, "low": knob.low, "high": knob.high,
            }
            for knob in knobs_of(method).values()
        }  # fmt: skip
        fields = {key: getattr(method, key) for key in ("title", "paper", "base", "least", "most", "restores")}
        cards[name] = fields | {"knobs": knobs}
    return json.dumps(cards, indent=1) + "\n"
