"""A merge method's knobs: its function's keyword arguments, with the ranges of faders and searches.

The signature gives names, kinds and defaults; ranges and limits are in RANGES and LIMITS.
"""

import inspect
import json
from dataclasses import asdict
from typing import get_args

from engine.merging.methods.base import Method, PerExpert
from engine.spec.merge_knobs import Knob

DEFAULTS = {"density": 1.0, "gamma": 0.01, "epsilon": 0.15, "scale": 1.0}  # of per-expert knobs, as mergekit has them
RANGES: dict[str, tuple[float, float]] = {  # by name; `method.name` overrides it for one method
    "weight": (0.0, 1.0),
    "lam": (0.0, 2.0),
    "t": (0.0, 1.0),
    "nearswap.t": (0.0, 0.01),
    "density": (0.05, 1.0),
    "gamma": (0.0, 0.2),
    "epsilon": (0.0, 0.45),
    "ram.epsilon": (0.0, 0.001),
    "ramplus_tl.epsilon": (1e-6, 0.001),
    "ramplus_tl.r": (0.0, 1.0),
    "ramplus_tl.alpha": (0.0, 1.0),
    "opcm.alpha": (0.0, 1.0),
    "scale": (0.0, 2.0),
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
LIMITS: dict[str, tuple[float, float | None]] = {  # values outside are invalid; absent or None: up to LARGEST
    **dict.fromkeys(("density", "gamma", "epsilon", "beta", "ratio", "common", "select_topk"), (0, 1)),  # fractions
    **dict.fromkeys(("agree", "steps", "max_iter", "mask_lambda", "tol", "nearswap.t"), (0, None)),
    "task": (1, None),
    "eps": (1e-30, None),  # a divisor, as the next
    "ramplus_tl.epsilon": (1e-30, 1),
    "opcm.alpha": (0, 1),
}


def knobs_of(method: Method) -> dict[str, Knob]:
    """The method's knobs by name, in the order of its signature."""
    found = {}
    for name, one in inspect.signature(method.merge).parameters.items():
        if name == "x":
            continue
        kinds = (one.annotation, *get_args(one.annotation))
        each = PerExpert in kinds
        default = None if one.default is inspect.Parameter.empty else one.default
        if each and default is None:
            default = DEFAULTS.get(name)
        kind = "bool" if bool in kinds else "int" if int in kinds else "float"
        limits = *looked_up(RANGES, method, name), *looked_up(LIMITS, method, name)
        found[name] = Knob(name, kind, each, default is None, default, *limits)
    return found


def looked_up(table: dict, method: Method, name: str) -> tuple[float | None, float | None]:
    """A knob's range: this method's own, or the shared one of that name; (None, None) if there is none."""
    return table.get(f"{method.merge.__name__}.{name}") or table.get(name) or (None, None)


def catalogue_text() -> str:
    """The content of engine/spec/merge_catalogue.json: every method of the table with its knobs."""
    from engine.merging.methods import METHODS

    cards = {}
    for name, method in METHODS.items():
        knobs = {}
        for knob in knobs_of(method).values():
            knobs[knob.name] = {key: value for key, value in asdict(knob).items() if key not in ("name", "text")}
        fields = {
            key: getattr(method, key)
            for key in ("title", "paper", "base", "min_experts", "max_experts", "identity_at_one")
        }
        cards[name] = fields | {"knobs": knobs}
    return json.dumps(cards, indent=1) + "\n"
