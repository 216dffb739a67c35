"""How good the prediction is along the track of every fader, the others moving as the desk moves them.

A position is lit where the predicted aggregate comes near the best one known; so a desk whose tracks are bright at the
caps is near the best, and a bright stretch elsewhere says which fader to move, and where to.
"""

import numpy as np

from engine.analysis.explain import with_shares
from engine.spec.objectives import Aggregate
from engine.surrogates.base import Surrogate

STEPS, FEWER, MANY = 21, 9, 24  # positions along a track; where there are many faders, whose tracks are short
NEAR = 0.5  # standard deviations of the runs' aggregates within which a position is lit at all


def simplex_tracks(at: np.ndarray, locked: np.ndarray, giver: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Shares (S,) of a fader, denser where they are small, and the mixtures (D, S, D) to which the desk goes from `at`
    (D,) as each fader in turn takes them. S: STEPS, FEWER from MANY faders on.

    locked (D,) bool: shares that stay. giver: the one domain that gives way; None: all unlocked, in proportion.
    """
    shares = np.linspace(0, 1, STEPS if len(at) < MANY else FEWER) ** 2
    return shares, np.stack([with_shares(at, i, shares, giver, locked) for i in range(len(at))])


def box_tracks(at: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (D, STEPS) of each fader between its ends, and the points (D, STEPS, D) with that one changed."""
    values = np.linspace(lower, upper, STEPS, axis=1)
    rows = np.broadcast_to(at, (len(at), STEPS, len(at))).copy()
    rows[np.arange(len(at)), :, np.arange(len(at))] = values
    return values, rows


def light(
    surrogate: Surrogate, tracks: np.ndarray, aggregate: Aggregate, best: np.ndarray | None, measured: np.ndarray
) -> np.ndarray:
    """(D, S): 1 where the predicted aggregate is that of the best point known (or better), falling to 0 at NEAR
    standard deviations of the runs' aggregates.

    tracks (D, S, D); best (D,): the best predicted point, None: the best along the tracks; measured (R, M).
    """
    domains = tracks.shape[-1]
    values = aggregate.of(surrogate.mean(tracks.reshape(-1, domains))).reshape(tracks.shape[:2])
    lowest = values.min() if best is None else min(values.min(), aggregate.of(surrogate.mean(best[None]))[0])
    spread = float(np.nanstd(aggregate.of(measured))) or 1.0
    lit: np.ndarray = np.clip(1 - (values - lowest) / (NEAR * spread), 0, 1)
    return lit
