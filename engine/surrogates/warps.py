"""What the Gaussian processes see of shares and losses: warped, centred and scaled by the runs.

R runs, N points, D domains, M metrics.
"""

import numpy as np

from engine.surrogates.base import centre_and_spread

FLOOR = 1e-3  # shares below count as this
DEPTH = 1.0  # standard deviations of a loss between its floor and the lowest run
WARPS = (lambda shares: np.log(shares + FLOOR), np.sqrt)
LINES = (lambda shares: shares, lambda shares: np.log(shares + FLOOR))


def scales_of(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation (M,) of the targets log(loss - floor), and the floor (M,) of losses (R, M)."""
    _, spread = centre_and_spread(losses)
    floor = np.nanmin(losses, axis=0) - DEPTH * spread
    return *centre_and_spread(np.log(losses - floor)), floor


def warped(weights: np.ndarray, runs: np.ndarray) -> list[np.ndarray]:
    """The warped shares, [(N, D)], centred on the runs (R, D); one scale for all domains keeps their
    proportions.
    """
    found = []
    for warp in WARPS:
        known = warp(runs)
        found.append((warp(np.maximum(weights, 0)) - known.mean(axis=0)) / max(known.std(), 1e-9))
    return found


def lines_of(weights: np.ndarray, runs: np.ndarray) -> np.ndarray:
    """(N, 2 D) features of the lines, centred on the runs (R, D); each D have a mean square of 1 / D over the runs."""
    columns = []
    for warp in LINES:
        known = warp(runs)
        scale = max(known.std(), 1e-9) * np.sqrt(runs.shape[1])
        columns.append((warp(np.maximum(weights, 0)) - known.mean(axis=0)) / scale)
    return np.concatenate(columns, axis=1)
