"""First points of a space: which mixtures to train proxies on before anything is known.

A design is a function (space, prior (D,), n, seed) -> points (n, D), all different, the same for the same
seed.
"""

import numpy as np

from engine.errors import Problem
from engine.space import Simplex

OVERSAMPLING = 100
SAME = 6  # decimals to which two mixtures must agree to count as one


def regmix(
    space: Simplex, prior: np.ndarray, n: int, seed: int, *,
    strength: tuple[float, float] = (0.1, 5.0), temperature: float = 0.5, max_ratio: float = 15.0,
    floor: float = 2e-4,
) -> np.ndarray:  # fmt: skip
    """RegMix's design (arXiv:2407.01492, appendix): Dirichlet draws around the smoothed token prior.

    prior (D,): shares of the available tokens; temperature flattens it (p ** temperature). The Dirichlet's
    strength is log-uniform in `strength`, so that some mixtures are nearly one domain and some lie near the
    prior. No share is above `max_ratio` x its prior, shares under `floor` are dropped. 100 x oversampling,
    then a random subset. Returns (n, D). Raises Problem when the bounds leave fewer than n different
    mixtures.
    """
    rng = np.random.default_rng(seed)
    prior = normalised(prior)
    limited = Simplex(space.names, space.lower, np.minimum(space.upper, max_ratio * prior))
    drawn = dirichlet(normalised(prior**temperature), n * OVERSAMPLING, rng, strength)
    drawn[drawn < floor] = 0
    drawn /= drawn.sum(axis=1, keepdims=True)
    inside = limited.contains(drawn)
    # Tight bounds leave too few draws inside: then those outside are moved onto the bounds, and come last.
    pool = drawn[inside] if inside.sum() >= n else np.concatenate([drawn[inside], limited.project(drawn[~inside])])
    pool = different(pool, n)
    return pool[rng.permutation(len(pool))[:n]] if inside.sum() >= n else pool[:n]


def sobol(space: Simplex, prior: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Low-discrepancy mixtures that fill the whole simplex evenly: scrambled Sobol points through -log(u).

    Normalised exponentials are uniform on the simplex. The prior plays no part. Returns (n, D).
    """
    from scipy.stats import qmc

    cube = qmc.Sobol(len(space.names), rng=seed).random_base2(int(np.ceil(np.log2(max(2, 2 * n)))))
    exponential = -np.log(np.clip(cube, 1e-12, 1 - 1e-12))
    room = max(0.0, 1 - space.lower.sum())
    shares = space.lower + room * exponential / exponential.sum(axis=1, keepdims=True)
    return different(space.project(shares), n)[:n]


DESIGNS = {"regmix": regmix, "sobol": sobol}


def dirichlet(centre: np.ndarray, n: int, rng: np.random.Generator, strength: tuple[float, float]) -> np.ndarray:
    """(n, D) Dirichlet(s x centre) draws, s log-uniform in `strength`.

    Gamma variates of shape under about 0.01 underflow to zero, so they are drawn as logarithms:
    G(a) = G(a + 1) x U^(1/a) (Marsaglia and Tsang 2000). A centre of zero gives shares of zero.
    """
    scale = np.exp(rng.uniform(*np.log(strength), (n, 1)))
    shape = scale * centre
    with np.errstate(divide="ignore"):
        logs = np.log(rng.standard_gamma(shape + 1)) - rng.standard_exponential(shape.shape) / shape
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def normalised(prior: np.ndarray) -> np.ndarray:
    """The prior as shares (D,). Raises Problem where it is no distribution."""
    prior = np.asarray(prior, float)
    if not np.isfinite(prior).all() or (prior < 0).any() or prior.sum() <= 0:
        raise Problem(f"Cannot use {prior.tolist()} as a prior: weights must be numbers of at least 0, not all 0.")
    return prior / prior.sum()


def different(points: np.ndarray, n: int) -> np.ndarray:
    """The points (N, D) without repeats, in order. Raises Problem when fewer than n are left."""
    _, first = np.unique(np.round(points, SAME), axis=0, return_index=True)
    if len(first) < n:
        raise Problem(
            f"Cannot find {n} different mixtures: the bounds leave {len(first)}. "
            "Widen the bounds, or ask for fewer runs."
        )
    return points[np.sort(first)]
