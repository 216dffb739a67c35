"""A surrogate's local behaviour around one mixture: effects of moving a share, curves, ternary surfaces, distance
to runs.

D domains, M metrics, N points. All uncertainties of effects are of the mean function, not of a single run.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem
from engine.space.simplex import Simplex
from engine.spec.statistics import TIED, ci_half_width, ordered
from engine.surrogates.base import Surrogate
from engine.surrogates.prediction import differences_std

STEP = 0.1  # fraction of the tokens that `influence` moves
MEASURED = 0.005  # nearer than this to a run, a mixture counts as that run
EXTRAPOLATED = "extrapolated"  # what a point beyond the runs is called
FARTHEST = 0.95  # quantile of the runs' own gaps up to which a mixture counts as between them


@dataclass(frozen=True)
class Influence:
    """domains (K,): which; effect, std (K, M): change of each loss when one of them gains its step of the tokens; step
    (K,), at most 0.1.

    certain (K, M): the sign is sure: the 95% interval does not reach 0.
    """

    domains: np.ndarray
    effect: np.ndarray
    std: np.ndarray
    step: np.ndarray

    @property
    def certain(self) -> np.ndarray:
        certain: np.ndarray = np.abs(self.effect) > ci_half_width(self.std)
        return certain


def influence(
    surrogate: Surrogate, at: np.ndarray, space: Simplex, giver: int | None = None, most: int = 20
) -> Influence:
    """The effect of moving up to 0.1 of the tokens to each domain in turn, taken from the others in
    proportion, or from the domain `giver` alone.

    at (D,). The step is as long as the bounds allow; a domain at its bound has step 0 and no effect. Of more than
    `most` domains those with the largest effects are taken, added up over the metrics.
    """
    at = np.asarray(at, float)
    step = np.array([_longest_step(at, j, space, giver) for j in range(len(at))])
    moved = np.stack([with_share(at, j, at[j] + step[j], giver) for j in range(len(at))])
    mean = surrogate.mean(np.concatenate([at[None], moved]))
    effect = np.where(step[:, None] < 1e-9, 0, mean[1:] - mean[0])
    domains = np.sort(ordered(-np.abs(effect).sum(axis=1))[:most])
    std = differences_std(surrogate, moved[domains], at, noise=False)
    return Influence(domains, effect[domains], np.where(step[domains, None] < 1e-9, 0, std), step[domains])


def _longest_step(at: np.ndarray, domain: int, space: Simplex, giver: int | None) -> float:
    """The largest step of at most STEP that keeps the domain's upper bound and the others' lower bounds."""
    if giver is not None:
        room = 0.0 if giver == domain else at[giver] - space.lower[giver]
        return float(np.clip(min(STEP, space.upper[domain] - at[domain], room), 0, None))
    others = (np.arange(len(at)) != domain) & (at > 0)
    if not others.any():
        return 0.0
    room = ((at[others] - space.lower[others]) / at[others]).min() * (1 - at[domain])
    return float(np.clip(min(STEP, space.upper[domain] - at[domain], room), 0, None))


def with_share(at: np.ndarray, domain: int, share: float, giver: int | None = None) -> np.ndarray:
    """The mixture (D,) of `with_shares` for one share."""
    found: np.ndarray = with_shares(at, domain, np.array([share]), giver)[0]
    return found


def with_shares(
    at: np.ndarray, domain: int, shares: np.ndarray, giver: int | None = None, locked: np.ndarray | None = None
) -> np.ndarray:
    """The mixtures (N, D) with one domain of `at` (D,) set to each of the shares (N,), and the others scaled to fill
    the rest in proportion.

    Others that are all zero share the rest evenly. With a giver, that domain alone gives or takes the difference, and
    the share goes no further than what the two hold. locked (D,) bool: domains that keep their share; where nobody is
    left to give, nothing moves.
    """
    at, place = np.asarray(at, float), np.arange(len(at))
    gives = (place != domain) if locked is None else (place != domain) & ~locked
    if giver is None or giver == domain:
        left = 1 - at[(place != domain) & ~gives].sum()
    else:
        gives, left = gives & (place == giver), at[domain] + at[giver]
    rows = np.tile(at, (len(shares), 1))
    if locked is not None and not gives.any():
        return rows
    value, held = np.clip(shares, 0, left), at[gives]
    parts = held / held.sum() if held.sum() > 0 else np.full(len(held), 1 / max(1, len(held)))
    rows[:, gives] = parts * (left - value)[:, None]
    rows[:, domain] = value
    return rows


def response(
    surrogate: Surrogate, at: np.ndarray, domain: int, grid: np.ndarray, giver: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std (N, M) of a run's losses as one domain's share takes the values grid (N,), others in
    proportion, or the domain `giver` alone.
    """
    return surrogate.predict(with_shares(at, domain, grid, giver))


@dataclass(frozen=True)
class Interactions:
    """Second differences of pairs of domains: effect, std (K, K, M), NaN on the diagonal; domains (K,): which; step.

    Negative: more of both lowers the metric by more than the two would alone.
    """

    domains: np.ndarray
    effect: np.ndarray
    std: np.ndarray
    step: float


