"""What each domain does, by leaving it out: from runs that did, and from a surrogate; the same of pairs.

A domain's effect on a metric is the metric at a mixture minus the metric without the domain, whose tokens the others
take in proportion: negative where it lowers a loss. A pair's is what the two do together beyond the sum of both:
f - f(without a) - f(without b) + f(without both): negative where, for a loss, each helps more beside the other. From
runs the noise is that between seeds (Student's t), from a surrogate that of its mean function. D domains, M metrics.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from engine.analysis.explain import with_share
from engine.core.errors import Problem
from engine.spec.statistics import SAME_POINT, Z95, ci_half_width, ordered
from engine.surrogates.base import Surrogate

PAIRED = 12  # domains whose pairs are told: 66 of them


@dataclass(frozen=True)
class Effects:
    """effect, half (K, M): of each of K domains or pairs, and half its 95% interval; NaN where no run tells."""

    effect: np.ndarray
    half: np.ndarray

    @property
    def certain(self) -> np.ndarray:
        """(K, M) where the interval does not reach 0."""
        found: np.ndarray = np.abs(self.effect) > self.half
        return found


def without(at: np.ndarray, domains: tuple[int, ...]) -> np.ndarray:
    """(D,) a mixture without some of its domains. Raises Problem where nothing is left."""
    found = np.asarray(at, float).copy()
    for domain in domains:
        found = with_share(found, domain, 0.0)
    found[list(domains)] = 0.0
    if found.sum() < SAME_POINT:
        raise Problem("Cannot leave these domains out: nothing is left of the mixture. Leave out fewer.")
    left: np.ndarray = found / found.sum()
    return left


def points_without(at: np.ndarray, pairs: bool = False) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """The domains of a mixture (D,) that can be left out, or pairs of them, and the mixtures (K, D) without each.

    Of more than PAIRED domains the largest are paired.
    """
    held = np.flatnonzero(np.asarray(at, float) > SAME_POINT)
    there = np.sort(held[ordered(-np.asarray(at, float)[held])[:PAIRED]] if pairs else held).tolist()
    several: list[tuple[int, ...]] = list(combinations(there, 2)) if pairs else [(domain,) for domain in there]
    left = [one for one in several if len(one) < len(there)]
    return left, np.array([without(at, one) for one in left]).reshape(len(left), len(at))


def contrast_of(at: np.ndarray, domains: tuple[int, ...]) -> list[tuple[float, np.ndarray]]:
    """The mixtures (D,) whose signed sum is the effect of a domain, or of a pair, at a mixture (D,)."""
    alone = [(-1.0, without(at, (domain,))) for domain in domains]
    return [(1.0, at), *alone, *([(1.0, without(at, domains))] if len(domains) > 1 else [])]


def by_surrogate(surrogate: Surrogate, at: np.ndarray, several: list[tuple[int, ...]]) -> Effects:
    """The effects of domains, or of pairs, at a mixture (D,) as a surrogate predicts them."""
    effects, halves = [], []
    for one in several:
        signs, points = zip(*contrast_of(at, one), strict=True)
        contrast, stacked = np.array(signs), np.stack(points)
        variance = np.einsum("a,mab,b->m", contrast, surrogate.covariance(stacked), contrast)
        effects.append(contrast @ surrogate.mean(stacked))
        halves.append(ci_half_width(surrogate.scale * np.sqrt(np.maximum(variance, 0))))
    return Effects(np.array(effects), np.array(halves))


def by_runs(
    weights: np.ndarray,
    losses: np.ndarray,
    noise: np.ndarray,
    freedom: np.ndarray,
    at: np.ndarray,
    several: list[tuple[int, ...]],
) -> Effects:
    """The same from runs at weights (R, D), losses (R, M) with NaN; noise (M,): between seeds, NaN where it is not
    known, with freedom (M,) degrees of freedom. Nothing is told without noise, or where a mixture has no run."""
    shape = (len(several), losses.shape[1])
    effect, half = np.full(shape, np.nan), np.full(shape, np.nan)
    from scipy.special import stdtrit

    wide = np.maximum(Z95, stdtrit(freedom, 0.975))
    for k, one in enumerate(several):
        total, counts = np.zeros((2, losses.shape[1]))
        for sign, point in contrast_of(at, one):
            own = losses[np.abs(weights - point).max(axis=1) <= SAME_POINT]
            known = np.isfinite(own).sum(axis=0)
            there = np.where(known > 0, np.maximum(known, 1), np.nan)
            total, counts = total + sign * np.nansum(own, axis=0) / there, counts + 1 / there
        half[k] = wide * noise * np.sqrt(counts)
        effect[k] = np.where(np.isnan(half[k]), np.nan, total)
    return Effects(effect, half)
