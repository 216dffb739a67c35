"""Gaussian processes: a line and Matern 5/2 with a length scale for each domain, on log shares and on root
shares, averaged.

Two warps matter most. A loss falls with the logarithm of a share, and flattens towards a floor as the published
laws of mixing do: so a process sees log and root shares, and the logarithm of a loss above a floor (a
warped Gaussian process: Snelson, Rasmussen and Ghahramani 2003; the floor is fixed). A process per metric and warp;
length scales, amplitude and noise maximise the marginal likelihood times a weak log-normal prior, with
analytic gradients (Rasmussen and Williams 2006, chapter 5). No tensor of distances is ever built: squared
distances and their gradients are products of an (R, D) with a (D, R) matrix.

A process alone returns to the mean far from its runs, where the best mixture often lies. So the kernel has a second
part: a line in the shares and their logarithms with coefficients drawn from a Gaussian, which is what the log-linear
and power laws are for the logarithm of a loss above its floor. The likelihood weighs the two. On synthetic worlds of
24 domains where a law holds, 300 runs leave a fifth as much of the way to the best mixture as the process alone
leaves (benchmarks/target.py).

From a couple of hundred runs on, the mean is that of the projected process: the same likelihood, solved for the
correlations with the 192 runs that tell most of the others apart (pivoted Cholesky; subset of regressors, Quinonero
and Rasmussen 2005). On 410 of RegMix's runs it ranks within .01 of the full process, in a third of the time. The
uncertainty stays that of the full one.

The average of the two predicts better than either. Its uncertainty is that of a mixture of the two: the mean
of their covariances plus that of their disagreement. R runs, N points, D domains, M metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, NamedTuple, Self

import numpy as np

from engine.surrogates.base import Surrogate, in_blocks
from engine.surrogates.warps import lines_of, scales_of, warped

ROUNDS = 60  # of L-BFGS
ENOUGH = 192  # runs that set the hyperparameters; all of them are conditioned on. On 512 runs: 8 times faster
JITTER = 1e-8
INDUCING = 192  # inducing runs of the mean
BULK = (
    2048  # more points than this are scored in float32: within a few thousandths of a standard deviation, twice as fast
)
BLOCK = 2**15  # kernel entries at once: fits in the cache
# Log-normal priors of (length scales, amplitude, noise, size of the lines in shares and in their logarithms), in
# standard deviations of the features and losses.
PRIOR_MEAN, PRIOR_SPREAD = (3.0, 1.5, -2.5, -2.0, -2.0), (1.5, 1.5, 1.0, 2.0, 2.0)
NO_LINE = -30.0  # log size of a line that is not there, as in processes saved before there was one


class Process(NamedTuple):
    """One process, conditioned on R runs. I: inducing runs, all of them where they are few.

    rates (D,): inverse length scales; right (D + 2, R): `_left` of points times it is what `correlate` takes;
    sizes (2 D,): what the lines' features are multiplied by, known (R, 2 D): those of the runs; cholesky (R, R), lower;
    inducing (D + 2, I): those of `right`; dual (I,), slopes (2 D,): the mean is the correlation with the inducing runs
    times `dual`, and the lines' features times `slopes`.
    """

    rates: np.ndarray
    amplitude: float
    right: np.ndarray
    sizes: np.ndarray
    known: np.ndarray
    cholesky: np.ndarray
    inducing: np.ndarray
    dual: np.ndarray
    slopes: np.ndarray


@dataclass(kw_only=True)
class GP(Surrogate):
    """weights (R, D), losses (R, M) of the runs; theta (2, M, D + 4): logs of the length scales, amplitude,
    noise, sizes of the two lines.

    A kernel is a function of `OFFSET` + `STRETCH` x the squared distance in length scales.
    """

    title = "Gaussian process, Matern"
    summary = "Smooth curves through the runs with calibrated uncertainty between them: among the best on few runs."
    complexity = 5
    extrapolates = True
    STRETCH: ClassVar[float] = 5.0
    OFFSET: ClassVar[float] = 0.0

    weights: np.ndarray
    losses: np.ndarray
    theta: np.ndarray

    def __post_init__(self):
        super().__post_init__()
        missing = max(0, self.weights.shape[1] + 4 - self.theta.shape[-1])
        self.theta = np.pad(self.theta, ((0, 0), (0, 0), (0, missing)), constant_values=NO_LINE)

    @staticmethod
    def correlate(distances: np.ndarray) -> np.ndarray:
        """Matern 5/2 of 5 x squared distances, which are overwritten: (1 + a + a^2 / 3) exp(-a)."""
        a2 = np.abs(distances, out=distances)  # rounding may leave tiny negatives; abs costs a fifth of maximum
        a = np.sqrt(a2)
        a2 /= 3
        a2 += a
        a2 += 1
        a2 *= np.exp(np.negative(a, out=a), out=a)
        return a2

    @staticmethod
    def pull(distances: np.ndarray) -> np.ndarray:
        """Minus the derivative of the correlation with respect to half the squared distance."""
        a = np.sqrt(np.abs(distances))
        return (1 + a) * np.exp(-a) * (5 / 3)

    @classmethod
    def _learn(cls, weights, losses, seed):
        mean, spread, floor = scales_of(losses)
        targets = (np.log(losses - floor) - mean) / spread
        lines = lines_of(weights, weights)
        theta = np.array([[cls._likeliest(z, lines, t) for t in targets.T] for z in warped(weights, weights)])
        slopes = np.nanmean((losses - floor) ** 2, axis=0) * spread**2  # of a loss by its target, squared
        noise = np.exp(2 * theta[:, :, weights.shape[1] + 1]).mean(axis=0) * slopes
        return cls(noise=noise, weights=weights, losses=losses, theta=theta)

    def again(self, weights: np.ndarray, losses: np.ndarray) -> Self:
        return replace(self, weights=weights, losses=losses)

    @cached_property
    def _processes(self) -> list[list[Process]]:
        """[warp][metric], conditioned on the runs."""
        mean, spread, floor = scales_of(self.losses)
        targets = (np.log(self.losses - floor) - mean) / spread
        lines = lines_of(self.weights, self.weights)
        pairs = zip(warped(self.weights, self.weights), self.theta, strict=True)
        return [
            [self._condition(z, lines, t, one) for t, one in zip(targets.T, theta, strict=True)] for z, theta in pairs
        ]

    @classmethod
    def _condition(cls, z: np.ndarray, lines: np.ndarray, targets: np.ndarray, theta: np.ndarray) -> Process:
        """The process of hyperparameters theta (D + 4,), given features (R, D), those of the lines (R, 2 D) and targets
        (R,), NaN left out."""
        counted, domains = ~np.isnan(targets), z.shape[1]
        sizes, noise = np.exp(theta[domains + 2 :]).repeat(domains), np.exp(2 * theta[domains + 1])
        return cls._given(z[counted], lines[counted], targets[counted], theta[: domains + 1], sizes, noise)

    @classmethod
    def _given(cls, z, lines, targets, theta: np.ndarray, sizes: np.ndarray, noise: "np.ndarray | float") -> Process:
        """The process with logs of length scales and amplitude theta (D + 1,), sizes (2 D,) of lines, and a noise for
        all runs, or one for each."""
        from scipy.linalg import cho_solve

        rates, amplitude = np.exp(-theta[:-1]), np.exp(2 * theta[-1])
        known, right, ridge = lines * sizes, cls._right(z * rates), noise + JITTER
        kernel = amplitude * cls.correlate(cls._distances(z * rates))
        cholesky = np.linalg.cholesky(kernel + known @ known.T + ridge * np.eye(len(z)))
        if len(z) <= INDUCING or np.ndim(ridge):
            dual = cho_solve((cholesky, True), targets)
            chosen, slopes = slice(None), known.T @ dual
        else:
            chosen, dual, slopes = _projected(kernel, known, ridge, targets)
        return Process(
            rates, amplitude, right, sizes, known, cholesky, right[:, chosen], amplitude * dual, sizes * slopes
        )

    def mean(self, weights: np.ndarray) -> np.ndarray:
        mean, spread, floor = scales_of(self.losses)
        return floor + np.exp(mean + spread * self._targets(weights).mean(axis=0))

    def _targets(self, weights: np.ndarray) -> np.ndarray:
        """(2, N, M) means of the targets, one for each warp."""
        weights = np.asarray(weights, float)
        dtype = np.float32 if len(weights) > BULK else np.float64
        scores = np.empty((2, len(weights), self.losses.shape[1]), dtype)
        ready = [
            [tuple(x.astype(dtype, copy=False) for x in (p.rates, p.inducing, p.dual)) for p in row]
            for row in self._processes
        ]
        slopes = [np.array([p.slopes for p in row]).T.astype(dtype, copy=False) for row in self._processes]

        def score(block: slice) -> None:
            lines = lines_of(weights[block], self.weights).astype(dtype, copy=False)
            for warp, z in enumerate(warped(weights[block], self.weights)):
                z = z.astype(dtype, copy=False)
                scores[warp, block] = lines @ slopes[warp]
                for metric, (rates, inducing, dual) in enumerate(ready[warp]):
                    scores[warp, block, metric] += self.correlate(_left(z * rates) @ inducing) @ dual

        in_blocks(score, len(weights), max(1, BLOCK // min(INDUCING, len(self.weights))))
        return scores

    def moments(self, weights):
        mean, spread, floor = scales_of(self.losses)
        lines = lines_of(np.asarray(weights, float), self.weights)
        both = [[self._moments(process, z, lines) for process in row] for row, z in self._warped(weights)]
        means, own = np.array(both).transpose(2, 0, 3, 1)  # each (2, N, M)
        gap = (means[0] - means[1]) / 2
        above = np.exp(mean + spread * means.mean(axis=0))  # a loss above its floor: the derivative by the target
        return floor + above, (np.maximum(own, 0).mean(axis=0) + gap**2) * (spread * above) ** 2

    def covariance(self, weights: np.ndarray) -> np.ndarray:
        return self.joint(weights)[1]

    def joint(self, weights):
        mean, spread, floor = scales_of(self.losses)
        lines = lines_of(np.asarray(weights, float), self.weights)
        own = np.array([[self._between(process, z, lines) for process in row] for row, z in self._warped(weights)])
        log, root = self._targets(weights)
        gap, above = (log - root) / 2, np.exp(mean + spread * (log + root) / 2)
        slope, off = spread * above, np.einsum("am,bm->mab", gap, gap)
        return floor + above, (own.mean(axis=0) + off) * np.einsum("am,bm->mab", slope, slope)

    def _warped(self, weights: np.ndarray):
        """[(processes of a warp, features of the points in it)]."""
        return zip(self._processes, warped(np.asarray(weights, float), self.weights), strict=True)

    def _moments(self, process: Process, z: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (N,) of one process at points of features z (N, D) and lines (N, 2 D)."""
        left, own = _left(z * process.rates), lines * process.sizes
        mean = self.correlate(left @ process.inducing) @ process.dual + lines @ process.slopes
        known = self._known(process, left, own)
        return mean, process.amplitude + (own**2).sum(axis=1) - (known**2).sum(axis=0)

    def _between(self, process: Process, z: np.ndarray, lines: np.ndarray) -> np.ndarray:
        """(N, N) covariance of one process between points of features z (N, D) and lines (N, 2 D)."""
        scaled, own = z * process.rates, lines * process.sizes
        known = self._known(process, _left(scaled), own)
        return process.amplitude * self.correlate(self._distances(scaled)) + own @ own.T - known.T @ known

    def _known(self, process: Process, left: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(R, N) whitened covariance with the runs, of points: `_left` of their features, their lines in `sizes`."""
        from scipy.linalg.lapack import dtrtrs  # what solve_triangular calls, in half the time for a point

        across = process.amplitude * self.correlate(left @ process.right) + own @ process.known.T
        return dtrtrs(process.cholesky.T, across.T, lower=0, trans=1)[0]

    @classmethod
    def _right(cls, scaled: np.ndarray) -> np.ndarray:
        """(D + 2, R): `_left` of points (N, D) @ it = OFFSET + STRETCH x squared distances to scaled (R, D)."""
        squares = (scaled**2).sum(axis=1)
        rows = [-2 * cls.STRETCH * scaled.T, cls.STRETCH * np.ones_like(squares), cls.OFFSET + cls.STRETCH * squares]
        return np.vstack(rows)

    @classmethod
    def _distances(cls, scaled: np.ndarray) -> np.ndarray:
        """(R, R) OFFSET + STRETCH x squared distances between scaled (R, D)."""
        squares = (scaled**2).sum(axis=1)
        return cls.OFFSET + cls.STRETCH * np.maximum(squares[:, None] + squares - 2 * scaled @ scaled.T, 0)

    @classmethod
    def _likeliest(
        cls,
        z: np.ndarray,
        lines: np.ndarray,
        targets: np.ndarray,
        prior: tuple[Sequence[float], Sequence[float]] = (PRIOR_MEAN, PRIOR_SPREAD),
        doubt: np.ndarray | float = 0.0,
    ) -> np.ndarray:
        """The MAP theta (D + 4,), for sorted features (R, D), lines (R, 2 D) and targets (R,), NaN left out.

        prior: means and spreads of the five; doubt (R,): logs of what multiplies each run's noise.
        """
        from scipy.optimize import minimize

        rows = np.flatnonzero(~np.isnan(targets))
        if len(rows) > ENOUGH:  # runs are sorted: even steps spread over the shares
            rows = rows[np.linspace(0, len(rows) - 1, ENOUGH).astype(int)]
        shape = (z.shape[1], 1, 1, 1, 1)
        mean, spread = (np.repeat(one, shape) for one in prior)
        times = np.exp(np.broadcast_to(doubt, targets.shape))[rows]
        found = minimize(
            cls._misfit,
            mean,
            args=(z[rows], lines[rows], targets[rows], mean, spread, times),
            jac=True,
            method="L-BFGS-B",
            bounds=np.stack([mean - 5 * spread, mean + 5 * spread], axis=1),
            options={"maxiter": ROUNDS},
        )
        return found.x

    @classmethod
    def _misfit(cls, theta, z, lines, targets, prior_mean, prior_spread, times) -> tuple[float, np.ndarray]:
        """Negative log posterior of theta (D + 4,) and its gradient; targets (R,), features (R, D), lines (R, 2 D),
        times (R,) the noise of each run."""
        from scipy.linalg.lapack import dpotrf, dpotri

        runs, domains = z.shape
        scaled = z * np.exp(-theta[:domains])
        amplitude, noise = np.exp(2 * theta[domains : domains + 2])
        own = lines * np.exp(theta[domains + 2 :]).repeat(domains)
        distances = cls._distances(scaled)
        pull = amplitude * cls.pull(distances)
        kernel = amplitude * cls.correlate(distances)
        noisy = kernel + own @ own.T
        noisy.flat[:: runs + 1] += noise * times + JITTER
        cholesky, failed = dpotrf(noisy, lower=1, clean=1)
        if failed:  # the kernel is numerically singular here: send the line search back
            return 1e10, np.zeros_like(theta)
        inverse = dpotri(cholesky, lower=1)[0]  # its lower triangle: above are the cleared zeros of dpotrf
        inverse = inverse + inverse.T
        inverse.flat[:: runs + 1] /= 2
        dual = inverse @ targets
        inward = (inverse - np.outer(dual, dual)) / 2  # d misfit / d kernel
        pull *= inward  # minus d misfit / d half the squared distance
        gradient = (theta - prior_mean) / prior_spread**2
        gradient[:domains] += 2 * (
            (scaled**2 * pull.sum(axis=1)[:, None]).sum(axis=0) - (scaled * (pull @ scaled)).sum(axis=0)
        )
        gradient[domains] += 2 * (inward * kernel).sum()
        gradient[domains + 1] += 2 * noise * (np.diag(inward) * times).sum()
        gradient[domains + 2 :] += 2 * (own * (inward @ own)).sum(axis=0).reshape(2, domains).sum(axis=1)
        misfit = targets @ dual / 2 + np.log(np.diag(cholesky)).sum()
        return misfit + (((theta - prior_mean) / prior_spread) ** 2).sum() / 2, gradient


def _projected(kernel: np.ndarray, known: np.ndarray, ridge: float, targets: np.ndarray) -> tuple[np.ndarray, ...]:
    """The inducing runs (I,) of a kernel (R, R), their dual (I,), and the coefficients (2 D,) of the lines (R, 2 D)."""
    from scipy.linalg import block_diag
    from scipy.linalg.lapack import dpstrf

    chosen = dpstrf(kernel, tol=0.0, lower=1)[1][:INDUCING] - 1
    across = np.hstack([kernel[:, chosen], known])
    prior = block_diag(kernel[np.ix_(chosen, chosen)], np.eye(known.shape[1]))
    jitter = JITTER * np.trace(kernel) / len(kernel)
    normal = across.T @ across + ridge * prior + jitter * np.eye(len(prior))
    found = np.linalg.solve(normal, across.T @ targets)
    return chosen, found[:INDUCING], found[INDUCING:]


def _left(scaled: np.ndarray) -> np.ndarray:
    """(N, D + 2): features in length scales (N, D), their squared length, one."""
    squares = np.einsum("nd,nd->n", scaled, scaled)[:, None]
    return np.concatenate([scaled, squares, np.ones_like(squares)], axis=1)
