"""What a team prefers, learnt from its votes over the space of mixtures: a Gaussian process with probit choices.

Chu and Ghahramani (ICML 2005): a utility f drawn from a Gaussian process over points, and the choice of one point over
another with P = Phi((f_one - f_other) / (sqrt(2) sigma)), one scale sigma for all choices. Only utility over sigma can
be told from votes, so the unit is fixed: sqrt(2) sigma = 1, and utilities are in probits (1: preferred in 84% of
votes). A vote for neither counts half for each, as in `bradley_terry`. The posterior is Laplace's: Gaussian around the
most likely utilities, with the curvature there.

The kernel is that of the Gaussian process surrogates: Matern 5/2 on log shares and on root shares, averaged, here with
one length scale, because votes are few. Its length scale and amplitude are not chosen but averaged over a grid, each
with its Laplace evidence times a log-normal prior: with a handful of votes the likeliest pair alone is far too sure.
Unlike Bradley-Terry it speaks of points that no vote touched, and compares what no chain of votes connects, with the
uncertainty that this leaves. N points, D coordinates, P pairs, H hyperparameters.
"""

from dataclasses import dataclass

import numpy as np

from engine.surrogates.gp import GP
from engine.surrogates.warps import WARPS

LENGTHS = (0.5, 1.0, 2.0, 4.0)  # in standard deviations of the features of all points
AMPLITUDES = (0.3, 0.6, 1.2, 2.4)  # probits
MEDIAN, SPREAD = (1.5, 0.8), (0.8, 0.8)  # of the log-normal priors of length and amplitude
JITTER = 1e-6
DRAWS = 4000  # of the posterior, for the chance of being the most preferred
CLEAR = 0.95  # of a preference that is called one


