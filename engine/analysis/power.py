"""How many runs it takes to show that one mixture beats another: the power of Student's t test, before any is paid.

Two-sided at 95%, with a power of 80%: of true differences that large, four in five are found. Seeds S of each mixture;
the noise between seeds is pooled over P mixtures that are trained together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEVEL, POWER = 0.95, 0.8
MOST = 1000  # seeds of a mixture, or mixtures, beyond which a claim is out of reach
UPPER = 0.8  # how sure the upper end of a noise is that repeats have measured


def power(gap: float, noise: float, seeds: int, mixtures: int = 2) -> float:
    """The chance of finding a true difference `gap` between two mixtures, given the noise between seeds.

    0 with one seed each: nothing then tells noise from difference. gap, noise: in one unit, noise above 0.
    """
    from scipy.stats import nct, t

    freedom = mixtures * (seeds - 1)
    if freedom < 1:
        return 0.0
    limit, centre = t.ppf(0.5 + LEVEL / 2, freedom), abs(gap) / (noise * np.sqrt(2 / seeds))
    found = nct.sf(limit, freedom, centre) + nct.cdf(-limit, freedom, centre)
    return 1.0 if np.isnan(found) else float(found)  # so far out that scipy gives up


def seeds_needed(gap: float, noise: float, mixtures: int = 2) -> int | None:
    """The fewest seeds of each mixture with which a difference is found, None where more than MOST would be needed."""
    return _fewest(lambda seeds: power(gap, noise, seeds, mixtures), 2)


def mixtures_needed(gap: float, noise: float, seeds: int) -> int | None:
    """The fewest mixtures whose seeds, pooled, find a difference between two of them; None where no number does."""
    return _fewest(lambda mixtures: power(gap, noise, seeds, mixtures), 2)


def _fewest(chance: Callable[[int], float], least: int) -> int | None:
    """The smallest whole number from `least` to MOST whose chance is POWER; chances rise with it."""
    if chance(MOST) < POWER:
        return None
    low, high = least - 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= POWER else (middle, high)
    return high


def detectable(noise: float, seeds: int, mixtures: int = 2) -> float | None:
    """The smallest difference that so many seeds find; None with one seed each."""
    if mixtures * (seeds - 1) < 1:
        return None
    low, high = 0.0, noise
    while power(high, noise, seeds, mixtures) < POWER:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if power(middle, noise, seeds, mixtures) >= POWER else (middle, high)
    return high


def noise_at_most(noise: float, freedom: int) -> float:
    """The upper end of a noise measured with so many degrees of freedom: it is no larger with a chance of UPPER."""
    from scipy.stats import chi2

    return float(noise * np.sqrt(freedom / chi2.ppf(1 - UPPER, freedom)))


@dataclass(frozen=True)
class Claim:
    """The claim that one mixture beats another, before it is measured.

    against: the other's name; gap: the predicted difference of aggregates, negative where the first is better; noise:
    between seeds, with `freedom` degrees behind it. seeds: of each that find such a difference, seeds_at_most: at the
    upper end of the noise; mixtures: that must be trained together for that with the planned seeds; each None where out
    of reach. power: of the plan; detectable: the smallest difference that the plan finds, None with one seed. half: of
    the 95% interval of the predicted difference of two runs, None where nothing tells.
    """

    against: str
    gap: float
    noise: float
    freedom: int
    seeds: int | None
    seeds_at_most: int | None
    mixtures: int | None
    power: float
    detectable: float | None
    half: float | None = None


def claim(against: str, gap: float, noise: float, freedom: int, seeds: int, mixtures: int) -> Claim:
    """What a claim needs, where the plan is so many seeds of so many mixtures."""
    return Claim(
        against,
        gap,
        noise,
        freedom,
        seeds_needed(gap, noise, mixtures),
        seeds_needed(gap, noise_at_most(noise, freedom), mixtures),
        mixtures_needed(gap, noise, seeds),
        power(gap, noise, seeds, mixtures),
        detectable(noise, seeds, mixtures),
    )
