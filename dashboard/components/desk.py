"""The mixing desk: rows of faders, over a simplex or over a box, and where they stand."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from dashboard.components import component

MANY = 8  # faders from which on their tracks are square-root scales (desk.js)


@dataclass(frozen=True)
class Fader:
    """One fader. value, lower, upper: a share, or a coefficient; mark: a tick on its track, and what it is; low, high:
    the near-optimal range, or None; lit: (value, 0 to 1) along the track, 1 where the prediction is the best."""

    name: str
    colour: str
    value: float
    lower: float
    upper: float
    mark: float
    mark_name: str
    low: float | None = None
    high: float | None = None
    lit: list[tuple[float, float]] | None = None


@dataclass(frozen=True)
class GroupFader:
    """The fader of a group: what its members, faders by their places, have together. level: which of the desk's levels
    it stands in, such as source; low, high: its bounds, None where there are none; mark: as of a fader."""

    level: str
    name: str
    colour: str
    members: list[int]
    mark: float
    mark_name: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Position:
    """Where the faders of a desk stand; settled: they are not being dragged."""

    values: list[float]
    settled: bool


def position_sent(key: str, reset: str, count: int) -> Position | None:
    """The position that the desk under `key` has sent since it was last set by `reset`; None before it is moved."""
    sent = (st.session_state.get(key) or {}).get("position")
    if not sent or sent["reset"] != reset or len(sent["weights"]) != count:
        return None
    return Position(sent["weights"], sent["settled"])


def desk(
    faders: list[Fader],
    key: str,
    reset: str,
    *,
    free: bool = False,
    giver: int | None = None,
    locked: list[bool] | None = None,
    scenes: dict[str, list[float]] | None = None,
    tried: list[tuple[list[float], float]] = (),
    needed: float = 1.0,
    groups: Sequence[GroupFader] = (),
):
    """A mixing desk. On a simplex, moving one fader renormalises the unlocked others in proportion, or takes from the
    one at the place `giver` alone; with `free`, every fader moves alone, between its own ends.

    reset: whenever this text changes, the faders jump to the values given; `told` ignores what was sent before. locked,
    scenes: as the desk is first drawn. tried: positions tried, each with 0 (best) to 1 (worst) for its prediction.
    needed: the share up to which tracks must reach. groups: faders that move their members together, as a folded tree;
    of many domains, and where there are groups, a filter shows some. Returns the component's state: `position`,
    `locked` (whether each is), `scenes` ({letter: values}), each None before the first change.
    """
    data = {
        "faders": [asdict(one) for one in faders],
        "reset": reset,
        "free": free,
        "giver": giver,
        "locked": locked,
        "scenes": scenes or {},
        "tried": [{"values": values, "worse": worse} for values, worse in tried],
        "needed": needed,
        "groups": [asdict(one) for one in groups],
    }
    nothing = {f"on_{name}_change": lambda: None for name in ("position", "locked", "scenes")}
    return component("desk", "moves", "scenes", "tree")(key=key, data=data, **nothing)
