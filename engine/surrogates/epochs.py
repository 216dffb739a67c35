"""The law of epochs: text helps the less the more often it was seen, and harms when it was seen too often.

    L = floor + exp(c - sum_i a_i b(E_i) + sum_i d_i h(E_i / g_i)),   a, d >= 0
    b(E) = 1 - exp(-(rho E)^kappa),   h(E) = softplus(log(1 + E) - tau)^2

E_i = w_i T / N_i is how often the run reads a domain of N_i tokens; g_i the part to which a dose run's text was cut. It
is MARINER's formula (Marin project, 2026), with doses beside it: the benefit takes the epochs of the whole text, else
a smaller text would predict a lower loss. rho, kappa, tau, the floor and the penalty are shared by a metric's domains
and chosen by three folds, one at a time; then the amplitudes are non-negative least squares. The best mixture is inside
the simplex without a cap. Where a domain's text is unknown its benefit is one of shares, and it has no harm. With runs
of one budget, the losses at another are not identified: only epochs and shares move. R runs, D domains, M metrics.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from engine.surrogates.base import Conditioned, Spanned, noise_of

GRID = {  # what is tried of each number, the start in the middle of the first rounds
    "rho": (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0),
    "kappa": (0.3, 0.5, 0.7, 1.0),
    "tau": (1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
    "gamma": (1.05, 1.2, 1.5, 2.0, 3.0, 6.0),
    "ridge": (1e-4, 1e-3, 1e-2, 0.1, 1.0),
}
ROUNDS = 2
FOLDS = 3
HIGHEST = 30.0  # exponents beyond are clipped


class Shape(NamedTuple):
    """The numbers of a metric that all its domains share; gamma: of the floor, in distances of the mean run to the
    best one."""

    rho: float = 0.5
    kappa: float = 0.7
    tau: float = 3.0
    gamma: float = 1.5
    ridge: float = 1e-2


@dataclass(kw_only=True)
class Epochs(Conditioned, Spanned):
    """repeats (D,): passes that a share of one makes, 0 where the text is unknown; shapes (M, 3): rho, kappa, tau;
    floors (M,); coefficients (M, 2 D + 1): c, benefits, harms; root (M, 2 D + 1, 2 D + 1) of their covariance."""

    title = "Law of epochs"
    summary = "Each domain helps the less the more often it was read, and harms when it was read too often."
    complexity = 3
    extrapolates = True
    slow = True

    repeats: np.ndarray
    shapes: np.ndarray
    floors: np.ndarray
    coefficients: np.ndarray
    root: np.ndarray

    @classmethod
    def _learn_under(cls, weights, losses, seed, conditions):
        fold = np.random.default_rng(seed).permutation(len(weights)) % FOLDS
        repeats, each = np.nan_to_num(conditions.repeats), []
        for values in losses.T:
            known = ~np.isnan(values)
            panel = Panel(weights[known], conditions.doses[known], repeats, values[known])
            each.append(panel.solved(panel.best_shape(fold[known])))
        shapes, floors, coefficients, root, noise = (np.array(part) for part in zip(*each, strict=True))
        return cls(noise=noise, repeats=repeats, shapes=shapes, floors=floors, coefficients=coefficients, root=root)

    def at(self, repeats: np.ndarray) -> Self:
        """The same law where a share of one makes other passes (D,): of another budget, or other text."""
        return replace(self, repeats=np.nan_to_num(np.asarray(repeats, float)))

    @property
    def sees_repetition(self):
        return bool((self.repeats > 0).any())

    def mean(self, weights):
        return self.floors + self._above(self._columns(weights)).T

    def factor(self, weights):
        columns = self._columns(weights)
        return np.einsum("mn,mnp,mpk->nmk", self._above(columns), columns, self.root)

    def harm(self, epochs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Benefit and harm (M, D, N) in the exponent of each domain read N times: what it takes off, and adds."""
        domains, parts = len(self.repeats), []
        for shape, own in zip(self.shapes, self.coefficients, strict=True):
            gained = benefit(epochs, *shape[:2])[None] * own[1 : domains + 1, None]
            lost = (harm(epochs, shape[2]) - harm(np.zeros(1), shape[2]))[None] * own[domains + 1 :, None]
            parts.append((gained, lost * (self.repeats > 0)[:, None]))
        gains, losses = zip(*parts, strict=True)
        return np.array(gains), np.array(losses)

    def _columns(self, weights: np.ndarray) -> np.ndarray:
        """(M, N, 2 D + 1) what the coefficients multiply, at points (N, D) whose text is not cut."""
        weights = np.maximum(np.asarray(weights, float), 0)
        return np.array([columns_of(weights, np.ones_like(weights), self.repeats, *shape) for shape in self.shapes])

    def _above(self, columns: np.ndarray) -> np.ndarray:
        """(M, N) losses above their floors."""
        return np.exp(np.minimum(np.einsum("mnp,mp->mn", columns, self.coefficients), HIGHEST))


