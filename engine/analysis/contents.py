"""What mixtures are worth by what their text is made of: one process over the runs of studies with different domains.

A mixture of domains is one distribution over cells (engine/corpus/contents.py), whatever its domains are called. Losses
are a Gaussian process of the square roots of these distributions, between which Euclidean distance is Hellinger's: a
line in them, and a rational quadratic kernel of their distance. Runs of one study share initialisation and data order,
so each study has a level of its own, which no difference inside a study sees. R runs, N points, C cells, M metrics,
K domains.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from engine.analysis.statistics import rank_correlation
from engine.core.errors import Problem
from engine.spec.statistics import weighted_sum
from engine.surrogates.base import Surrogate, centre_and_spread, masks
from engine.surrogates.prediction import difference_std

FEWEST = 8  # runs with a metric
# Log-normal priors of (size of the line, length scale, size of a study's level, noise), for losses and distances of
# standard deviation 1, in units of the process' own size.
PRIOR_MEAN, PRIOR_SPREAD = np.array([0.0, 0.7, -1.5, -1.5]), np.array([1.5, 1.0, 1.0, 1.0])
MANY = 192  # runs that set the hyperparameters, or judge a study left out
ROUNDS = 40  # of L-BFGS
JITTER = 1e-6
STEPS = 300  # of the search for the nearest mixture


class Conditioned(NamedTuple):
    """Of metrics (m,) that the same runs (r,) have: their whitened targets and the squared size of the process."""

    metrics: np.ndarray
    runs: np.ndarray
    theta: np.ndarray
    cholesky: np.ndarray
    dual: np.ndarray
    size: np.ndarray


@dataclass(kw_only=True)
class ContentsProcess(Surrogate):
    """roots (R, C): square roots of the runs' distributions; losses (R, M), NaN where one lacks a metric; origin (R,):
    the number of each run's study; thetas (M, 4): logs of the hyperparameters."""

    title = "Gaussian process over contents"
    extrapolates = True

    roots: np.ndarray
    losses: np.ndarray
    origin: np.ndarray
    thetas: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, losses: np.ndarray, origin: np.ndarray) -> "ContentsProcess":
        """Fit to the distributions (R, C), losses (R, M) and studies (R,) of runs, and calibrate by leaving each run,
        and each study, out. Raises Problem where a metric has too few runs."""
        if (few := int(np.isfinite(losses).sum(axis=0).min(initial=FEWEST))) < FEWEST:
            raise Problem(
                f"Cannot learn what contents are worth: a metric has {few} finished runs, and at least {FEWEST} are "
                "needed. Wait for more."
            )
        found = cls._unfitted(np.sqrt(points), losses, origin)
        for metrics, runs in masks(losses):
            found.thetas[metrics] = found._likeliest(metrics, runs)
        found.noise = found._noise()
        return found._calibrated()

    @classmethod
    def _learn(cls, weights: np.ndarray, losses: np.ndarray, seed: int) -> "ContentsProcess":
        raise TypeError("use ContentsProcess.of: it has to know the runs' studies")

    @classmethod
    def _unfitted(cls, roots: np.ndarray, losses: np.ndarray, origin: np.ndarray) -> "ContentsProcess":
        metrics = losses.shape[1]
        thetas = np.tile(PRIOR_MEAN, (metrics, 1))
        return cls(noise=np.ones(metrics), roots=roots, losses=losses, origin=origin, thetas=thetas)

    # Kernels ---------------------------------------------------------------------------------------------------

    @cached_property
    def _scale(self) -> tuple[np.ndarray, float]:
        """The centre (C,) of the runs' roots, and their mean squared distance from it."""
        centre = self.roots.mean(axis=0)
        return centre, max(float(((self.roots - centre) ** 2).sum(axis=1).mean()), 1e-12)

    def _products(self, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Products and squared distances (A, B) of roots (A, C) and (B, C), around the centre and to its scale."""
        centre, spread = self._scale
        a, b = one - centre, other - centre
        product = a @ b.T
        distance = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * product
        return product / spread, np.maximum(distance, 0) / spread

    @cached_property
    def _between(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Products and squared distances of the runs, and whether two are of one study (R, R)."""
        return *self._products(self.roots, self.roots), self.origin[:, None] == self.origin

    @cached_property
    def _targets(self) -> np.ndarray:
        centre, spread = centre_and_spread(self.losses)
        found: np.ndarray = (self.losses - centre) / spread
        return found

    def _covariance_of(self, theta: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """(r, r) covariance of the targets of some runs, to the process' size."""
        product, distance, same = (part[np.ix_(runs, runs)] for part in self._between)
        level, noise = np.exp(2 * theta[2:])
        found: np.ndarray = kernel(theta, product, distance) + level * same + (noise + JITTER) * np.eye(runs.sum())
        return found

    def _likeliest(self, metrics: np.ndarray, runs: np.ndarray) -> np.ndarray:
        """The most probable hyperparameters (4,), shared by metrics (m,) of the same runs (R,)."""
        from scipy.linalg import cho_solve
        from scipy.optimize import minimize

        runs = _some(runs)
        targets = self._targets[np.ix_(runs, metrics)]

        def misfit(theta: np.ndarray) -> float:
            cholesky = np.linalg.cholesky(self._covariance_of(theta, runs))
            size = (targets * cho_solve((cholesky, True), targets)).sum(axis=0) / len(targets)
            likely = len(targets) * np.log(size).sum() / 2 + len(metrics) * np.log(np.diag(cholesky)).sum()
            return float(likely + len(metrics) * (((theta - PRIOR_MEAN) / PRIOR_SPREAD) ** 2).sum() / 2)

        reach = np.stack([PRIOR_MEAN - 4 * PRIOR_SPREAD, PRIOR_MEAN + 4 * PRIOR_SPREAD], axis=1)
        found = minimize(misfit, PRIOR_MEAN, method="L-BFGS-B", bounds=reach, options={"maxiter": ROUNDS})
        best: np.ndarray = found.x
        return best

    @cached_property
    def _conditioned(self) -> list[Conditioned]:
        from scipy.linalg import cho_solve

        found = []
        for metrics, runs in masks(self.losses):
            theta, targets = self.thetas[metrics[0]], self._targets[np.ix_(runs, metrics)]
            cholesky = np.linalg.cholesky(self._covariance_of(theta, runs))
            dual = cho_solve((cholesky, True), targets)
            size = (targets * dual).sum(axis=0) / len(targets)
            found.append(Conditioned(metrics, runs, theta, cholesky, dual, size))
        return found

    def _noise(self) -> np.ndarray:
        spread, found = centre_and_spread(self.losses)[1], np.ones(self.losses.shape[1])
        for one in self._conditioned:
            found[one.metrics] = np.exp(2 * one.theta[3]) * one.size * spread[one.metrics] ** 2
        return found

    # Predictions -----------------------------------------------------------------------------------------------

    def mean(self, weights: np.ndarray) -> np.ndarray:
        """(N, M) losses of distributions (N, C), at the level common to all studies."""
        centre, spread = centre_and_spread(self.losses)
        product, distance = self._products(np.sqrt(weights), self.roots)
        found = np.empty((len(weights), self.losses.shape[1]))
        for one in self._conditioned:
            across = kernel(one.theta, product[:, one.runs], distance[:, one.runs])
            found[:, one.metrics] = across @ one.dual
        return centre + spread * found

    def covariance(self, weights: np.ndarray) -> np.ndarray:
        return self._prior_and_left(weights)[1]

    def _prior_and_left(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(M, N, N) covariances of the losses of distributions (N, C): before any run, and what the runs leave."""
        from scipy.linalg import solve_triangular

        roots, spread = np.sqrt(weights), centre_and_spread(self.losses)[1]
        product, distance = self._products(roots, self.roots)
        own = self._products(roots, roots)
        prior, left = (np.empty((self.losses.shape[1], len(roots), len(roots))) for _ in range(2))
        for one in self._conditioned:
            unit = (one.size * spread[one.metrics] ** 2)[:, None, None]
            across = kernel(one.theta, product[:, one.runs], distance[:, one.runs])
            known = solve_triangular(one.cholesky, across.T, lower=True)
            alone = kernel(one.theta, *own)
            prior[one.metrics], left[one.metrics] = unit * alone, unit * (alone - known.T @ known)
        return prior, left

    def settled(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """(M,) the part of what could be between two distributions (C,) that the runs settle, from 0 to 1."""
        prior, left = self._prior_and_left(np.stack([one, other]))
        could, may = (part[:, 0, 0] + part[:, 1, 1] - 2 * part[:, 0, 1] for part in (prior, left))
        found: np.ndarray = np.clip(1 - may / np.maximum(could, 1e-300), 0, 1)
        return found

    def moments(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.mean(weights), np.einsum("maa->am", self.covariance(weights))

    # How far it can be trusted ---------------------------------------------------------------------------------

    @cached_property
    def judged(self) -> dict[int, np.ndarray]:
        """Study -> the metrics (m,) by which it can be left out: it and the others have enough runs with them."""
        there, found = np.isfinite(self.losses), {}
        for study in np.unique(self.origin).tolist():
            own = self.origin == study
            enough = np.minimum(there[own].sum(axis=0), there[~own].sum(axis=0)) >= FEWEST
            if enough.any():
                found[study] = np.flatnonzero(enough)
        return found

    def without(self, study: int) -> "ContentsProcess":
        """The process of the metrics by which a study can be left out, on the others' runs; hyperparameters kept."""
        metrics, kept = self.judged[study], self.origin != study
        return replace(
            self,
            noise=self.noise[metrics],
            scale=np.ones(len(metrics)),
            correlation=np.eye(len(metrics)),
            roots=self.roots[kept],
            losses=self.losses[np.ix_(kept, metrics)],
            origin=self.origin[kept],
            thetas=self.thetas[metrics],
        )

    def _calibrated(self) -> "ContentsProcess":
        """Errors of runs, and of studies, that were left out, against what was said of them: the larger decides."""
        alone = self._left_out()
        squares, count = np.zeros(len(self.noise)), np.zeros(len(self.noise))
        for study, metrics in self.judged.items():
            squares[metrics] += self._misses(study, metrics) ** 2
            count[metrics] += 1
        scale = np.maximum(np.nanmean(alone**2, axis=0), squares / np.maximum(1, count))
        return self.calibrated(np.sqrt(scale), correlations(alone))

    def _left_out(self) -> np.ndarray:
        """(R, M) standardised errors of each run, left out in closed form; NaN where a metric is missing."""
        found = np.full(self.losses.shape, np.nan)
        for one in self._conditioned:
            inverse = np.linalg.inv(one.cholesky @ one.cholesky.T)
            errors = one.dual / np.sqrt(np.diag(inverse))[:, None] / np.sqrt(one.size)
            found[np.ix_(one.runs, one.metrics)] = errors
        return found

    def _misses(self, study: int, metrics: np.ndarray) -> np.ndarray:
        """(m,) root mean square of the standardised errors of differences between the runs of a study left out."""
        there, others = _some(self.origin == study), self.without(study)
        points, losses = self.roots[there] ** 2, self.losses[np.ix_(there, metrics)]
        errors, covariance = losses - others.mean(points), others.covariance(points)
        found = np.empty(len(metrics))
        for m in range(len(metrics)):
            known = np.isfinite(errors[:, m])
            inner = np.eye(known.sum()) - 1 / known.sum()  # differences to the study's mean
            noisy = covariance[m][np.ix_(known, known)] + others.noise[m] * np.eye(known.sum())
            found[m] = np.sqrt(((inner @ errors[known, m]) ** 2).mean() / np.diag(inner @ noisy @ inner).mean())
        return found

    def ranks(self, weights: np.ndarray) -> dict[int, float]:
        """Study -> rank correlation between its aggregate by signed weights (M,) and that predicted by the others'
        runs, both over the metrics that they share."""
        found = {}
        for study, metrics in self.judged.items():
            own, others = self.losses[np.ix_(self.origin == study, metrics)], self.without(study)
            there = np.isfinite(own[:, weights[metrics] != 0]).all(axis=1)
            if not weights[metrics].any() or not there.any():
                continue
            predicted = weighted_sum(others.mean(self.roots[self.origin == study][there] ** 2), weights[metrics])
            found[study] = float(rank_correlation(weighted_sum(own[there], weights[metrics]), predicted))
        return found


def correlations(errors: np.ndarray) -> np.ndarray:
    """(M, M) of errors (R, M) around 0, over the runs that have both metrics; 0 where there are none."""
    known = np.where(np.isnan(errors), 0.0, errors)
    there = (~np.isnan(errors)).astype(float)
    squares = (known**2).T @ there  # of the first metric, over the runs that have the second too
    found: np.ndarray = known.T @ known / np.sqrt(np.maximum(squares * squares.T, 1e-300))
    return found


def _some(runs: np.ndarray) -> np.ndarray:
    """At most MANY of the runs (R,) bool, evenly."""
    rows, found = np.flatnonzero(runs), np.zeros(len(runs), bool)
    found[rows if len(rows) <= MANY else rows[np.linspace(0, len(rows) - 1, MANY).astype(int)]] = True
    return found


def kernel(theta: np.ndarray, product: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Covariance (A, B) of a line in the roots plus the rational quadratic of their distance, to the process' size."""
    found: np.ndarray = np.exp(2 * theta[0]) * product + 1 / (1 + distance * np.exp(-2 * theta[1]) / 2)
    return found


@dataclass(frozen=True)
class Change:
    """Of a mixture's mean losses towards another: mean, std (M,); aggregate, aggregate_std by signed weights, better
    when below 0; half: of its 95% interval; settled: the part of what such a change could be that the runs settle;
    noise: standard deviation of one run's aggregate."""

    mean: np.ndarray
    std: np.ndarray
    aggregate: float
    aggregate_std: float
    half: float
    settled: float
    noise: float


def change(process: ContentsProcess, base: np.ndarray, found: np.ndarray, weights: np.ndarray) -> Change:
    """What moving from one distribution (C,) to another changes, for the mean over seeds."""
    from scipy.special import stdtrit

    mean = np.diff(process.mean(np.stack([base, found])), axis=0)[0]
    std = difference_std(process, found, base, noise=False)
    weighed = std * weights
    total_std = float(np.sqrt(max(0.0, weighed @ process.correlation @ weighed)))
    half = float(stdtrit(len(process.roots) - 1, 0.975)) * total_std
    settled = float(process.settled(found, base)[weights != 0].min())
    one_run = process.scale * np.sqrt(process.noise) * weights
    noise = float(np.sqrt(max(0.0, one_run @ process.correlation @ one_run)))
    return Change(mean, std, float(weighted_sum(mean, weights)), total_std, half, settled, noise)


# How far contents lie from others ------------------------------------------------------------------------------


def nearest(wanted: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, float]:
    """The mixture (K,) of known contents (K, C) that is nearest to wanted contents (C,), and its Hellinger distance: 0
    for the same, 1 for nothing in common.

    The overlap sum sqrt(wanted x mixture) is concave in the shares; each step maximises Jensen's bound of it.
    """
    wanted, known = wanted / wanted.sum(), known / known.sum(axis=1, keepdims=True)
    shares = np.full(len(known), 1 / len(known))
    for _ in range(STEPS):
        mixture = shares @ known
        pull = known @ np.where(mixture > 0, np.sqrt(wanted / np.maximum(mixture, 1e-300)), 0)
        moved = shares * pull**2
        if not moved.any():  # nothing in common
            return shares, 1.0
        shares = moved / moved.sum()
    overlap = np.sqrt(wanted * (shares @ known)).sum()
    return shares, float(np.sqrt(max(0.0, 1 - overlap)))
