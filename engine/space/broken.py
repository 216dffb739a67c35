"""Which constraints a mixture breaks, in words with numbers."""

import numpy as np

from engine.space.simplex import Simplex

ROUNDED = 1e-5  # of each share: what digits of faders and links leave beyond a bound


def broken(space: Simplex, point: np.ndarray) -> list[str]:
    """The bounds of domains, and bounds and ratios of groups, that a mixture (D,) does not keep; empty inside."""
    point = np.asarray(point, float)
    found = [
        line
        for name, share, low, high in zip(space.names, point, space.lower, space.upper, strict=True)
        if (line := _beyond(name, share, low, high))
    ]
    for group in space.groups:
        own = point[[space.names.index(name) for name in group.members]]
        room = ROUNDED * len(own)
        if line := _beyond(f"group {group.name}", own.sum(), group.lower, group.upper, room):
            found.append(line)
        if group.ratios is not None:
            ratios = np.array(group.ratios) / np.sum(group.ratios)
            if np.abs(own - own.sum() * ratios).max() > room:
                found.append(f"the ratios of group {group.name}")
    return found


def _beyond(name: str, share: float, low: float, high: float, room: float = ROUNDED) -> str:
    """How a share lies beyond its bounds; empty where it does not."""
    if share > high + room:
        return f"{name} {100 * share:.3g}%, at most {100 * high:.3g}%"
    if share < low - room:
        return f"{name} {100 * share:.3g}%, at least {100 * low:.3g}%"
    return ""
