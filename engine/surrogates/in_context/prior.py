"""Synthetic worlds of mixing, made in batches: what the in-context surrogate has seen before it sees a study.

A world is a set of domains, how much text each has, what each teaches, a law from these to losses, and a design of
runs. Laws: log-linear (Data Mixing Laws, arXiv:2403.16952), a power of the useful text and a sum of powers (BiMix,
arXiv:2405.14908), epochs with harm (MARINER, Marin project, 2026), competition for capacity (arXiv:2606.08167), draws
of Gaussian processes beside a trend, and boxes of merge coefficients. Half of the points asked for lie where losses are
lowest, often far from all runs: a surrogate is asked for the best mixture. B worlds, N points, D domains, M metrics, K
skills.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

METRICS = 2  # of a world: more cost a pass of the network each
FEATURES = 128  # of a random function
POOLS = 1000.0  # largest domain / smallest
ASKED = 48  # points asked for, half of them near the best
TRIED = 96  # points of which the best are asked for
STEPS = 30  # of the bisection
LEAST = 1e-3  # a share in a power law


class Tables(NamedTuple):
    """T tables of n runs over D domains, each of one metric of a world, and the points that are asked for.

    shares (T, n, D), losses (T, n); asked (T, q, D), answers (T, q) with the noise of a run; repeats (T, D): passes
    that a share of one makes, NaN where unknown; truth (T, q): answers without noise.
    """

    shares: np.ndarray
    losses: np.ndarray
    asked: np.ndarray
    answers: np.ndarray
    repeats: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Worlds:
    """useful (B, M, D): what a domain teaches of what a metric asks, at most 1; pools (B, D) tokens of text, repeats
    (B, D): passes that a share of one makes."""

    useful: np.ndarray
    pools: np.ndarray
    repeats: np.ndarray


def draw_worlds(worlds: int, domains: int, rng: np.random.Generator) -> Worlds:
    """Three in five metrics are the loss of one of the domains, which teaches it best; the others ask for skills."""
    skills = int(rng.integers(3, 9))
    teaches = rng.dirichlet(np.full(skills, rng.uniform(0.2, 0.8)), (worlds, domains))
    asks = rng.dirichlet(np.full(skills, 0.5), (worlds, METRICS))
    useful = np.einsum("bmk,bdk->bmd", asks, teaches)
    useful /= useful.max(axis=2, keepdims=True) + 1e-9
    own = rng.integers(0, domains, (worlds, METRICS))
    spread = np.einsum("bdk,bek->bde", teaches, teaches)
    spread /= np.einsum("bdd->bd", spread)[:, :, None]
    like = np.take_along_axis(spread, own[:, :, None], axis=1) * rng.uniform(0, 0.7, (worlds, METRICS, 1))
    np.put_along_axis(like, own[:, :, None], 1.0, axis=2)
    useful = np.where(rng.random((worlds, METRICS, 1)) < 0.6, like, useful)
    useful = useful * np.exp(0.4 * rng.standard_normal(useful.shape))
    pools = np.exp(rng.uniform(0, np.log(POOLS), (worlds, domains)))
    tokens = pools.sum(axis=1, keepdims=True) * np.exp(rng.uniform(np.log(0.02), np.log(3.0), (worlds, 1)))
    return Worlds(useful / useful.max(axis=2, keepdims=True), pools, tokens / pools)


def log_linear(world: Worlds, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """exp(-slopes . p): (B, N, M) of points (B, N, D)."""
    steep = rng.uniform(0.5, 3.0, (len(p), METRICS, 1))
    signed = world.useful - rng.uniform(0, 0.3, (len(p), METRICS, 1)) * (rng.random(world.useful.shape) < 0.3)
    return np.exp(-np.einsum("bnd,bmd->bnm", p, signed * steep))


def power(world: Worlds, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(least + useful . p)^-exponent."""
    exponent = rng.uniform(0.1, 0.6, (len(p), 1, METRICS))
    least = np.exp(rng.uniform(np.log(0.003), np.log(0.1), (len(p), 1, METRICS)))
    return (least + np.einsum("bnd,bmd->bnm", p, world.useful)) ** -exponent