def benefit(epochs: np.ndarray, rho: float, kappa: float) -> np.ndarray:
    """How much of what a text can teach was taken in: 0 to 1."""
    taken: np.ndarray = -np.expm1(-((rho * epochs) ** kappa))
    return taken


def harm(epochs: np.ndarray, tau: float) -> np.ndarray:
    """Nearly 0 up to about e^tau - 1 passes, then the square of their logarithm."""
    grown: np.ndarray = np.logaddexp(0, np.log1p(epochs) - tau) ** 2
    return grown


def columns_of(weights: np.ndarray, doses: np.ndarray, repeats: np.ndarray, rho, kappa, tau) -> np.ndarray:
    """(R, 2 D + 1): one, minus the benefits, the harms of shares and doses (R, D) and repeats (D,)."""
    known = repeats > 0
    passes = np.where(known, weights * repeats, weights * len(repeats))  # unknown: of equal shares, one pass
    harms = np.where(known, harm(passes / doses, tau), 0)
    return np.concatenate([np.ones((len(weights), 1)), -benefit(passes, rho, kappa), harms], axis=1)


class Panel(NamedTuple):
    """The runs that have one metric: weights and doses (R, D), repeats (D,), values (R,)."""

    weights: np.ndarray
    doses: np.ndarray
    repeats: np.ndarray
    values: np.ndarray

    def take(self, rows: np.ndarray) -> "Panel":
        return Panel(self.weights[rows], self.doses[rows], self.repeats, self.values[rows])

    def columns(self, shape: Shape) -> np.ndarray:
        """(R, 2 D + 1) of these runs."""
        return columns_of(self.weights, self.doses, self.repeats, *shape[:3])

    def floor(self, gamma: float) -> float:
        """Below the best run, by a part of its distance to the mean of the runs."""
        mean, best = self.values.mean(), self.values.min()
        return float(mean - max(gamma * (mean - best), 1e-6 * max(1.0, abs(mean))))

    def targets(self, floor: float) -> np.ndarray:
        """(R,) logarithms of the values above a floor, none of them far below the rest."""
        least = 1e-3 * max(self.values.std(), 1e-9)
        return np.log(np.maximum(self.values - floor, least))

    def best_shape(self, fold: np.ndarray) -> Shape:
        """By the squared error of held-out folds (R,), one number at a time."""
        shape, tried = Shape(), {}
        for _ in range(ROUNDS):
            for name, values in GRID.items():
                for value in values:
                    one = shape._replace(**{name: value})
                    if one not in tried:
                        tried[one] = self._held_out_error(one, fold)
                shape = min(tried, key=tried.__getitem__)
        return shape

    def _held_out_error(self, shape: Shape, fold: np.ndarray) -> float:
        error = 0.0
        for k in range(FOLDS):
            train, test = self.take(fold != k), self.take(fold == k)
            if not len(train.values) or not len(test.values):
                continue
            floor = train.floor(shape.gamma)
            found = fitted(train.columns(shape), train.targets(floor), shape.ridge)
            predicted = floor + np.exp(np.minimum(test.columns(shape) @ found, HIGHEST))
            error += float(((predicted - test.values) ** 2).sum())
        return error

    def solved(self, shape: Shape) -> tuple:
        """(rho, kappa, tau), floor, coefficients, root of their covariance, and the noise of a loss, by residuals that
        count how many coefficients are in use."""
        floor, columns = self.floor(shape.gamma), self.columns(shape)
        found = fitted(columns, self.targets(floor), shape.ridge)
        above = np.exp(np.minimum(columns @ found, HIGHEST))
        used = found != 0
        slopes = columns[:, used] * above[:, None]
        normal = slopes.T @ slopes + shape.ridge * np.diag((slopes**2).mean(axis=0) + 1e-12)
        inverse = np.linalg.inv(normal)
        leverage = np.einsum("rp,pq,rq->r", slopes, inverse, slopes)
        residuals = (self.values - floor - above) / np.maximum(0.05, 1 - leverage)
        noise = noise_of(residuals[:, None], np.array([self.values.std()]))[0]
        root = np.zeros((len(found), len(found)))
        root[np.ix_(used, used)] = np.linalg.cholesky((inverse + inverse.T) / 2) * np.sqrt(noise)
        return shape[:3], floor, found, root, noise


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
