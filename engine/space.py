"""Weight spaces: what may be turned, and how far. Simplex (shares of a mixture) and Box (merge coefficients).

Both speak the same verbs, so designs, surrogates and search serve mixtures and merges alike. D = coordinates.
"""

from dataclasses import dataclass

import numpy as np

from engine.errors import Problem

TOLERANCE = 1e-9  # of a sum or a bound, in shares
BISECTIONS = 45  # halves a bracket of length < 4 down to 1e-13


@dataclass(frozen=True)
class Simplex:
    """Mixtures: shares of tokens between `lower` and `upper` that sum to one.

    names: D domains; lower, upper (D,): None stands for 0 and 1. Raises Problem for bounds that leave no
    mixture.
    """

    names: tuple[str, ...]
    lower: np.ndarray = None
    upper: np.ndarray = None

    def __post_init__(self):
        _set_bounds(self, 0.0, 1.0)
        _refuse_where(self.lower < 0, self, "every share is at least 0. Raise the lower bound")
        _refuse_where(self.upper > 1, self, "no share is more than 1. Cut the upper bound")
        if self.lower.sum() > 1 + TOLERANCE:
            raise Problem(
                f"Cannot keep the lower bounds: together they ask for {self.lower.sum():.4g} of the tokens "
                f"({_listed(self.names, self.lower, self.lower > 0)}). Lower some, until they sum to 1."
            )
        if self.upper.sum() < 1 - TOLERANCE:
            raise Problem(
                f"Cannot keep the upper bounds: together they allow {self.upper.sum():.4g} of the tokens "
                f"({_listed(self.names, self.upper, self.upper < 1)}). Raise some, until they sum to 1."
            )

    def to_dict(self) -> dict:
        """As JSON can hold it; `from_dict` reads it back."""
        return {"names": list(self.names), "lower": self.lower.tolist(), "upper": self.upper.tolist()}

    @classmethod
    def from_dict(cls, value: dict) -> "Simplex":
        """What `to_dict` gave."""
        return cls(tuple(value["names"]), value["lower"], value["upper"])

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, D) mixtures, uniform where the upper bounds allow it; what they cut off is projected onto
        them.
        """
        room = max(0.0, 1 - self.lower.sum())
        return self.project(self.lower + room * rng.dirichlet(np.ones(len(self.names)), n))

    def project(self, points: np.ndarray) -> np.ndarray:
        """The Euclidean nearest mixtures (n, D) of any points (n, D).

        The nearest is clip(x - t, lower, upper) with t such that it sums to one (Held, Wolfe and Crowder
        1974): the sum falls in t, so t is bisected, and a last exact step is taken on the shares that are not
        at a bound.
        """
        points = np.asarray(points, float)
        outside = ~self.contains(points, TOLERANCE)
        if not outside.any():
            return points
        x = points[outside]
        low = (x - self.upper).min(axis=1, keepdims=True)
        high = (x - self.lower).max(axis=1, keepdims=True)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            too_much = np.clip(x - middle, self.lower, self.upper).sum(axis=1, keepdims=True) > 1
            low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
        shares = np.clip(x - high, self.lower, self.upper)
        free = (shares > self.lower) & (shares < self.upper)
        missing = 1 - shares.sum(axis=1, keepdims=True)
        shares = np.clip(
            shares + free * missing / np.maximum(1, free.sum(axis=1, keepdims=True)), self.lower, self.upper
        )
        return np.concatenate([points[~outside], shares])[np.argsort(np.argsort(outside, kind="stable"))]

    def contains(self, points: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
        """(n,) whether each point (n, D) keeps the bounds and sums to one, within `tolerance`."""
        points = np.asarray(points, float)
        inside = ((points >= self.lower - tolerance) & (points <= self.upper + tolerance)).all(axis=1)
        return inside & (np.abs(points.sum(axis=1) - 1) <= tolerance)


@dataclass(frozen=True)
class Box:
    """Coefficients of a merge, each between its own bounds. names: D of them; lower, upper (D,), None for 0
    and 1.
    """

    names: tuple[str, ...]
    lower: np.ndarray = None
    upper: np.ndarray = None

    def __post_init__(self):
        _set_bounds(self, 0.0, 1.0)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, D) points, uniform."""
        return rng.uniform(self.lower, self.upper, (n, len(self.names)))

    def project(self, points: np.ndarray) -> np.ndarray:
        """The Euclidean nearest points (n, D) inside the box."""
        return np.clip(np.asarray(points, float), self.lower, self.upper)

    def contains(self, points: np.ndarray, tolerance: float = 1e-6) -> np.ndarray:
        """(n,) whether each point (n, D) keeps the bounds, within `tolerance`."""
        points = np.asarray(points, float)
        return ((points >= self.lower - tolerance) & (points <= self.upper + tolerance)).all(axis=1)


Space = Simplex | Box


def _set_bounds(space: Space, lowest: float, highest: float) -> None:
    """Fill in and check the bounds of a frozen space."""
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
    _refuse_where(space.lower > space.upper, space, "a lower bound lies above its upper bound. Swap or widen them")


def _refuse_where(wrong: np.ndarray, space: Space, reason: str) -> None:
    """Raise Problem that names the coordinates whose bounds are `wrong` (D,)."""
    if wrong.any():
        pairs = [f"{space.names[i]} {space.lower[i]:.4g} to {space.upper[i]:.4g}" for i in np.flatnonzero(wrong)]
        raise Problem(f"Cannot keep the bounds of {', '.join(pairs)}: {reason}.")


def _listed(names: tuple[str, ...], bounds: np.ndarray, which: np.ndarray) -> str:
    return ", ".join(f"{names[i]} {bounds[i]:.4g}" for i in np.flatnonzero(which))