def own_powers(world: Worlds, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sum over domains of powers of their shares."""
    parts = world.useful ** rng.uniform(1, 3, (len(p), METRICS, 1))
    exponent = rng.uniform(0.05, 0.5, (len(p), 1, p.shape[2]))
    least = np.exp(rng.uniform(np.log(0.001), np.log(0.03), (len(p), 1, 1)))
    return np.einsum("bnd,bmd->bnm", (p + least) ** -exponent, parts / parts.sum(axis=2, keepdims=True))


def epochs(world: Worlds, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """exp(-benefit of epochs + harm of epochs); in some worlds text never repeats, and the benefit is one of shares."""
    count, domains = len(p), p.shape[2]
    repeats = np.where(rng.random((count, 1)) < 0.3, rng.uniform(0.5, 10, (count, 1)), world.repeats)
    harmful = rng.random((count, 1, 1)) < 0.6
    rho, kappa = np.exp(rng.uniform(-2, 1.5, (count, 1, 1))), rng.uniform(0.3, 1.0, (count, 1, 1))
    tau = rng.uniform(1.0, 4.0, (count, 1, 1))
    passes = p * repeats[:, None]
    benefit = 1 - np.exp(-((rho * passes) ** kappa))
    harm = np.logaddexp(0, np.log1p(passes) - tau) ** 2 * harmful
    size = world.pools ** rng.uniform(0, 0.4, (count, 1))
    alpha = world.useful * (size / size.mean(axis=1, keepdims=True))[:, None] * rng.uniform(0.4, 2.0, (count, 1, 1))
    beta = rng.uniform(0.0, 0.3, (count, METRICS, domains)) / np.sqrt(domains)
    return np.exp(-np.einsum("bnd,bmd->bnm", benefit, alpha) + np.einsum("bnd,bmd->bnm", harm, beta))


def capacity(world: Worlds, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Domains share a model's weights by their shares, and metrics are made of the domains' losses."""
    count, domains = len(p), p.shape[2]
    c, b = rng.uniform(0.5, 1.5, (count, 1, domains)), rng.uniform(0.2, 0.4, (count, 1, domains))
    amount, a = rng.uniform(0.1, 0.8, (count, 1, domains)), rng.uniform(0.1, 0.35, (count, 1, domains))
    shares = np.maximum(p, LEAST)
    low, high = np.full((*p.shape[:2], 1), -30.0), np.full((*p.shape[:2], 1), 30.0)
    logs = np.log(shares * b * c)
    for _ in range(STEPS):
        middle = (low + high) / 2
        x = np.maximum(0.1, np.exp((logs - middle) / (b + 1)))
        over = x.sum(axis=2, keepdims=True) > domains + 0.1 * (domains - 1)
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    parts = world.useful ** rng.uniform(1, 3, (count, METRICS, 1))
    losses = c * x**-b + amount * (domains * shares) ** -a
    return np.einsum("bnd,bmd->bnm", losses, parts / parts.sum(axis=2, keepdims=True))


def smooth(features: np.ndarray, relevant: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(B, N, M) draws of a Gaussian process with unit variance over features (B, N, D) whose inverse length scales are
    relevant (B, D), by random Fourier features (Rahimi and Recht 2007); some are rough (a Cauchy spectrum)."""
    count, _, domains = features.shape
    rates = rng.standard_normal((count, domains, FEATURES))
    rough = rng.random((count, 1, 1)) < 0.5
    rates = rates / np.where(rough, np.sqrt(rng.chisquare(4, (count, 1, FEATURES)) / 4), 1.0) * relevant[:, :, None]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, FEATURES))
    sizes = rng.standard_normal((count, FEATURES, METRICS)) * np.sqrt(2 / FEATURES)
    return np.cos(features @ rates + phase) @ sizes


def gp_draw(world: Worlds, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random function of log or root shares with few relevant domains, beside a trend of another law."""
    count, domains = len(p), p.shape[2]
    logs = rng.random((count, 1, 1)) < 0.5
    features = np.where(logs, np.log(p + 0.003) / 2, 3 * np.sqrt(p))
    relevant = np.exp(0.8 * rng.standard_normal((count, domains))) * rng.uniform(0.1, 1.0, (count, 1))
    drawn = smooth(features, relevant / np.sqrt(domains / 4), rng)
    trend = TRENDS[int(rng.integers(len(TRENDS)))](world, p, rng)
    spread = trend.std(axis=1, keepdims=True) + 1e-6
    return trend / spread + drawn * np.exp(rng.uniform(np.log(0.1), np.log(3.0), (count, 1, 1)))


def bowl(world: Worlds, p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Losses of merges over a box, points (B, N, D) between 1 and 2: a bowl with products, and a smooth function."""
    count, domains = len(p), p.shape[2]
    u, best = p - 1, rng.uniform(-0.1, 1.1, (count, 1, METRICS, domains))
    steep = world.useful[:, None] * np.exp(rng.uniform(-1, 1, (count, 1, METRICS, 1)))
    off = u[:, :, None] - best
    found = (steep * off**2).sum(axis=3)
    mixed = rng.standard_normal((count, METRICS, domains)) / np.sqrt(domains)
    found = found + np.einsum("bnmd,bmd->bnm", off, mixed) ** 2 * rng.uniform(0, 1, (count, 1, 1))
    relevant = np.exp(0.8 * rng.standard_normal((count, domains))) * 1.5 / np.sqrt(domains)
    spread = found.std(axis=1, keepdims=True) + 1e-6
    return found / spread + smooth(u, relevant, rng) * rng.uniform(0, 1.0, (count, 1, 1))


Law = Callable[[Worlds, np.ndarray, np.random.Generator], np.ndarray]
TRENDS: tuple[Law, ...] = (log_linear, power, own_powers)
# The law and how often it is drawn. Those of the box have designs of their own.
FAMILIES: dict[str, tuple[Law, float]] = {
    "log-linear": (log_linear, 0.20),
    "power": (power, 0.13),
    "own powers": (own_powers, 0.12),
    "epochs": (epochs, 0.20),
    "capacity": (capacity, 0.08),
    "GP draw": (gp_draw, 0.15),
    "box": (bowl, 0.12),
}


def mixtures(natural: np.ndarray, count: int, wide: bool, rng: np.random.Generator) -> np.ndarray:
    """(B, count, D) mixtures around natural shares (B, D): Dirichlet, near corners, with domains left out, or tilted.

    wide: with strengths of their own for every point, as RegMix draws them, and all designs at once.
    """
    worlds, domains = natural.shape
    tempered = natural[:, None] ** rng.uniform(0, 1, (worlds, 1, 1))
    base = tempered / tempered.sum(axis=2, keepdims=True)
    each = (worlds, count, 1) if wide or rng.random() < 0.4 else (worlds, 1, 1)
    strength = np.exp(rng.uniform(np.log(0.5), np.log(5.0 * domains), each))
    points = dirichlet(np.broadcast_to(strength * base, (worlds, count, domains)), rng)
    kind = rng.random(each)
    corner = np.eye(domains)[rng.integers(0, domains, (worlds, count))]
    part = rng.uniform(0, 0.95, (worlds, count, 1))
    points = np.where((kind > 0.60) & (kind < 0.75), part * corner + (1 - part) * points, points)
    left = points * (rng.random(points.shape) < rng.uniform(0.3, 0.9, each)) + 1e-12
    points = np.where((kind >= 0.75) & (kind < 0.85), left / left.sum(axis=2, keepdims=True), points)
    tilted = base * np.exp(rng.standard_normal(points.shape) * rng.uniform(0.3, 1.5, each))
    points = np.where(kind >= 0.85, tilted / tilted.sum(axis=2, keepdims=True), points)
    if rng.random() < 0.3:
        points = np.round(points, 3) + 1e-12
    return points / points.sum(axis=2, keepdims=True)


def dirichlet(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of Dirichlet distributions (..., D), also of tiny alpha: a gamma variate of alpha is one of alpha + 1 times
    U^(1 / alpha), in logarithms."""
    logs = np.log(rng.standard_gamma(alpha + 1)) + np.log(rng.random(alpha.shape)) / np.maximum(alpha, 1e-3)
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def tables(worlds: int, runs: int, domains: int, family: str, rng: np.random.Generator) -> Tables:
    """METRICS tables of each of some worlds of one family: T = worlds x METRICS."""
    world = draw_worlds(worlds, domains, rng)
    near, far = runs + ASKED // 2, TRIED
    if family == "box":
        points = 1 + rng.random((worlds, near + far, domains))
    else:
        natural = world.pools / world.pools.sum(axis=1, keepdims=True)
        parts = [mixtures(natural, near, False, rng), mixtures(natural, far, True, rng)]
        points = np.concatenate(parts, axis=1)
    truth = FAMILIES[family][0](world, points, rng)
    if rng.random() < 0.15:
        truth = -truth  # a metric that is better when higher
    truth = truth / (truth[:, :runs].std(axis=1, keepdims=True) + 1e-9)
    chosen = np.argsort(truth[:, near:].mean(axis=2) if rng.random() < 0.5 else truth[:, near:, 0], axis=1)
    few = near + chosen[:, : ASKED - ASKED // 2]
    rows = np.concatenate([np.broadcast_to(np.arange(near), (worlds, near)), few], axis=1)[:, :, None]
    points, truth = np.take_along_axis(points, rows, axis=1), np.take_along_axis(truth, rows, axis=1)
    measured = truth + noise_of(truth.shape, rng)
    measured[:, :runs] += failures((worlds, runs, METRICS), rng)
    known = (rng.random((worlds, 1)) < 0.5) & (family != "box")
    return _by_metric(points, measured, truth, np.where(known, world.repeats, np.nan), runs)


def noise_of(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Noise of .5 to 15% of the runs' spread, one level for each metric of each world."""
    level = np.exp(rng.uniform(np.log(0.005), np.log(0.15), (shape[0], 1, shape[2])))
    return level * rng.standard_normal(shape)


def failures(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """In a tenth of the worlds, what a few runs that diverged are too high by."""
    failing = (rng.random((shape[0], 1, 1)) < 0.1) & (rng.random((*shape[:2], 1)) < 0.04)
    return failing * rng.uniform(1, 6, shape)


def _by_metric(points, measured, truth, repeats, runs: int) -> Tables:
    """Worlds (B, N, D) and (B, N, M) as one table for each metric."""

    def each(x: np.ndarray) -> np.ndarray:
        return np.repeat(x, METRICS, axis=0)

    def flat(x: np.ndarray) -> np.ndarray:
        return x.transpose(0, 2, 1).reshape(-1, x.shape[1])

    losses, exact = flat(measured), flat(truth)
    shares = each(points)
    return Tables(
        shares[:, :runs], losses[:, :runs], shares[:, runs:], losses[:, runs:], each(repeats), exact[:, runs:]
    )
