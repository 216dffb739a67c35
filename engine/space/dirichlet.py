"""Dirichlet draws around a prior, for designs and searches of mixtures."""

import numpy as np

from engine.core.errors import Problem


def dirichlet(centre: np.ndarray, n: int, rng: np.random.Generator, strength: tuple[float, float]) -> np.ndarray:
    """(n, D) Dirichlet(s x centre) draws, s log-uniform in `strength`.

    Gamma variates of shape under about 0.01 underflow to zero, so they are drawn as logarithms:
    G(a) = G(a + 1) x U^(1/a) (Marsaglia and Tsang 2000). A centre of zero gives shares of zero.
    """
    low, high = np.log(strength)
    scale = np.exp(rng.uniform(low, high, (n, 1)))
    shape = scale * centre
    with np.errstate(divide="ignore"):
        logs = np.log(rng.standard_gamma(shape + 1)) - rng.standard_exponential(shape.shape) / shape
    shares: np.ndarray = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def normalised(prior: np.ndarray) -> np.ndarray:
    """The prior as shares (D,). Raises Problem where it is not a distribution."""
    prior = np.asarray(prior, float)
    if not np.isfinite(prior).all() or (prior < 0).any() or prior.sum() <= 0:
        raise Problem(f"Cannot use {prior.tolist()} as a prior: weights must be numbers of at least 0, not all 0.")
    shares: np.ndarray = prior / prior.sum()
    return shares