@dataclass(frozen=True)
class Taste:
    """The posterior of utilities at N points: a mixture over H hyperparameters. weight (H,) sums to 1; means (H, N) and
    covariances (H, N, N), each relative to the average of all points."""

    weight: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(N,) utilities in probits, against the average of all points."""
        return self.weight @ self.means

    @property
    def std(self) -> np.ndarray:
        """(N,) standard deviations, between hyperparameters and within."""
        variance = np.einsum("hnn->hn", self.covariances)
        return np.sqrt(self.weight @ (variance + (self.means - self.mean) ** 2))

    def above(self, one: int, other: int) -> float:
        """The probability that the utility of one point is above that of another."""
        gap = self.means[:, one] - self.means[:, other]
        return float(self.weight @ _phi(gap / np.sqrt(self._variance(one, other))))

    def chosen(self, one: int, other: int) -> float:
        """The probability that the next vote is for one of two: noisier than which of them is above."""
        gap = self.means[:, one] - self.means[:, other]
        return float(self.weight @ _phi(gap / np.sqrt(1 + self._variance(one, other))))

    def _variance(self, one: int, other: int) -> np.ndarray:
        c = self.covariances
        return np.maximum(c[:, one, one] + c[:, other, other] - 2 * c[:, one, other], 1e-12)

    def best(self, seed: int = 0) -> np.ndarray:
        """(N,) the probability of each point to have the highest utility of all, by draws."""
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(DRAWS, self.weight)
        found = np.zeros(self.means.shape[1])
        for mean, covariance, n in zip(self.means, self.covariances, counts, strict=True):
            values, vectors = np.linalg.eigh(covariance)  # singular: utilities are relative to their average
            root = vectors * np.sqrt(np.maximum(values, 0))
            drawn = mean + rng.standard_normal((n, len(mean))) @ root.T
            found += np.bincount(drawn.argmax(axis=1), minlength=len(mean))
        return found / DRAWS

    def tied(self, one: int) -> list[int]:
        """The points that the votes cannot tell from one: neither is above the other with 95%."""
        others = (other for other in range(self.means.shape[1]) if other != one)
        return [other for other in others if 1 - CLEAR < self.above(one, other) < CLEAR]


def taste(features: list[np.ndarray], wins: np.ndarray) -> Taste:
    """The posterior at N points, given features of each [(N, D)] and wins (N, N): votes for the row over the column, a
    vote for neither half for each. Points without votes are predicted."""
    wins = np.asarray(wins, float)
    distances = [_squares(z) for z in features]
    centre = np.eye(len(wins)) - 1 / len(wins)  # votes do not determine a common level
    logs, means, covariances = [], [], []
    for length in LENGTHS:
        correlation = sum(GP.correlate(5 * d / length**2) for d in distances) / len(distances)
        for amplitude in AMPLITUDES:
            kernel = amplitude**2 * (correlation + JITTER * np.eye(len(wins)))
            mean, covariance, evidence = _laplace(kernel, wins)
            logs.append(evidence + _log_prior(length, amplitude))
            means.append(centre @ mean)
            covariances.append(centre @ covariance @ centre)
    weight = np.exp(np.array(logs) - max(logs))
    return Taste(weight / weight.sum(), np.array(means), np.array(covariances))


def features_of(points: np.ndarray, simplex: bool) -> list[np.ndarray]:
    """Features [(N, D)] of points (N, D): log and root shares of mixtures, coefficients of merges as they are. Each is
    divided by one standard deviation for all coordinates, which keeps their proportions."""
    warped = [warp(np.maximum(points, 0)) for warp in WARPS] if simplex else [np.asarray(points, float)]
    return [(z - z.mean(axis=0)) / max((z - z.mean(axis=0)).std() * np.sqrt(z.shape[1]), 1e-9) for z in warped]


def _squares(z: np.ndarray) -> np.ndarray:
    """(N, N) squared distances of features (N, D)."""
    return ((z[:, None] - z[None]) ** 2).sum(axis=2)


def _log_prior(length: float, amplitude: float) -> float:
    scaled = (np.log([length, amplitude]) - np.log(MEDIAN)) / SPREAD
    return float(-0.5 * (scaled**2).sum())


def _phi(x: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(x)


def _laplace(kernel: np.ndarray, wins: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The most likely utilities (N,), their covariance (N, N), and the log evidence, by Newton's method with halved
    steps: the posterior is log-concave. Rasmussen and Williams 2006, algorithm 3.1, with a full curvature W."""
    at, found = np.zeros(len(kernel)), _fit(np.zeros(len(kernel)), wins)
    inverse = np.linalg.inv(kernel)
    score = found[0]
    for _ in range(100):
        slope, curvature = found[1] - inverse @ at, found[2] + inverse
        step = np.linalg.solve(curvature, slope)
        size = 1.0
        while size > 1e-6:
            tried = _fit(at + size * step, wins)
            better = tried[0] - 0.5 * (at + size * step) @ inverse @ (at + size * step)
            if better >= score - 1e-12:
                break
            size /= 2
        at, found, score = at + size * step, tried, better
        if np.abs(size * step).max() < 1e-8:
            break
    precision = inverse + found[2]
    covariance = np.linalg.inv(precision)
    evidence = score - 0.5 * (np.linalg.slogdet(kernel)[1] + np.linalg.slogdet(precision)[1])
    return at, covariance, float(evidence)


def _fit(utility: np.ndarray, wins: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The log-likelihood of the votes, its gradient (N,) and negative Hessian (N, N)."""
    from scipy.special import log_ndtr

    one, other = np.nonzero(wins)
    votes, gap = wins[one, other], utility[one] - utility[other]
    log_chance = log_ndtr(gap)
    ratio = np.exp(-0.5 * gap**2 - 0.5 * np.log(2 * np.pi) - log_chance)  # of the density to the chance
    bend = votes * ratio * (ratio + gap)
    slope, curvature = np.zeros(len(utility)), np.zeros(wins.shape)
    np.add.at(slope, one, votes * ratio), np.add.at(slope, other, -votes * ratio)
    for a, b, sign in ((one, one, 1), (other, other, 1), (one, other, -1), (other, one, -1)):
        np.add.at(curvature, (a, b), sign * bend)
    return float(votes @ log_chance), slope, curvature
