"""A surrogate's predictions of merges around a point: a slice through two coordinates, a line between two points.

D coordinates, M metrics, N steps.
"""

from dataclasses import dataclass

import numpy as np

from engine.space.box import Box
from engine.surrogates.base import Surrogate

STEPS = 33


@dataclass(frozen=True)
class Slice:
    """x, y (N,): values of the two coordinates; mean, std (N, N, M): predicted there, rows along y."""

    x: np.ndarray
    y: np.ndarray
    mean: np.ndarray
    std: np.ndarray


def slice_at(surrogate: Surrogate, box: Box, at: np.ndarray, across: int, up: int, steps: int = STEPS) -> Slice:
    """The plane through `at` (D,) along two coordinates, over the whole range of both."""
    x, y = (np.linspace(box.lower[i], box.upper[i], steps) for i in (across, up))
    points = np.tile(np.asarray(at, float), (steps * steps, 1))
    points[:, across], points[:, up] = np.tile(x, steps), np.repeat(y, steps)
    mean, std = surrogate.predict(points)
    return Slice(x, y, mean.reshape(steps, steps, -1), std.reshape(steps, steps, -1))


def line_between(
    surrogate: Surrogate, one: np.ndarray, other: np.ndarray, steps: int = STEPS
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The line from one point (D,) to another: fractions of it (N,), points (N, D), predicted mean and std (N, M)."""
    part = np.linspace(0, 1, steps)
    points = one + part[:, None] * (np.asarray(other, float) - one)
    return part, points, *surrogate.predict(points)


def off_plane(points: np.ndarray, at: np.ndarray, across: int, up: int) -> np.ndarray:
    """(R,) how far points (R, D) lie from the plane of a slice, as the sum over its other coordinates."""
    others = np.delete(np.arange(len(at)), [across, up])
    distance: np.ndarray = np.abs(points[:, others] - np.asarray(at)[others]).sum(axis=1)
    return distance


def front_of(losses: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """(R,) bool: the Pareto front of losses (R, C); signs (C,) -1 where higher is better."""
    costs = losses * signs
    beaten = (costs[None] <= costs[:, None]).all(axis=2) & (costs[None] < costs[:, None]).any(axis=2)
    front: np.ndarray = ~beaten.any(axis=1)
    return front
