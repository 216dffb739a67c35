"""Gaussian processes: Matern 5/2 with a length scale for each domain, on log shares and on root shares,
averaged.

The input warp does most of it: a loss falls with the logarithm of a share. A process per metric and warp;
length scales, amplitude and noise maximise the marginal likelihood times a weak log-normal prior, with
analytic gradients (Rasmussen and Williams 2006, chapter 5). No tensor of distances is ever built: squared
distances and their gradients are products of an (R, D) with a (D, R) matrix.

The average of the two predicts better than either. Its uncertainty is that of a mixture of the two: the mean
of their covariances plus that of their disagreement.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from engine.surrogates.base import Surrogate, centre_and_spread

FLOOR = 1e-3  # share that counts as none
ROUNDS = 60  # of L-BFGS
ENOUGH = 192  # runs that set the hyperparameters; all of them are conditioned on. On 512 runs: 8 times faster
JITTER = 1e-8
BULK = 2048  # more points than this are scored in float32: within a thousandth of a spread, and twice as fast
BLOCK = 2**15  # kernel entries at once: what stays in the cache
# Log-normal priors of (length scales, amplitude, noise), in units of the features' and the losses' spread.
PRIOR_MEAN, PRIOR_SPREAD = (2.5, 1.5, -2.5), (1.5, 1.5, 1.0)
WARPS = (lambda shares: np.log(shares + FLOOR), np.sqrt)


@dataclass(kw_only=True)
class GP(Surrogate):
    """weights (R, D), losses (R, M) of the runs; theta (2, M, D + 2): logs of the length scales, amplitude,
    noise.
    """

    title = "Gaussian process"
    summary = "Smooth curves through the runs with honest doubt between them: the best on few runs."
    complexity = 3

    weights: np.ndarray
    losses: np.ndarray
    theta: np.ndarray

    @classmethod
    def _learn(cls, weights, losses, seed):
        mean, spread = centre_and_spread(losses)
        targets = (losses - mean) / spread
        theta = np.array([[_likeliest(z, t) for t in targets.T] for z in _features(weights, weights)])
        noise = np.exp(2 * theta[:, :, -1]).mean(axis=0) * spread**2
        return cls(noise=noise, weights=weights, losses=losses, theta=theta)

    @cached_property
    def _processes(self) -> list[list["Process"]]:
        """[warp][metric], conditioned on the runs."""
        mean, spread = centre_and_spread(self.losses)
        targets = (self.losses - mean) / spread
        pairs = zip(_features(self.weights, self.weights), self.theta, strict=True)
        return [[condition(z, t, one) for t, one in zip(targets.T, theta, strict=True)] for z, theta in pairs]

    def mean(self, weights):
        mean, spread = centre_and_spread(self.losses)
        return mean + spread * self._means(weights).mean(axis=0)

    def _means(self, weights: np.ndarray) -> np.ndarray:
        """(2, N, M) in units of the losses' spread, one for each warp."""
        weights = np.asarray(weights, float)
        dtype = np.float32 if len(weights) > BULK else np.float64
        scores = np.empty((2, len(weights), self.losses.shape[1]), dtype)
        size = max(1, BLOCK // len(self.weights))
        ready = [[(p.right.astype(dtype), p.dual.astype(dtype)) for p in processes] for processes in self._processes]
        for start in range(0, len(weights), size):
            block = slice(start, start + size)
            for warp, z in enumerate(_features(weights[block], self.weights)):
                left = _left(z).astype(dtype)
                for metric, (right, dual) in enumerate(ready[warp]):
                    scores[warp, block, metric] = _matern(left @ right) @ dual
        return scores

    def moments(self, weights):
        mean, spread = centre_and_spread(self.losses)
        both = [[process.moments(_left(z)) for process in processes] for processes, z in self._warped(weights)]
        means, own = np.array(both).transpose(2, 0, 3, 1)  # each (2, N, M)
        gap = (means[0] - means[1]) / 2
        return mean + spread * means.mean(axis=0), (np.maximum(own, 0).mean(axis=0) + gap**2) * spread**2

    def covariance(self, weights):
        own = np.array([[p.covariance(z) for p in processes] for processes, z in self._warped(weights)])
        _, spread = centre_and_spread(self.losses)
        log, root = self._means(weights)
        gap = (log - root) / 2
        return (own.mean(axis=0) + np.einsum("am,bm->mab", gap, gap)) * (spread**2)[:, None, None]

    def _warped(self, weights: np.ndarray):
        """[(processes of a warp, features of the points in it)]."""
        return zip(self._processes, _features(np.asarray(weights, float), self.weights), strict=True)


class Process(NamedTuple):
    """One process, conditioned on R runs.

    rates (D,): inverse length scales; right (2D + 1, R): `_left` of points times it is 5 x their squared
    scaled distances to the runs; dual (R,): the mean is the correlation with the runs times it; cholesky (R,
    R), lower.
    """

    rates: np.ndarray
    amplitude: float
    right: np.ndarray
    dual: np.ndarray
    cholesky: np.ndarray

    def moments(self, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (N,) at points, given as `_left` of their features."""
        across = _matern(left @ self.right)
        return across @ self.dual, self.amplitude - (self._known(across) ** 2).sum(axis=0)

    def covariance(self, z: np.ndarray) -> np.ndarray:
        """(N, N) between points of features z (N, D)."""
        known = self._known(_matern(_left(z) @ self.right))
        return self.amplitude * _matern(_distances(z * self.rates)) - known.T @ known

    def _known(self, across: np.ndarray) -> np.ndarray:
        """(R, N) whose squares are the variance that the runs explain; across (N, R) correlations."""
        from scipy.linalg import solve_triangular

        return solve_triangular(self.cholesky, self.amplitude * across.T, lower=True, check_finite=False)


def condition(z: np.ndarray, targets: np.ndarray, theta: np.ndarray) -> Process:
    """The process of hyperparameters theta (D + 2,), given features (R, D) and targets (R,), NaN left out."""
    from scipy.linalg import cho_solve

    z, targets = z[~np.isnan(targets)], targets[~np.isnan(targets)]
    rates, amplitude, noise = np.exp(-theta[:-2]), np.exp(2 * theta[-2]), np.exp(2 * theta[-1])
    kernel = amplitude * _matern(_distances(z * rates))
    cholesky = np.linalg.cholesky(kernel + (noise + JITTER) * np.eye(len(z)))
    dual = amplitude * cho_solve((cholesky, True), targets)
    squared = rates**2
    rows = [np.tile(squared[:, None], len(z)), -2 * (z * squared).T, ((z**2) @ squared)[None]]
    return Process(rates, amplitude, 5 * np.concatenate(rows), dual, cholesky)


def _features(weights: np.ndarray, runs: np.ndarray) -> list[np.ndarray]:
    """The warped shares, [(N, D)], centred on the runs (R, D); one scale for all domains keeps their
    proportions.
    """
    warped = []
    for warp in WARPS:
        known = warp(runs)
        warped.append((warp(np.maximum(weights, 0)) - known.mean(axis=0)) / max(known.std(), 1e-9))
    return warped


def _left(z: np.ndarray) -> np.ndarray:
    return np.concatenate([z**2, z, np.ones((len(z), 1))], axis=1)


def _distances(scaled: np.ndarray) -> np.ndarray:
    """(R, R) 5 x squared distances."""
    squares = (scaled**2).sum(axis=1)
    return np.maximum(5 * (squares[:, None] + squares - 2 * scaled @ scaled.T), 0)


def _matern(distances: np.ndarray) -> np.ndarray:
    """Matern 5/2 of 5 x squared distances, which are overwritten: (1 + a + a^2 / 3) exp(-a)."""
    a2 = np.maximum(distances, 0, out=distances)
    a = np.sqrt(a2)
    a2 /= 3
    a2 += a
    a2 += 1
    a2 *= np.exp(np.negative(a, out=a), out=a)
    return a2


def _likeliest(z: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """theta (D + 2,) of the largest posterior, for sorted features (R, D) and targets (R,), NaN left out."""
    from scipy.optimize import minimize

    rows = np.flatnonzero(~np.isnan(targets))
    if len(rows) > ENOUGH:  # runs are sorted: even steps spread over the shares
        rows = rows[np.linspace(0, len(rows) - 1, ENOUGH).astype(int)]
    shape = (z.shape[1], 1, 1)
    mean, spread = np.repeat(PRIOR_MEAN, shape), np.repeat(PRIOR_SPREAD, shape)
    found = minimize(
        _misfit, mean, args=(z[rows], targets[rows], mean, spread), jac=True, method="L-BFGS-B",
        bounds=np.stack([mean - 5 * spread, mean + 5 * spread], axis=1), options={"maxiter": ROUNDS},
    )  # fmt: skip
    return found.x


def _misfit(theta, z, targets, prior_mean, prior_spread) -> tuple[float, np.ndarray]:
    """Negative log posterior of theta (D + 2,) and its gradient; targets (R,), features (R, D)."""
    from scipy.linalg.lapack import dpotrf, dpotri

    runs, domains = z.shape
    scaled = z * np.exp(-theta[:domains])
    amplitude, noise = np.exp(2 * theta[domains:])
    a = np.sqrt(_distances(scaled))
    decay = amplitude * np.exp(-a)
    kernel = (1 + a + a * a / 3) * decay
    noisy = kernel.copy()
    noisy.flat[:: runs + 1] += noise + JITTER
    cholesky, failed = dpotrf(noisy, lower=1, clean=1)
    if failed:  # so far out that the kernel is numerically singular: turn the line search back
        return 1e10, np.zeros_like(theta)
    inverse = np.tril(dpotri(cholesky, lower=1)[0])
    inverse += np.tril(inverse, -1).T
    dual = inverse @ targets
    inward = (inverse - np.outer(dual, dual)) / 2  # d misfit / d kernel
    pull = inward * (1 + a) * decay * (5 / 3)  # minus d misfit / d half the squared distance
    gradient = (theta - prior_mean) / prior_spread**2
    gradient[:domains] += 2 * (
        (scaled**2 * pull.sum(axis=1)[:, None]).sum(axis=0) - (scaled * (pull @ scaled)).sum(axis=0)
    )
    gradient[domains] += 2 * (inward * kernel).sum()
    gradient[domains + 1] += 2 * noise * np.trace(inward)
    misfit = targets @ dual / 2 + np.log(np.diag(cholesky)).sum()
    return misfit + (((theta - prior_mean) / prior_spread) ** 2).sum() / 2, gradient
