"""Spaces of weights with constraints: Simplex (shares of a mixture) and Box (merge coefficients).

Both have the same interface, so designs, surrogates and search serve mixtures and merges alike. D = coordinates.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from engine.core.checks import check_fields
from engine.core.errors import Problem
from engine.space.box import Box, refuse_where, set_bounds
from engine.space.dirichlet import dirichlet, normalised

TOLERANCE = 1e-9  # of a sum or a bound, in shares
STRENGTHS = (0.5, 50.0)  # of the Dirichlet a search draws from: from nearly one domain to nearly the prior
BISECTIONS = 60  # halves a bracket of length < 10 down to 1e-17


@dataclass(frozen=True)
class Group:
    """Domains that are bounded together: lower <= the sum of their shares <= upper.

    ratios: their proportions inside the group where these stay as they are, so that the group acts as one domain;
    None where they may change.
    """

    name: str
    members: tuple[str, ...]
    lower: float = 0.0
    upper: float = 1.0
    ratios: tuple[float, ...] | None = None


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


@dataclass(frozen=True)
class Simplex:
    """Mixtures: shares of tokens between `lower` and `upper` that sum to one, and groups of them with bounds.

    names: D domains; lower, upper (D,): None for 0 and 1; groups: disjoint. Raises Problem that names conflicting
    constraints if no mixture is left.
    """

    names: tuple[str, ...]
    lower: np.ndarray = None  # type: ignore[assignment]  # filled in, as upper is, when the space is made
    upper: np.ndarray = None  # type: ignore[assignment]
    groups: tuple[Group, ...] = ()
    _blocks: tuple[Block, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        set_bounds(self, 0.0, 1.0)
        refuse_where(self.lower < 0, self, "every share is at least 0. Raise the lower bound")
        refuse_where(self.upper > 1, self, "no share is more than 1. Cut the upper bound")
        _check_groups(self)
        blocks = [_block(self, group) for group in self.groups]
        free = np.flatnonzero(~np.isin(self.names, [name for group in self.groups for name in group.members]))
        if len(free):
            blocks.append(_free_block(self, free))
        object.__setattr__(self, "_blocks", tuple(blocks))
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

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; `from_dict` reads them back."""
        groups = [asdict(group) for group in self.groups]
        return {
            "names": list(self.names),
            "lower": self.lower.tolist(),
            "upper": self.upper.tolist(),
            "groups": groups,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Simplex":
        """The inverse of `to_dict`. Raises Problem for a field that is missing or unknown."""
        check_fields(value, ("names", "lower", "upper", "groups"), (), "the simplex")
        groups = [
            Group(**{**one, "members": tuple(one["members"]), "ratios": one["ratios"] and tuple(one["ratios"])})
            for one in value["groups"]
        ]
        return cls(tuple(value["names"]), value["lower"], value["upper"], tuple(groups))

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, D) mixtures, uniform inside the upper bounds; draws beyond are projected onto them."""
        room = max(0.0, 1 - self.lower.sum())
        return self.project(self.tied(self.lower + room * rng.dirichlet(np.ones(len(self.names)), n)))

    def draw(self, prior: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, D) mixtures around a prior (D,), from nearly one domain to nearly the prior, for searches.

        Raises Problem if the prior is not a distribution.
        """
        return self.project(self.tied(dirichlet(normalised(prior), n, rng, STRENGTHS)))

    def features(self, points: np.ndarray) -> np.ndarray:
        """Points (n, D) as surrogates' inputs: shares, unchanged."""
        return np.asarray(points, float)

    def tied(self, points: np.ndarray) -> np.ndarray:
        """Points (n, D) with the share of each group that keeps its ratios divided by them; sums stay."""
        points = np.array(points, float)
        for block in self._blocks:
            if block.ratios is not None:
                points[:, block.places] = points[:, block.places].sum(axis=1, keepdims=True) * block.ratios
        return points

    def project(self, points: np.ndarray) -> np.ndarray:
        """The Euclidean nearest mixtures (n, D) of any points (n, D).

        One multiplier t prices the sum of all shares. At a price the nearest shares of a block are its
        projection, whose sum falls in t; a group whose sum would leave its bounds stays at them. So t is bisected
        until all sums make one, and then each block is projected onto its own sum (for a block without groups this
        is Held, Wolfe and Crowder 1974).
        """
        points = np.asarray(points, float)
        outside = ~self.contains(points, TOLERANCE)
        if not outside.any():
            return self._within(points)
        nearest = np.array(points)
        nearest[outside] = self._nearest(points[outside])
        return self._within(nearest)

    def _within(self, points: np.ndarray) -> np.ndarray:
        """Points (n, D) that are mixtures but for rounding, with no share outside its bounds: never below 0."""
        within: np.ndarray = np.clip(points, self.lower, self.upper)
        return within

    def _nearest(self, x: np.ndarray) -> np.ndarray:
        """The projection of points (n, D) that are outside."""
        if len(self._blocks) == 1:  # its sum is known
            return self._onto(self._blocks[0], x, np.ones((len(x), 1)))
        low, high = x.min(axis=1, keepdims=True) - 1, x.max(axis=1, keepdims=True)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            too_much = sum((self._sum(block, x, middle) for block in self._blocks), np.zeros(1)) > 1
            low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
        sums = [self._sum(block, x, high) for block in self._blocks]
        missing = 1 - sum(sums)  # what the bisection left over goes to blocks that have room
        shares = np.empty_like(x)
        for block, total in zip(self._blocks, sums, strict=True):
            more = np.clip(missing, 0, block.most - total)
            missing, total = missing - more, total + more
            shares[:, block.places] = self._onto(block, x, total)
        return shares

    def _sum(self, block: Block, x: np.ndarray, price: np.ndarray) -> np.ndarray:
        """(n, 1) the sum of a block's nearest shares where every share costs `price` (n, 1)."""
        own = x[:, block.places]
        if block.ratios is not None:
            wanted = ((own @ block.ratios)[:, None] - price) / (block.ratios @ block.ratios)
        else:
            wanted = np.clip(own - price, self.lower[block.places], self.upper[block.places]).sum(axis=1, keepdims=True)
        kept: np.ndarray = np.clip(wanted, block.least, block.most)
        return kept

    def _onto(self, block: Block, x: np.ndarray, total: np.ndarray) -> np.ndarray:
        """(n, d) the nearest shares of a block that sum to `total` (n, 1)."""
        if block.ratios is not None:
            shares: np.ndarray = total * block.ratios
            return shares
        return _onto_sum(x[:, block.places], self.lower[block.places], self.upper[block.places], total)

    def contains(self, points: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
        """(n,) whether each point (n, D) keeps all bounds and sums to one, within `tolerance`."""
        points = np.asarray(points, float)
        bounded = (points >= self.lower - tolerance) & (points <= self.upper + tolerance)
        inside = np.asarray(bounded.all(axis=1))
        inside &= np.abs(points.sum(axis=1) - 1) <= tolerance
        for block in self._blocks[: len(self.groups)]:
            own = points[:, block.places]
            total = own.sum(axis=1)
            inside &= (total >= block.least - tolerance) & (total <= block.most + tolerance)
            if block.ratios is not None:
                inside &= (np.abs(own - total[:, None] * block.ratios) <= tolerance).all(axis=1)
        return inside


Space = Simplex | Box


def space_from(value: dict[str, Any]) -> Space:
    """The space that `to_dict` of either kind gave."""
    return (Simplex if "groups" in value else Box).from_dict(value)


def _listed(names: tuple[str, ...], bounds: np.ndarray, which: np.ndarray) -> str:
    return ", ".join(f"{names[i]} {bounds[i]:.4g}" for i in np.flatnonzero(which))


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


def _onto_sum(x: np.ndarray, lower: np.ndarray, upper: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The nearest (n, d) to x (n, d) between bounds (d,) with row sums `total` (n, 1).

    It is clip(x - t, lower, upper); t is bisected, and a last exact step is taken on the shares not at a bound.
    """
    low, high = (x - upper).min(axis=1, keepdims=True), (x - lower).max(axis=1, keepdims=True)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_much = np.clip(x - middle, lower, upper).sum(axis=1, keepdims=True) > total
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    shares: np.ndarray = np.clip(x - high, lower, upper)
    free = (shares > lower) & (shares < upper)
    missing = total - shares.sum(axis=1, keepdims=True)
    shares += free * missing / np.maximum(1, free.sum(axis=1, keepdims=True))
    bounded: np.ndarray = np.clip(shares, lower, upper)
    return bounded


# Groups ------------------------------------------------------------------------------------------------------


def _check_groups(space: Simplex) -> None:
    """Raise Problem for groups that overlap, name unknown domains, or have invalid bounds or ratios."""
    object.__setattr__(space, "groups", tuple(space.groups))
    owner: dict[str, str] = {}
    for group in space.groups:
        if unknown := [name for name in group.members if name not in space.names]:
            raise Problem(
                f"Cannot make the group {group.name!r}: there is no domain {unknown[0]!r}. There are "
                f"{', '.join(space.names)}."
            )
        if not group.members:
            raise Problem(f"Cannot make the group {group.name!r}: it has no domains. Give it some.")
        for name in group.members:
            if name in owner:
                raise Problem(
                    f"Cannot put {name!r} into the group {group.name!r}: it is in {owner[name]!r} already. A domain "
                    "is in one group at most."
                )
            owner[name] = group.name
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


def _block(space: Simplex, group: Group) -> Block:
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
    asks = f"group {group.name} {group.lower:.4g}" if group.lower >= least else _listed(own_names, lower, lower > 0)
    allows = f"group {group.name} {group.upper:.4g}" if group.upper <= most else _listed(own_names, upper, upper < 1)
    least, most = max(group.lower, least), min(group.upper, most)
    if least > most + TOLERANCE:
        kept = " while it keeps its ratios" if ratios is not None else ""
        raise Problem(
            f"Cannot keep the constraints of the group {group.name!r}{kept}: it must have at least {least:.4g} of the "
            f"tokens ({asks}) and at most {most:.4g} ({allows}). Widen one of these."
        )
    return Block(places, least, max(least, most), ratios, asks, allows)


def _free_block(space: Simplex, places: np.ndarray) -> Block:
    """The domains that are in no group."""
    names = tuple(space.names[i] for i in places)
    lower, upper = space.lower[places], space.upper[places]
    asks, allows = _listed(names, lower, lower > 0), _listed(names, upper, upper < 1)
    return Block(places, lower.sum(), upper.sum(), None, asks, allows)
