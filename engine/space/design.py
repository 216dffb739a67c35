"""Initial designs: the mixtures to train proxies on first.

A design is a function (space, prior (D,), n, seed, around) -> points (n, D), all different and inside the space, the
same for the same seed. A new one is a function and a line in the table.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from engine.core.errors import Problem
from engine.space.dirichlet import dirichlet, normalised
from engine.space.levels import levels_of
from engine.space.simplex import Simplex

OVERSAMPLING = 100
SAME = 6  # decimals to which two mixtures must agree to count as one
POOL = 4096  # draws that a D-optimal subset is chosen from
FLOOR = 1e-3  # shares below count as this in the logarithms of the D-optimal model
TIED = 1e-9  # of a variance: how far those that count as equal may lie apart; the first of them is chosen
DENSE = 10.0  # times RegMix's strength is that of the groups' totals; inside of groups it is RegMix's
MOVED = (
    8  # times as many draws as runs are moved inside at least where each costs a programme (engine/space/crossed.py)
)
NOISE = 0.01  # of a run, against the model's variance at an average mixture


Draw = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Around:
    """RegMix's Dirichlet around the prior (arXiv:2407.01492, appendix).

    strength: log-uniform in this range, so that some mixtures are nearly one domain and some lie near the prior;
    temperature flattens the prior (p ** temperature); no share is above max_ratio x its prior; shares under floor are
    dropped.
    """

    strength: tuple[float, float] = (0.1, 5.0)
    temperature: float = 0.5
    max_ratio: float = 15.0
    floor: float = 2e-4


def regmix(space: Simplex, prior: np.ndarray, n: int, seed: int, around: Around = Around()) -> np.ndarray:
    """RegMix's design: a random subset of 100 x as many draws of the Dirichlet around the prior (D,).

    Returns (n, D). Raises Problem when the bounds leave fewer than n different mixtures.
    """
    inside, moved, rng = _draws(space, prior, n, seed, around)
    # Tight bounds leave too few draws inside: then those outside are moved onto the bounds, and come last.
    pool = different(inside if len(inside) >= n else np.concatenate([inside, moved]), n)
    return pool[rng.permutation(len(pool))[:n]] if len(inside) >= n else pool[:n]


def sobol(space: Simplex, prior: np.ndarray, n: int, seed: int, around: Around = Around()) -> np.ndarray:
    """Low-discrepancy mixtures that fill the whole simplex evenly: scrambled Sobol points through -log(u).

    Normalised exponentials are uniform on the simplex. The prior has no effect. Returns (n, D).
    """
    from scipy.stats import qmc

    cube = qmc.Sobol(len(space.names), rng=seed).random_base2(int(np.ceil(np.log2(max(2, 2 * n)))))
    exponential = -np.log(np.clip(cube, 1e-12, 1 - 1e-12))
    room = max(0.0, 1 - space.lower.sum())
    shares = space.lower + room * exponential / exponential.sum(axis=1, keepdims=True)
    return different(space.project(space.tied(shares)), n)[:n]


def d_optimal(space: Simplex, prior: np.ndarray, n: int, seed: int, around: Around = Around()) -> np.ndarray:
    """The most informative draws for a quadratic law in shares and log shares: Bayesian D-optimal.

    Chosen one by one, each where the model is most uncertain given those before it, which is the greedy maximum of the
    determinant of its information (DuMouchel and Jones 1994); the pool is RegMix's draws and the corners. Returns
    (n, D).
    """
    inside, moved, rng = _draws(space, prior, n, seed, around)
    drawn = different(np.concatenate([inside, moved]), n)
    drawn = drawn[rng.permutation(len(drawn))[: max(POOL, 2 * n)]]
    pool = different(np.concatenate([drawn, _corners(space, normalised(prior))]), n)
    features = np.concatenate([pool, np.log(pool + FLOOR)], axis=1)
    spread = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)
    variance = (1 + (features**2).mean(axis=1)) ** 2  # (N,) of the law that is not known yet
    noise = NOISE * variance.mean()
    columns, chosen, left = np.empty((len(pool), n)), list[int](), np.ones(len(pool), bool)
    for step in range(n):
        best = int(np.flatnonzero(left & (variance >= (1 - TIED) * variance[left].max()))[0])
        across = (1 + features @ features[best] / features.shape[1]) ** 2
        known = columns[:, :step] @ columns[best, :step]
        columns[:, step] = (across - known) / np.sqrt(variance[best] + noise)
        variance = variance - columns[:, step] ** 2
        chosen.append(best)
        left[best] = False
    return pool[chosen]


def corners(space: Simplex, prior: np.ndarray, n: int, seed: int, around: Around = Around()) -> np.ndarray:
    """Each domain as large as it may be, the prior without each domain, and RegMix's draws for the rest. (n, D)."""
    fixed = different(_corners(space, normalised(prior)), 0)
    if len(fixed) > n:
        raise Problem(
            f"Cannot put the vertices and leave-one-out mixtures of {len(space.names)} domains into {n} runs: they are "
            f"{len(fixed)}. Ask for {len(fixed)} runs or more."
        )
    inside, moved, rng = _draws(space, prior, n, seed, around)
    rest = inside[rng.permutation(len(inside))]
    return different(np.concatenate([fixed, rest, moved]), n)[:n]