def interactions(surrogate: Surrogate, at: np.ndarray, step: float = 0.05, most: int = 20) -> Interactions:
    """How domains act together at a mixture (D,): f(a and b) - f(a) - f(b) + f(neither), for every pair.

    Each domain gets `step` of the tokens, from the mixture as a whole in proportion; a straight line has no
    interactions. Of more than `most` domains the largest are taken. Raises Problem for fewer than two.
    """
    at = np.asarray(at, float)
    if len(at) < 2:
        raise Problem("Cannot show interactions: they take two domains, and this study has one.")
    domains = np.sort(ordered(-at)[:most])
    first, second = np.triu_indices(len(domains), 1)
    single, count = np.arange(len(domains)), len(first)
    gains = np.zeros((1 + len(domains) + count, len(at)))
    gains[1 + single, domains] = step
    pairs = 1 + len(domains) + np.arange(count)
    gains[pairs, domains[first]] = gains[pairs, domains[second]] = step
    points = (1 - gains.sum(axis=1, keepdims=True)) * at + gains
    contrast = np.zeros((count, len(points)))
    contrast[:, 0] = contrast[np.arange(count), pairs] = 1
    contrast[np.arange(count), 1 + first] = contrast[np.arange(count), 1 + second] = -1
    variance = np.einsum("pa,mab,pb->pm", contrast, surrogate.covariance(points), contrast, optimize=True)
    effect, std = np.full((2, len(domains), len(domains), len(surrogate.noise)), np.nan)
    effect[first, second] = effect[second, first] = contrast @ surrogate.mean(points)
    std[first, second] = std[second, first] = surrogate.scale * np.sqrt(np.maximum(variance, 0))
    return Interactions(domains, effect, std, step)


@dataclass(frozen=True)
class Surface:
    """corners (N, 3): coordinates of the three domains, each row sums to 1; points (N, D); mean, std (N,
    M).
    """

    corners: np.ndarray
    points: np.ndarray
    mean: np.ndarray
    std: np.ndarray


def ternary(surrogate: Surrogate, at: np.ndarray, domains: tuple[int, int, int], resolution: int) -> Surface:
    """Predictions over the triangle in which three domains divide what they hold at `at` (D,); the others
    stay put.

    resolution: steps along an edge; N = (resolution + 1)(resolution + 2) / 2.
    Raises Problem when the three hold nothing between them, or are not three.
    """
    at, three = np.asarray(at, float), list(domains)
    held = at[three].sum()
    if len(set(three)) != 3 or held < 1e-6:
        raise Problem(
            f"Cannot draw a triangle of domains {three}: it takes three different domains "
            f"with a share between them (these hold {held:.3g}). Choose others, or raise one of them."
        )
    corners = np.array([(i, j, resolution - i - j) for i in range(resolution + 1) for j in range(resolution + 1 - i)])
    corners = corners / resolution
    points = np.tile(at, (len(corners), 1))
    points[:, three] = held * corners
    return Surface(corners, points, *surrogate.predict(points))


@dataclass(frozen=True)
class Support:
    """distance (N,): fraction of the tokens that differs from the nearest run; nearest (N,): that run's row;
    badge (N,): "measured", "interpolated" or "extrapolated"; reach: the distance up to which a point is
    interpolated.
    """

    distance: np.ndarray
    nearest: np.ndarray
    badge: list[str]
    reach: float


def support(points: np.ndarray, runs: np.ndarray) -> Support:
    """How far points (N, D) lie from the runs measured (R, D).

    The distance is total variation: the fraction of tokens that would have to change domain. "measured" within
    0.005 of a run; "interpolated" while the nearest run is no farther than runs are from each other (the 95%
    quantile of their distances to their nearest fellow: the k-nearest-neighbour rule for a model's domain of
    applicability); beyond that "extrapolated". Raises Problem without runs.
    """
    points, runs = np.atleast_2d(np.asarray(points, float)), np.atleast_2d(np.asarray(runs, float))
    if runs.size == 0:
        raise Problem("Cannot say how far a mixture is from the runs: there are no finished runs yet. Train some.")
    distances = _total_variation(points, runs)
    different = np.unique(np.round(runs, 6), axis=0)
    gaps = _total_variation(different, different) + 2 * np.eye(len(different))
    reach = float(np.quantile(gaps.min(axis=1), FARTHEST)) if len(different) > 1 else 0.0
    nearest = (distances <= distances.min(axis=1, keepdims=True) + TIED).argmax(axis=1)  # of tied ones the first
    distance = distances[np.arange(len(points)), nearest]
    badge = np.where(distance <= MEASURED, "measured", np.where(distance <= reach, "interpolated", EXTRAPOLATED))
    return Support(distance, nearest, badge.tolist(), reach)


def _total_variation(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(N, R) half the sum of absolute differences."""
    return np.stack([np.abs(right - point).sum(axis=1) / 2 for point in left])
