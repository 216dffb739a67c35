"""Spaces of weights with constraints: Simplex (shares of a mixture) and Box (merge coefficients).

Both have the same interface, so designs, surrogates and search serve mixtures and merges alike. D = coordinates.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from engine.core.checks import check_fields
from engine.space.box import Box, refuse_where, set_bounds
from engine.space.crossed import Crossed, crossed_of
from engine.space.dirichlet import dirichlet, normalised
from engine.space.groups import TOLERANCE, Block, Group, are_crossed, block_of, check_groups, check_sums, free_block

STRENGTHS = (0.5, 50.0)  # of the Dirichlet a search draws from: from nearly one domain to nearly the prior
BISECTIONS = 60  # halves a bracket of length < 10 down to 1e-17


@dataclass(frozen=True)
class Simplex:
    """Mixtures: shares of tokens between `lower` and `upper` that sum to one, and groups of them with bounds.

    names: D domains; lower, upper (D,): None for 0 and 1; groups may share domains, as sources and topics do. Raises
    Problem that names conflicting constraints if no mixture is left.
    """

    names: tuple[str, ...]
    lower: np.ndarray = None  # type: ignore[assignment]  # filled in, as upper is, when the space is made
    upper: np.ndarray = None  # type: ignore[assignment]
    groups: tuple[Group, ...] = ()
    _blocks: tuple[Block, ...] = field(init=False, repr=False, compare=False)
    _crossed: Crossed | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        set_bounds(self, 0.0, 1.0)
        refuse_where(self.lower < 0, self, "every share is at least 0. Raise the lower bound")
        refuse_where(self.upper > 1, self, "no share is more than 1. Cut the upper bound")
        object.__setattr__(self, "groups", tuple(self.groups))
        check_groups(self)
        blocks, crossed = [block_of(self, group) for group in self.groups], None
        if are_crossed(self.groups):
            crossed = crossed_of(self, tuple(blocks))
        else:
            grouped = [name for group in self.groups for name in group.members]
            if len(free := np.flatnonzero(~np.isin(self.names, grouped))):
                blocks.append(free_block(self, free))
            check_sums(blocks)
        object.__setattr__(self, "_blocks", tuple(blocks))
        object.__setattr__(self, "_crossed", crossed)

    @property
    def crossed(self) -> bool:
        """Whether groups share domains: then projections cost a programme each."""
        return self._crossed is not None

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
        is Held, Wolfe and Crowder 1974). Groups that share domains: engine/space/crossed.py.
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
        if self._crossed is not None:
            return self._crossed.nearest(x)
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
