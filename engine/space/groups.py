"""Groups of domains with bounds of their own, such as sources and topics, and what each allows by itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.core.errors import Problem

if TYPE_CHECKING:
    from engine.space.simplex import Simplex

TOLERANCE = 1e-9  # of a sum or a bound, in shares
FAR = 1e4  # where a point is whose nearest mixture gives a group all that it can have, but for less than 1 / FAR


@dataclass(frozen=True)
class Group:
    """Domains that are bounded together: lower <= the sum of their shares <= upper.

    ratios: their proportions inside the group where these stay as they are, so that the group acts as one domain;
    None where they may change. level: what the group is one of, such as "source"; None where nobody said.
    """

    name: str
    members: tuple[str, ...]
    lower: float = 0.0
    upper: float = 1.0
    ratios: tuple[float, ...] | None = None
    level: str | None = None


@dataclass(frozen=True)
class Block:
    """Coordinates whose sum lies between `least` and `most`: a group, or all domains that are in none.

    places (d,): where they are; ratios (d,) that sum to one, or None; asks, allows: the constraints behind the ends.
    """

    places: np.ndarray
    least: float
    most: float
    ratios: np.ndarray | None
    asks: str
    allows: str


def check_groups(space: "Simplex") -> None:
    """Raise Problem for groups that name unknown domains, or one twice, have wrong bounds or ratios, or share domains
    with another of their level."""
    for place, group in enumerate(space.groups):
        if unknown := [name for name in group.members if name not in space.names]:
            raise Problem(
                f"Cannot make the group {group.name!r}: there is no domain {unknown[0]!r}. There are "
                f"{', '.join(space.names)}."
            )
        if not group.members:
            raise Problem(f"Cannot make the group {group.name!r}: it has no domains. Give it some.")
        if twice := [name for name in group.members if group.members.count(name) > 1]:
            raise Problem(f"Cannot make the group {group.name!r}: it has {twice[0]!r} twice. Name each domain once.")
        level = [one for one in space.groups[:place] if group.level is not None and one.level == group.level]
        for other in level:
            if both := [name for name in group.members if name in other.members]:
                raise Problem(
                    f"Cannot put {both[0]!r} into the {group.level} {group.name!r}: it is in {other.name!r} already. "
                    "Groups of one level share no domain; give one of them another level."
                )
        if not 0 <= group.lower <= group.upper <= 1:
            raise Problem(
                f"Cannot bound the group {group.name!r} by {group.lower:g} to {group.upper:g}: give two shares from "
                "0 to 1, rising."
            )
        ratios = np.ones(1) if group.ratios is None else np.array(group.ratios, float)
        if group.ratios is not None and len(ratios) != len(group.members):
            ratios = -np.ones(1)
        if not np.isfinite(ratios).all() or (ratios < 0).any() or ratios.sum() <= 0:
            raise Problem(
                f"Cannot keep the ratios {group.ratios} of the group {group.name!r}: give a number of at least 0 for "
                f"each of {', '.join(group.members)}, not all 0."
            )


def check_tied(space: "Simplex") -> None:
    """Raise Problem for a group whose ratios and the other constraints leave it no tokens, though its own bound does:
    ratios that contradict those of another group, or a domain that may have none."""
    for group in space.groups:
        if group.ratios is None or group.upper == 0:
            continue
        own = np.isin(space.names, group.members)
        if space.project(FAR * own[None])[0][own].sum() < 1 / FAR:
            raise Problem(
                f"Cannot keep the ratios of the group {group.name!r}: with the other constraints they leave it none of "
                "the tokens. Let its ratios change, those of groups that share its domains, or the bounds of these."
            )


def are_crossed(groups: Iterable[Group]) -> bool:
    """Whether a domain is in more than one of the groups."""
    names = [name for group in groups for name in group.members]
    return len(set(names)) < len(names)


def block_of(space: "Simplex", group: Group) -> Block:
    """A group with its sum's true ends. Raises Problem that names the constraints where there are none."""
    places = np.array([space.names.index(name) for name in group.members])
    lower, upper = space.lower[places], space.upper[places]
    ratios = None
    least, most = lower.sum(), upper.sum()
    if group.ratios is not None:
        ratios = np.array(group.ratios, float) / np.sum(group.ratios)
        with np.errstate(divide="ignore", invalid="ignore"):
            least = np.where(lower > 0, lower / ratios, 0).max()
            most = np.where(ratios > 0, upper / ratios, np.inf).min()
    own_names = tuple(group.members)
    asks = f"group {group.name} {group.lower:.4g}" if group.lower >= least else listed(own_names, lower, lower > 0)
    allows = f"group {group.name} {group.upper:.4g}" if group.upper <= most else listed(own_names, upper, upper < 1)
    least, most = max(group.lower, least), min(group.upper, most)
    if least > most + TOLERANCE:
        kept = " while it keeps its ratios" if ratios is not None else ""
        raise Problem(
            f"Cannot keep the constraints of the group {group.name!r}{kept}: it must have at least {least:.4g} of the "
            f"tokens ({asks}) and at most {most:.4g} ({allows}). Widen one of these."
        )
    return Block(places, least, max(least, most), ratios, asks, allows)


def free_block(space: "Simplex", places: np.ndarray) -> Block:
    """The domains that are in no group."""
    names = tuple(space.names[i] for i in places)
    lower, upper = space.lower[places], space.upper[places]
    asks, allows = listed(names, lower, lower > 0), listed(names, upper, upper < 1)
    return Block(places, lower.sum(), upper.sum(), None, asks, allows)


def listed(names: tuple[str, ...], bounds: np.ndarray, which: np.ndarray) -> str:
    """Some of the names, each with its bound."""
    return ", ".join(f"{names[i]} {bounds[i]:.4g}" for i in np.flatnonzero(which))


def check_sums(blocks: Iterable[Block]) -> None:
    """Raise Problem that names the constraints where blocks that share no domain cannot sum to one."""
    blocks = tuple(blocks)
    least, most = sum(block.least for block in blocks), sum(block.most for block in blocks)
    if least > 1 + TOLERANCE:
        raise Problem(
            f"Cannot satisfy the lower bounds: together they take {least:.4g} of the tokens "
            f"({_joined(block.asks for block in blocks)}). Lower some, until they sum to 1."
        )
    if most < 1 - TOLERANCE:
        raise Problem(
            f"Cannot satisfy the upper bounds: together they allow {most:.4g} of the tokens "
            f"({_joined(block.allows for block in blocks)}). Raise some, until they sum to 1."
        )


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)
