"""The box: coefficients and knobs of a merge, each between its own bounds. D = coordinates."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine.core.checks import check_fields
from engine.core.errors import Problem

WIDTHS = (0.02, 0.5)  # of the draws around the prior, in ranges of a coordinate


class Bounded(Protocol):
    """Common to both spaces: D names, and bounds (D,)."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def lower(self) -> np.ndarray: ...
    @property
    def upper(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Box:
    """Coefficients of a merge, each between its own bounds. names: D of them; lower, upper (D,), None for 0 and 1."""

    names: tuple[str, ...]
    lower: np.ndarray = None  # type: ignore[assignment]  # filled in, as upper is, when the space is made
    upper: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        set_bounds(self, 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; `from_dict` reads them back."""
        return {"names": list(self.names), "lower": self.lower.tolist(), "upper": self.upper.tolist()}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Box":
        """The inverse of `to_dict`. Raises Problem for a field that is missing or unknown."""
        check_fields(value, ("names", "lower", "upper"), (), "the box")
        return cls(tuple(value["names"]), value["lower"], value["upper"])

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, D) points, uniform."""
        return rng.uniform(self.lower, self.upper, size=(n, len(self.names)))

    def draw(self, prior: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, D) points for a search: every other one uniform, the rest around a prior (D,), near to far."""
        points = self.sample(n, rng)
        near = points[::2]
        low, high = np.log(WIDTHS)
        width = np.exp(rng.uniform(low, high, (len(near), 1))) * (self.upper - self.lower)
        points[::2] = self.project(prior + width * rng.standard_normal(near.shape))
        return points

    def features(self, points: np.ndarray) -> np.ndarray:
        """Points (n, D) as surrogates' inputs: between 1 and 2.

        Surrogates are built for shares, whose logarithms matter. Between 1 and 2 a logarithm is nearly linear, so all
        coefficients are treated alike.
        """
        width = np.where(self.upper > self.lower, self.upper - self.lower, 1.0)
        seen: np.ndarray = 1 + (np.asarray(points, float) - self.lower) / width
        return seen

    def tied(self, points: np.ndarray) -> np.ndarray:
        """The points (n, D) as they are: a box has no groups."""
        return points

    def project(self, points: np.ndarray) -> np.ndarray:
        """The Euclidean nearest points (n, D) inside the box."""
        nearest: np.ndarray = np.clip(np.asarray(points, float), self.lower, self.upper)
        return nearest

    def contains(self, points: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
        """(n,) whether each point (n, D) is within the bounds, within `tolerance`."""
        points = np.asarray(points, float)
        inside = (points >= self.lower - tolerance) & (points <= self.upper + tolerance)
        return np.asarray(inside.all(axis=1))


def set_bounds(space: Bounded, lowest: float, highest: float) -> None:
    """Fill in and check names, lower and upper of a frozen space. Raises Problem."""
    names = tuple(space.names)
    if not names or len(set(names)) != len(names):
        raise Problem(f"Cannot make a space of the names {list(names)}: give at least one, each only once.")
    object.__setattr__(space, "names", names)
    for side, value in (("lower", lowest), ("upper", highest)):
        given = getattr(space, side)
        bound = np.full(len(names), value) if given is None else np.array(given, float)
        if bound.shape != (len(names),) or not np.isfinite(bound).all():
            raise Problem(
                f"Cannot use the {side} bounds {np.ravel(bound).tolist()}: "
                f"there must be {len(names)} finite numbers, one for each of {', '.join(names)}."
            )
        bound.setflags(write=False)
        object.__setattr__(space, side, bound)
    refuse_where(space.lower > space.upper, space, "a lower bound lies above its upper bound. Swap or widen them")


def refuse_where(wrong: np.ndarray, space: Bounded, reason: str) -> None:
    """Raise Problem that names the coordinates whose bounds are `wrong` (D,)."""
    if wrong.any():
        pairs = [f"{space.names[i]} {space.lower[i]:.4g} to {space.upper[i]:.4g}" for i in np.flatnonzero(wrong)]
        raise Problem(f"Cannot keep the bounds of {', '.join(pairs)}: {reason}.")
