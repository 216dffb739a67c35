"""Synthetic worlds with a known answer: losses of a mixture by six published laws, for benchmarks.

A world is drawn from a seed: pools of text log-uniform over three decades, natural shares by their size, and four
metrics, each by numbers of its own. D domains, M metrics, N points.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

METRICS = 4
POOLS = 1000  # largest domain / smallest
SKILLS = 5  # latent skills: what a domain teaches and what a metric asks for


@dataclass(frozen=True)
class World:
    """law: losses (N, M) of mixtures (N, D); natural (D,) shares; pools (D,) tokens; tokens of a run."""

    law: Callable[[np.ndarray], np.ndarray]
    natural: np.ndarray
    pools: np.ndarray
    tokens: float

    def measured(self, shares: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(N, M) losses of runs, with Gaussian noise of standard deviation (M,)."""
        return self.law(shares) + noise * rng.standard_normal((len(shares), len(noise)))


def skills(domains: int, rng: np.random.Generator) -> np.ndarray:
    """(M, D) how much each domain teaches what each metric asks for; rows have a mean of one."""
    teaches = rng.dirichlet(np.full(SKILLS, 0.4), domains)
    asks = rng.dirichlet(np.full(SKILLS, 0.5), METRICS)
    useful = asks @ teaches.T * np.exp(0.3 * rng.standard_normal((METRICS, domains)))
    return useful / useful.mean(axis=1, keepdims=True)


def log_linear(useful, pools, tokens, rng):
    """Data Mixing Laws (arXiv:2403.16952): c + exp(t . p)."""
    slopes = -1.2 * useful / useful.max(axis=1, keepdims=True) * rng.uniform(0.7, 1.3, useful.shape)
    return lambda p: 2.0 + np.exp(0.3 + p @ slopes.T)


def power(useful, pools, tokens, rng):
    """One power of the useful text: c + a (useful . p)^-b."""
    exponent = rng.uniform(0.15, 0.5, METRICS)
    return lambda p: 1.5 + (0.05 + p @ (useful / useful.max(axis=1, keepdims=True)).T) ** -exponent


def bimix(useful, pools, tokens, rng):
    """BiMix (arXiv:2405.14908): a sum over domains of powers of their shares."""
    part = useful / useful.sum(axis=1, keepdims=True)
    exponent = rng.uniform(0.1, 0.4, useful.shape)
    return lambda p: 1.5 + ((p[:, None, :] + 0.003) ** -exponent * part).sum(axis=2)


def epochs_with_harm(useful, pools, tokens, rng):
    """MARINER's law (Marin project, 2026): benefit saturates with epochs, repetition harms."""
    domains = useful.shape[1]
    rho, kappa, tau = rng.uniform(0.3, 2), rng.uniform(0.4, 0.9), rng.uniform(1.2, 2.2)
    size = pools**0.3
    alpha = useful * size / size.mean() * 1.2 / domains
    beta = rng.uniform(0.02, 0.2, domains) * np.ones((METRICS, 1)) / np.sqrt(domains)

    def law(p):
        epochs = np.maximum(p, 0) * tokens / pools
        benefit = 1 - np.exp(-((rho * epochs) ** kappa))
        harm = np.logaddexp(0, np.log1p(epochs) - tau) ** 2
        return 1.5 + np.exp(0.3 - benefit @ alpha.T + harm @ beta.T)

    return law


def capacity(useful, pools, tokens, rng):
    """Competition for capacity (arXiv:2606.08167): domains share a model's weights by their shares."""
    domains = useful.shape[1]
    c, b = rng.uniform(0.5, 1.5, domains), rng.uniform(0.2, 0.4, domains)
    amount, a = rng.uniform(0.3, 0.8, domains), rng.uniform(0.15, 0.35, domains)
    least, weights = 0.1, float(domains)
    part = useful / useful.sum(axis=1, keepdims=True)

    def law(p):
        h = np.maximum(p, 1e-3)
        low, high = np.full((len(h), 1), -40.0), np.full((len(h), 1), 40.0)
        for _ in range(60):
            middle = (low + high) / 2
            x = np.maximum(least, (h * b * c * np.exp(-middle)) ** (1 / (b + 1)))
            over = x.sum(axis=1, keepdims=True) > weights + (domains - 1) * least
            low, high = np.where(over, middle, low), np.where(over, high, middle)
        return (1.0 + c * x**-b + amount * (domains * h) ** -a) @ part.T

    return law


def gp_draw(useful, pools, tokens, rng):
    """A smooth random function: random Fourier features of root shares beside a log-linear trend."""
    domains, features = useful.shape[1], 400
    trend = log_linear(useful, pools, tokens, rng)
    rates = rng.standard_normal((domains, features)) * 1.2
    phase, size = rng.uniform(0, 2 * np.pi, features), rng.standard_normal((features, METRICS)) * 0.08
    return lambda p: trend(p) + np.sqrt(2 / features) * np.cos(np.sqrt(np.maximum(p, 0)) @ rates + phase) @ size


LAWS = {
    "log-linear": log_linear,
    "power": power,
    "BiMix": bimix,
    "epochs with harm": epochs_with_harm,
    "capacity competition": capacity,
    "GP draw": gp_draw,
}


def world(name: str, domains: int, seed: int) -> World:
    """The world of a law, a number of domains and a seed. Tokens of a run: a third of all text."""
    rng = np.random.default_rng([seed, domains, list(LAWS).index(name)])
    pools = np.exp(rng.uniform(0, np.log(POOLS), domains))
    tokens = float(pools.sum()) / 3
    law = LAWS[name](skills(domains, rng), pools, tokens, rng)
    return World(law, pools / pools.sum(), pools, tokens)
