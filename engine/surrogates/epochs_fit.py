"""How the law of epochs is fitted to one metric: a grid judged by held-out folds, then least squares on the losses.

The grid is solved on the logarithms of losses above a floor, where amplitudes are non-negative least squares. But in
logarithms the noise weighs most where losses are lowest, which is where the best mixture lies. So all numbers are then
moved together to the least squares of the losses themselves, between the ends of the grid, if held-out folds are
predicted better so. On worlds of another law this comes three times as near to their best mixtures
(benchmarks/repetition.py); there kappa above 1 helps as well: text that is new counts in full, and saturates late. R
runs, D domains.
"""

from typing import NamedTuple

import numpy as np

from engine.spec.statistics import lowest_key
from engine.surrogates.base import noise_of

GRID = {  # what is tried of each number, the start in the middle of the first rounds
    "rho": (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
    "kappa": (0.3, 0.5, 0.7, 1.0, 1.5),
    "tau": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
    "gamma": (1.05, 1.2, 1.5, 2.0, 3.0, 6.0, 20.0),
    "ridge": (1e-4, 1e-3, 1e-2, 0.1, 1.0),
}
FINER = (1e-2, 1e-4, 1e-6)  # penalties of the least squares, each from where the one before ended
ROUNDS = 2
FOLDS = 3
MANY = 4000  # runs x domains from which one fold tells enough of the finer penalty
STEPS = 60
NEVER = 1e-30  # passes that count as none
ENOUGH = 1e-6  # of the squared error: steps that gain less are the last
HIGHEST = 30.0  # exponents beyond are clipped


class Shape(NamedTuple):
    """The numbers of a metric that all its domains share; gamma: of the floor, in distances of the mean run to the
    best one."""

    rho: float = 0.5
    kappa: float = 0.7
    tau: float = 3.0
    gamma: float = 1.5
    ridge: float = 1e-2


class Law(NamedTuple):
    """A fitted law: rho, kappa and tau; the floor; coefficients (2 D + 1,): c, benefits, harms."""

    curve: tuple[float, float, float]
    floor: float
    coefficients: np.ndarray

    @property
    def numbers(self) -> np.ndarray:
        """(5 + 2 D,) floor, log rho, log kappa, tau, coefficients."""
        rho, kappa, tau = self.curve
        return np.r_[self.floor, np.log(rho), np.log(kappa), tau, self.coefficients]

    @classmethod
    def of(cls, numbers: np.ndarray) -> "Law":
        """The inverse of `numbers`."""
        return cls((np.exp(numbers[1]), np.exp(numbers[2]), numbers[3]), numbers[0], numbers[4:])


def benefit(epochs: np.ndarray, rho: float, kappa: float) -> np.ndarray:
    """How much of what a text can teach was taken in: 0 to 1."""
    taken: np.ndarray = -np.expm1(-((rho * epochs) ** kappa))
    return taken


def harm(epochs: np.ndarray, tau: float, most: np.ndarray | float = np.inf) -> np.ndarray:
    """From 0 on nearly flat up to about e^tau - 1 passes, then as the square of their logarithm; from `most` passes on
    the tangent."""
    within = np.minimum(epochs, most)
    rise = np.logaddexp(0, np.log1p(within) - tau)
    tangent = 2 * rise * -np.expm1(-rise) * within / (1 + within)  # in log passes; 1 - e^-softplus is the sigmoid
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.where(within > 0, np.log(epochs / within), 0)
    lost: np.ndarray = rise**2 - np.logaddexp(0, -tau) ** 2 + tangent * beyond
    return lost


def harm_and_slope(epochs: np.ndarray, tau: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Harm, and how it moves with tau."""
    times, none = (1 + epochs) * np.exp(-tau), np.exp(-tau)
    rise, first = np.log1p(times), np.log1p(none)  # softplus of log(1 + E) - tau
    return rise**2 - first**2, 2 * first * none / (1 + none) - 2 * rise * times / (1 + times)


def passes_of(weights: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """(R, D) passes over the whole text of domains; where it is unknown, one pass at equal shares."""
    passes: np.ndarray = np.where(repeats > 0, weights * repeats, weights * len(repeats))
    return passes


def columns_of(
    weights: np.ndarray, doses: np.ndarray, repeats: np.ndarray, shape: tuple, most: np.ndarray | float = np.inf
) -> np.ndarray:
    """(R, 2 D + 1): one, minus the benefits, the harms of shares and doses (R, D), repeats (D,) and a shape."""
    rho, kappa, tau = shape
    passes = passes_of(weights, repeats)
    harms = np.where(repeats > 0, harm(passes / doses, tau, most), 0) if repeats.any() else np.zeros_like(passes)
    return np.concatenate([np.ones((len(weights), 1)), -benefit(passes, rho, kappa), harms], axis=1)


class Panel(NamedTuple):
    """The runs that have one metric: weights and doses (R, D), repeats (D,), values (R,)."""

    weights: np.ndarray
    doses: np.ndarray
    repeats: np.ndarray
    values: np.ndarray

    def take(self, rows: np.ndarray) -> "Panel":
        return Panel(self.weights[rows], self.doses[rows], self.repeats, self.values[rows])

    def columns(self, curve: tuple) -> np.ndarray:
        """(R, 2 D + 1) of these runs."""
        return columns_of(self.weights, self.doses, self.repeats, curve)

    def above(self, law: Law) -> np.ndarray:
        """(R,) losses above the floor by a law."""
        return np.exp(np.minimum(self.columns(law.curve) @ law.coefficients, HIGHEST))

    def error(self, law: Law) -> float:
        """The sum of a law's squared errors."""
        return float(((law.floor + self.above(law) - self.values) ** 2).sum())

    def floor(self, gamma: float) -> float:
        """Below the best run, by a part of its distance to the mean of the runs."""
        mean, best = self.values.mean(), self.values.min()
        return float(mean - max(gamma * (mean - best), 1e-6 * max(1.0, abs(mean))))

    def best(self, fold: np.ndarray) -> tuple[Law, float]:
        """The law that predicts held-out folds (R,) best, and its penalty."""
        shape, tried, parts = Shape(), {}, [fold != k for k in range(FOLDS) if 0 < (fold == k).sum() < len(fold)]
        grid = GRID if self.repeats.any() else {name: GRID[name] for name in GRID if name != "tau"}  # no harms, no tau
        for _ in range(ROUNDS):
            for name, values in grid.items():
                for value in values:
                    one = shape._replace(**{name: value})
                    if one not in tried:
                        tried[one] = sum(self.take(~part).error(self.take(part).solved(one)) for part in parts)
                shape = lowest_key(tried)
        parts = parts if self.weights.size <= MANY else parts[:1]
        trained = np.array([*parts, np.ones(len(fold), bool)])
        laws, best, ridge, missed = [self.take(part).solved(shape) for part in trained], None, shape.ridge, np.inf
        for one in (None, *FINER):
            laws = laws if one is None else self.refined(laws, trained, one)
            error = sum(self.take(~part).error(law) for part, law in zip(parts, laws, strict=False))
            if best is None or error < missed:
                best, ridge, missed = laws[-1], one or shape.ridge, error
        return best, ridge

    def solved(self, shape: Shape) -> Law:
        """The amplitudes for a shape, by the logarithms of the losses above the floor, none far below the rest."""
        floor, curve = self.floor(shape.gamma), (shape.rho, shape.kappa, shape.tau)
        targets = np.log(np.maximum(self.values - floor, 1e-3 * max(self.values.std(), 1e-9)))
        return Law(curve, floor, fitted(self.columns(curve), targets, shape.ridge))

    def refined(self, laws: list[Law], trained: np.ndarray, ridge: float) -> list[Law]:
        """All numbers of B laws moved to the least squares of the losses on their runs `trained` (B, R), in units of
        the mean loss above the floor, as logarithms are.

        Gauss and Newton's steps, damped by Levenberg and Marquardt; numbers at a bound that would go beyond rest. All
        laws are moved together.
        """
        at = np.array([law.numbers for law in laws])
        low, high = self._bounds(trained)
        scale = trained / np.array([np.exp(np.log(self.above(law)).mean()) for law in laws])[:, None]
        penalty = np.r_[np.zeros(5), np.full(2 * len(self.repeats), ridge)]
        at, damping, unit = np.clip(at, low, high), np.full(len(at), 1e-3), np.eye(at.shape[1])

        def looked_at(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            value, slopes = self.value_and_slopes(numbers)
            missed = (value - self.values) * scale
            return (missed**2).sum(1) + (penalty * numbers**2).sum(1), missed, slopes * scale[..., None]

        cost, missed, slopes = looked_at(at)
        for _ in range(STEPS):
            gradient = np.einsum("brp,br->bp", slopes, missed) + penalty * at
            curvature = slopes.transpose(0, 2, 1) @ slopes + np.diag(penalty)
            free = ~(((at <= low) & (gradient > 0)) | ((at >= high) & (gradient < 0)))
            damped = np.where(free, damping[:, None] * np.einsum("bpp->bp", curvature) + 1e-12, 1)
            curvature = np.where(free[:, :, None] & free[:, None], curvature, 0) + damped[..., None] * unit
            moved = np.clip(at - np.linalg.solve(curvature, np.where(free, gradient, 0)[..., None])[..., 0], low, high)
            there = looked_at(moved)
            better = there[0] < cost
            done = np.where(better, cost - there[0] < ENOUGH * cost, damping > 1e6)
            at = np.where(better[:, None], moved, at)
            cost, missed = np.where(better, there[0], cost), np.where(better[:, None], there[1], missed)
            slopes = np.where(better[:, None, None], there[2], slopes)
            damping = np.where(better, damping / 10, damping * 4)
            if done.all():
                break
        return [Law.of(numbers) for numbers in at]

    def _bounds(self, trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, 5 + 2 D) each: the ends of the grid, for laws of the runs `trained` (B, R)."""
        ends = np.array([(GRID[name][0], GRID[name][-1]) for name in ("rho", "kappa", "tau")])
        ends[:2] = np.log(ends[:2])
        free = 2 * len(self.repeats)
        floors = [[self.take(part).floor(GRID["gamma"][end]) for end in (-1, 0)] for part in trained]
        low = [np.r_[one[0], ends[:, 0], -np.inf, np.zeros(free)] for one in floors]
        high = [np.r_[one[1], ends[:, 1], np.full(1 + free, np.inf)] for one in floors]
        return np.array(low), np.array(high)

    def value_and_slopes(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Losses (B, R) of laws by their numbers (B, 5 + 2 D), and how they move with these, (B, R, 5 + 2 D)."""
        domains = len(self.repeats)
        floor, (rho, kappa, tau) = numbers[:, :1], numbers[:, 1:4].T[..., None, None]  # rho and kappa as logarithms
        c, gains, costs = numbers[:, 4:5], numbers[:, 5 : 5 + domains], numbers[:, 5 + domains :]
        passes = passes_of(self.weights, self.repeats)
        logs, kappa = rho + np.log(np.maximum(passes, NEVER)), np.exp(kappa)
        taken = np.exp(kappa * logs)
        left = np.exp(-taken)
        steeper = left * taken * kappa
        harms, later = harm_and_slope(np.where(self.repeats > 0, passes / self.doses, 0), tau)
        above = np.exp(np.minimum(c + _sums(left - 1, gains) + _sums(harms, costs), HIGHEST))
        curve = [-_sums(steeper, gains), -_sums(steeper * logs, gains), _sums(later, costs), np.ones_like(above)]
        slopes = above[..., None] * np.concatenate([np.stack(curve, axis=-1), left - 1, harms], axis=-1)
        return floor + above, np.concatenate([np.ones_like(above)[..., None], slopes], axis=-1)

    def certainty(self, law: Law, ridge: float) -> tuple[float, np.ndarray, float]:
        """The largest sum of harms of a run, the root of the coefficients' covariance, and the noise of a loss, by
        residuals that count how many coefficients are in use."""
        columns, above, used = self.columns(law.curve), self.above(law), law.coefficients != 0
        slopes = columns[:, used] * above[:, None]
        normal = slopes.T @ slopes + max(ridge, GRID["ridge"][0]) * np.diag((slopes**2).mean(axis=0) + 1e-12)
        inverse = np.linalg.inv(normal)
        leverage = np.einsum("rp,pq,rq->r", slopes, inverse, slopes)
        residuals = (self.values - law.floor - above) / np.maximum(0.05, 1 - leverage)
        noise = noise_of(residuals[:, None], np.array([self.values.std()]))[0]
        root = np.zeros((len(used), len(used)))
        root[np.ix_(used, used)] = np.linalg.cholesky((inverse + inverse.T) / 2) * np.sqrt(noise)
        harms = len(self.repeats) + 1
        return float((columns[:, harms:] @ law.coefficients[harms:]).max()), root, noise


def _sums(columns: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
    """(B, R) columns (B, R, D) times amplitudes (B, D)."""
    return (columns @ amplitudes[..., None])[..., 0]


def fitted(columns: np.ndarray, targets: np.ndarray, ridge: float) -> np.ndarray:
    """(2 D + 1,) coefficients of columns (R, 2 D + 1): the first of any sign, the rest at least 0.

    Centred, so that the first has no penalty; the columns are not scaled, since scaling explodes beyond the runs. It is
    solved on the triangle of the normal equations, which is no larger for more runs.
    """
    from scipy.linalg import cho_factor, solve_triangular
    from scipy.optimize import nnls

    middle, level = columns[:, 1:].mean(axis=0), targets.mean()
    centred = columns[:, 1:] - middle
    normal = centred.T @ centred + (ridge + 1e-9) * np.eye(centred.shape[1])
    triangle = np.triu(cho_factor(normal)[0])
    right = solve_triangular(triangle, centred.T @ (targets - level), trans="T")
    found, _ = nnls(triangle, right, maxiter=50 * len(right))
    return np.r_[level - middle @ found, found]