def by_level(space: Simplex, prior: np.ndarray, n: int, seed: int, around: Around = Around()) -> np.ndarray:
    """Dense above, sparse below, as Olmix draws sources and topics (arXiv:2602.12237): nearly every part of the first
    level has tokens, and inside of each a few domains have most. Without levels all domains are one part. (n, D)."""
    levels = levels_of(space.names, space.groups)
    parts = list(levels[0].parts.values()) if levels else [np.arange(len(space.names))]

    def draw(centre: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        low, high = around.strength
        above = np.array([centre[places].sum() for places in parts])
        total = dirichlet(above, count, rng, (DENSE * low, DENSE * high))
        shares = np.empty((count, len(centre)))
        for place, places in enumerate(parts):
            inner = centre[places] if above[place] > 0 else np.full(len(places), 1 / len(centre))
            shares[:, places] = total[:, [place]] * dirichlet(inner, count, rng, around.strength)
        return shares

    inside, moved, rng = _draws(space, prior, n, seed, around, draw)
    pool = different(np.concatenate([inside[rng.permutation(len(inside))], moved]), n)
    return pool[:n]


class Design(NamedTuple):
    """points: the function; draws: whether it uses the Dirichlet around the prior; title and summary for the page."""

    title: str
    summary: str
    draws: bool
    points: Callable[..., np.ndarray]


DESIGNS = {
    "regmix": Design(
        "Dirichlet (RegMix)", "Random mixtures around the prior, from nearly one domain to all.", True, regmix
    ),
    "sobol": Design("Sobol", "Fills the whole simplex evenly; the prior has no effect.", False, sobol),
    "d_optimal": Design("D-optimal", "The most informative draws for a quadratic law.", True, d_optimal),
    "by_level": Design(
        "By level (Olmix)", "Nearly every source in each mixture, and inside of each a few topics.", True, by_level
    ),
    "corners": Design(
        "Vertices and leave-one-out", "Every domain alone, the prior without each; draws for the rest.", True, corners
    ),
}


def _draws(
    space: Simplex, prior: np.ndarray, n: int, seed: int, around: Around, draw: Draw | None = None
) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """100 x n draws: those inside the space (., D), those moved onto its bounds (., D), and the generator. draw: a
    function (centre (D,), count, rng) -> (count, D), RegMix's Dirichlet by default."""
    rng = np.random.default_rng(seed)
    prior = normalised(prior)
    top = np.maximum(space.lower, np.minimum(space.upper, around.max_ratio * prior))
    try:
        limited = replace(space, upper=top)
    except Problem as problem:
        raise Problem(
            f"Cannot keep every share under {around.max_ratio:g} x its prior within the constraints. {problem} Or "
            "raise the largest ratio to the prior."
        ) from problem
    centre, count = normalised(prior**around.temperature), n * OVERSAMPLING
    drawn = draw(centre, count, rng) if draw else dirichlet(centre, count, rng, around.strength)
    drawn[drawn < around.floor] = 0
    drawn = space.tied(drawn / drawn.sum(axis=1, keepdims=True))
    inside = limited.contains(drawn)
    outside = drawn[~inside][: max(POOL, MOVED * n) if space.crossed else count]
    return drawn[inside], limited.project(outside if inside.sum() < n else drawn[:0]), rng


def _corners(space: Simplex, prior: np.ndarray) -> np.ndarray:
    """(2 D, D): each domain as large as the bounds allow, then the prior without each domain."""
    vertices = np.eye(len(prior))
    without = np.where(vertices > 0, 0, prior)
    total = without.sum(axis=1, keepdims=True)
    without = np.where(total > 0, without / np.where(total > 0, total, 1), (1 - vertices) / max(1, len(prior) - 1))
    return space.project(space.tied(np.concatenate([vertices, without])))


def different(points: np.ndarray, n: int) -> np.ndarray:
    """The points (N, D) without repeats, in order. Raises Problem when fewer than n are left."""
    _, first = np.unique(np.round(points, SAME), axis=0, return_index=True)
    if len(first) < n:
        raise Problem(
            f"Cannot find {n} different mixtures: the bounds leave {len(first)}. "
            "Widen the bounds, or ask for fewer runs."
        )
    return points[np.sort(first)]
