"""What stands in the way of predictions at a size, by name: too few large runs, sizes that cannot be told apart, far
targets, larger models that are worse.

S sizes, P mixtures, M metrics; places (S, 2): parameters and tokens of the sizes, NaN where unknown.
"""

import numpy as np

from engine.core.errors import Problem
from engine.core.short_names import short_count
from engine.spec.sizes import SAME, WHAT, Size, check_units
from engine.spec.statistics import first_lowest

ENOUGH = 8  # runs at the largest size, with which its line is not said to be uncertain
TOGETHER = 0.98  # correlation of log parameters and log tokens over sizes, from which on they cannot be told apart
FAR = 8.0  # times beyond the sizes of the runs
OUTLYING = 8.0  # median deviations of the runs at a size, beyond which one that is worse stands alone
TOLERATED = 0.01  # relative, by which a larger model may be worse without being named


def check_target(places: np.ndarray, parameters: float | None, tokens: float | None) -> np.ndarray:
    """(2,) the size asked for, 1 where runs do not tell it. Raises Problem where it is not one of the runs' kind."""
    found = np.ones(2)
    for axis, (what, name, value) in enumerate(zip(WHAT, ("size", "budget"), (parameters, tokens), strict=True)):
        known = places[~np.isnan(places[:, axis]), axis]
        if value is not None and not (np.isfinite(value) and value > 0):
            raise Problem(f"Cannot predict at {value!r} {what}: give a number above 0.")
        if len(known) and len(known) < len(places):
            raise Problem(
                f"Cannot predict at a size: some runs state their {what} and others do not. Give them for all runs."
            )
        if not len(known):
            if value is not None:
                raise Problem(
                    f"Cannot predict at {short_count(value)} {what}: no run states how many it had. Leave them "
                    "out, or import the runs with them."
                )
            continue
        if value is None:
            spread = f"{short_count(known.min())} to {short_count(known.max())}"
            raise Problem(f"Cannot predict at a size without its {what}: the runs have {spread}. Give the {name}.")
        check_units(np.array([[x if i == axis else np.nan for i in range(2)] for x in (*known, value)]))
        found[axis] = value
    return found


def notes_at(
    sizes: list[Size], mixtures: np.ndarray, places: np.ndarray, target: np.ndarray
) -> tuple[list[str], float]:
    """What has to be known of predictions at a size, and how much wider than the law says its intervals are taken.

    mixtures (S,): different ones at each size.
    """
    notes, widened, logs = [], 1.0, np.log(places)
    largest = int(first_lowest(-np.nansum(logs, axis=1)))
    if mixtures[largest] < ENOUGH:
        notes.append(
            f"Few mixtures at the largest size: {mixtures[largest]} at {sizes[largest]}, and {ENOUGH} are enough to "
            "place its losses. The intervals are wide for it."
        )
    for axis, what in enumerate(WHAT):
        known = places[~np.isnan(places[:, axis]), axis]
        if not len(known):
            continue
        low, high, value = known.min(), known.max(), target[axis]
        if np.log(high / low) <= SAME and abs(np.log(value / high)) > SAME:
            notes.append(
                f"All runs have {short_count(high)} {what}: no run shows what {short_count(value)} would change, "
                "and the intervals are wide for it."
            )
        beyond = max(value / high, low / value)
        if beyond > FAR:
            notes.append(
                f"Far from the runs: {short_count(value)} {what}, and they have {short_count(low)} to "
                f"{short_count(high)}. More than {FAR:g} times beyond, the law is a guess; the intervals are widened."
            )
            widened *= 1 + np.log(beyond / FAR) / np.log(FAR)
    if _together(logs) and not at_size(places, target).any():
        notes.append(
            "Parameters and tokens grow together over the runs' sizes, so the two effects cannot be separated. Off "
            "their line the intervals are wide."
        )
    return notes, widened


def at_size(places: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(S,) whether each size is the target (2,), 1 where a number is unknown."""
    same: np.ndarray = (np.abs(np.log(np.nan_to_num(places, nan=1.0) / target)) <= SAME).all(axis=1)
    return same


def outside(places: np.ndarray, target: np.ndarray) -> bool:
    """Whether a number of the target (2,) lies beyond those of the sizes (S, 2)."""
    most, least = np.fmax.reduce(places, axis=0), np.fmin.reduce(places, axis=0)  # NaN where no size tells
    beyond = np.maximum(target / most, least / target)
    return bool((np.nan_to_num(np.log(beyond), nan=0.0) > SAME).any())


def _together(logs: np.ndarray) -> bool:
    """Whether both numbers vary over sizes (S, 2), and one with the other."""
    varied = not np.isnan(logs).any() and bool((np.ptp(logs, axis=0) > SAME).all())
    return varied and bool(abs(np.corrcoef(logs.T)[0, 1]) >= TOGETHER)


def worse_than_smaller(
    sizes: list[Size], means: np.ndarray, signs: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Larger runs that are worse than a smaller one of the same mixture: what is said of them, the means (S, P, M)
    without those that stand alone, and by how much a whole size is worse (M,)."""
    notes, kept, reversal = [], means.copy(), np.zeros(means.shape[2])
    for k, large in enumerate(sizes):
        gap = signs * means[k] - _next_smaller(k, sizes, means, signs)
        both = np.isfinite(gap).any(axis=1)
        if not both.any():
            continue
        relative = np.nanmean(gap[both] / np.abs(signs * means[k] - gap)[both], axis=1)
        worse, middle = relative > TOLERATED, np.median(relative)
        said = f"runs at {large} are worse than smaller ones of the same mixture"
        if 2 * worse.sum() >= both.sum():
            notes.append(
                f"{worse.sum()} of {both.sum()} {said}: the larger models may have diverged. The intervals are widened "
                "by as much."
            )
            reversal = np.fmax(reversal, np.nanmean(gap[both][worse], axis=0))
            continue
        worse &= relative > middle + OUTLYING * np.median(np.abs(relative - middle))
        if worse.any():
            notes.append(f"{worse.sum()} of {both.sum()} {said}, as where training diverged: they are left out.")
            kept[k, np.flatnonzero(both)[worse]] = np.nan
    return tuple(notes), kept, np.maximum(reversal, 0)


def _next_smaller(k: int, sizes: list[Size], means: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """(P, M) the losses at the largest size below the k-th that measured them, turned so that lower is better."""
    found = np.full(means.shape[1:], np.nan)
    for j, small in enumerate(sizes):
        if j != k and _within(small, sizes[k]):
            found = np.where(np.isnan(means[j]), found, signs * means[j])
    return found


def _within(small: Size, large: Size) -> bool:
    """Whether a size is no larger than another in either number, both known in both or in neither."""
    pairs = list(zip(small.place, large.place, strict=True))
    return all((one or 0) <= (other or 0) * (1 + SAME) and (one is None) == (other is None) for one, other in pairs)
