"""The levels of a study's domains: sources, topics and whatever else groups them, each dividing all of the tokens.

A level's parts share no domain; parts of different levels cross. D domains.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.space.groups import Group

SEPARATORS = ("/", ".")  # between the levels in a domain's name: source/topic, or source.topic as corpora write it
NAMED = ("source", "topic")  # what the two halves of such names are called
UNNAMED = "group"  # the level of groups that name none
REST = "other"  # the part of the domains that are in none of a level's


@dataclass(frozen=True)
class Level:
    """name: such as "source"; parts: name -> the places of its domains (d,), together all D."""

    name: str
    parts: dict[str, np.ndarray]

    def totals(self, shares: np.ndarray) -> np.ndarray:
        """(..., P) the parts' shares in mixtures (..., D)."""
        shares = np.asarray(shares, float)
        return np.stack([shares[..., places].sum(axis=-1) for places in self.parts.values()], axis=-1)


def levels_of(names: Sequence[str], groups: Sequence[Group]) -> list[Level]:
    """The levels of D names: first what groups say, then what the names do. None where nothing groups them."""
    found = [_level(title, own, list(names)) for title, own in _layers(groups)]
    for title, halves in zip(NAMED, _halves(names), strict=True):
        kinds = list(dict.fromkeys(halves))
        if title not in [level.name for level in found] and 1 < len(kinds) < len(names):
            level = Level(title, {kind: np.flatnonzero([half == kind for half in halves]) for kind in kinds})
            if not any(_same(level, other) for other in found):
                found.append(level)
    return found


def _layers(groups: Sequence[Group]) -> list[tuple[str, list[Group]]]:
    """Groups by their level; those that name none in as few levels of disjoint groups as a greedy division gives."""
    named: dict[str, list[Group]] = {}
    for group in groups:
        if group.level is not None:
            named.setdefault(group.level, []).append(group)
    layers: list[list[Group]] = []
    for group in groups:
        if group.level is None:
            fits = (one for one in layers if not any(set(group.members) & set(other.members) for other in one))
            if (layer := next(fits, None)) is None:
                layers.append(layer := [])
            layer.append(group)
    titles = [UNNAMED if place == 0 else f"{UNNAMED} {place + 1}" for place in range(len(layers))]
    return [*named.items(), *zip(titles, layers, strict=True)]


def _level(title: str, groups: list[Group], names: list[str]) -> Level:
    parts = {group.name: np.array([names.index(name) for name in group.members]) for group in groups}
    there = np.concatenate(list(parts.values()))
    if len(rest := np.setdiff1d(np.arange(len(names)), there)):
        parts[next(name for name in (REST, f"{REST} domains") if name not in parts)] = rest
    return Level(title, parts)


def _halves(names: Sequence[str]) -> list[list[str]]:
    """The first and the last parts of names of two levels; a name of one level stands for both of its own."""
    mark = next((mark for mark in SEPARATORS if any(mark in name.strip(mark) for name in names)), None)
    split = [name.split(mark, 1) if mark else [name] for name in names]
    return [[half[0] for half in split], [half[-1] for half in split]]


def _same(one: Level, other: Level) -> bool:
    """Whether two levels divide the domains alike."""
    return {tuple(sorted(part)) for part in one.parts.values()} == {tuple(sorted(p)) for p in other.parts.values()}
