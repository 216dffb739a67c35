"""The mixing desk: a row of faders, over a simplex or over a box."""

from dashboard.components import component

MANY = 8  # faders from which on their tracks are square-root scales (desk.js)


def desk(faders: list[dict], key: str, reset: str, giver: int | None = None, locked: list[bool] | None = None):
    """A mixing desk, one fader per domain; moving one renormalises the unlocked others in proportion, or takes from
    the fader at the place `giver` alone.

    faders: {"name", "colour", "value", "upper", "mark" (share in the prior), "mark_name", "low", "high"
    (near-optimal range, or None)} each. reset: whenever this text changes, the faders jump to the values given.
    locked: which are locked when the desk is first drawn. Returns the component's state: `weights`, the list of shares,
    and `locked`, whether each is locked; in the order of the faders, None before the first change.
    """
    data = {"faders": faders, "reset": reset, "giver": giver, "free": False, "locked": locked}
    return component("desk")(key=key, data=data, on_weights_change=lambda: None, on_locked_change=lambda: None)


def free_desk(faders: list[dict], key: str, reset: str):
    """A desk on which every fader moves alone, between its own "lower" and "upper"; otherwise as `desk`."""
    data = {"faders": faders, "reset": reset, "giver": None, "free": True, "locked": None}
    return component("desk")(key=key, data=data, on_weights_change=lambda: None)
