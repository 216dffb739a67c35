"""The law of epochs: text helps the less the more often it was seen, and harms when it was seen too often.

    L = floor + exp(c - sum_i a_i b(E_i) + sum_i d_i h(E_i / g_i)),   a, d >= 0
    b(E) = 1 - exp(-(rho E)^kappa),   h(E) = softplus(log(1 + E) - tau)^2

E_i = w_i T / N_i is how often the run reads a domain of N_i tokens; g_i the part to which a dose run's text was cut. It
is MARINER's formula (Marin project, 2026), with doses beside it: the benefit takes the epochs of the whole text, else
a smaller text would predict a lower loss. rho, kappa, tau, the floor and the penalty are shared by a metric's domains
and chosen by three folds, one at a time; then the amplitudes are non-negative least squares. The best mixture is inside
the simplex without a cap. Where a domain's text is unknown its benefit is one of shares, and it has no harm. With runs
of one budget, the losses at another are not identified: only epochs and shares move.

Beyond the runs h and the exponential would grow without bounds: 2,000 passes gave trillions of bits. There both go on
as straight lines: a domain's harm in log passes from the most that any run made on, and the loss in the sum of harms
from the most that any run had on. By as much as these lines add, more or less harm may come: the prediction's interval
holds none of it and twice as much. R runs, D domains, M metrics.
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
DOUBT = 0.5  # standard deviation of the harm beyond the runs, in parts of it: 95% hold from none to twice as much


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
    """repeats (D,): passes that a share of one makes, 0 where the text is unknown; most (D,): the most passes of a run;
    shapes (M, 3): rho, kappa, tau; floors (M,); harmed (M,): the largest sum of harms of a run; coefficients
    (M, 2 D + 1): c, benefits, harms; root (M, 2 D + 1, 2 D + 1) of their covariance."""

    title = "Law of epochs"
    summary = "Each domain helps the less the more often it was read, and harms when it was read too often."
    complexity = 3
    extrapolates = True
    slow = True

    repeats: np.ndarray
    most: np.ndarray
    shapes: np.ndarray
    floors: np.ndarray
    harmed: np.ndarray
    coefficients: np.ndarray
    root: np.ndarray

    @classmethod
    def _learn_under(cls, weights, losses, seed, conditions):
        fold = np.random.default_rng(seed).permutation(len(weights)) % FOLDS
        repeats = np.nan_to_num(conditions.repeats)
        most, each = (np.maximum(weights, 0) * repeats / conditions.doses).max(axis=0), []
        for values in losses.T:
            known = ~np.isnan(values)
            panel = Panel(weights[known], conditions.doses[known], repeats, values[known])
            each.append(panel.solved(panel.best_shape(fold[known])))
        names = ("shapes", "floors", "harmed", "coefficients", "root", "noise")
        found = {name: np.array(part) for name, part in zip(names, zip(*each, strict=True), strict=True)}
        return cls(repeats=repeats, most=most, **found)

    def at(self, repeats: np.ndarray) -> Self:
        """The same law where a share of one makes other passes (D,): of another budget, or other text."""
        return replace(self, repeats=np.nan_to_num(np.asarray(repeats, float)))

    def unharmed(self, domain: int) -> Self:
        """The same law where the repetition of one domain does no harm, as if its text never ended."""
        coefficients, root = self.coefficients.copy(), self.root.copy()
        coefficients[:, len(self.repeats) + 1 + domain] = 0
        root[:, len(self.repeats) + 1 + domain] = 0
        return replace(self, coefficients=coefficients, root=root)

    @property
    def sees_repetition(self):
        return bool((self.repeats > 0).any())

    def mean(self, weights):
        helps, harms = self._columns(weights)
        return self.floors + (self._level(helps) * grown(self._sum(harms), self.harmed[:, None])).T

    def factor(self, weights):
        helps, harms = self._columns(weights)
        level, total, edge = self._level(helps)[..., None], self._sum(harms)[..., None], self.harmed[:, None, None]
        held = np.array([harm(self.most, shape[2]) for shape in self.shapes])
        stopped = np.minimum(self._sum(np.minimum(harms, held[:, None]))[..., None], edge)
        above = level * grown(total, edge)
        slopes = np.concatenate([above * helps, level * np.exp(np.minimum(total, edge)) * harms], axis=-1)
        doubt = DOUBT * (above - level * np.exp(stopped))
        return np.concatenate([slopes @ self.root, doubt], axis=-1).transpose(1, 0, 2)

    def _columns(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the coefficients multiply, at points (N, D) whose text is not cut: (M, N, D + 1) and the harms (M, N,
        D)."""
        weights = np.maximum(np.asarray(weights, float), 0)
        whole = np.ones_like(weights)
        columns = np.array([columns_of(weights, whole, self.repeats, shape, self.most) for shape in self.shapes])
        return columns[..., : len(self.repeats) + 1], columns[..., len(self.repeats) + 1 :]

    def _level(self, helps: np.ndarray) -> np.ndarray:
        """(M, N) losses above their floors, were there no harm."""
        exponents = np.einsum("mnp,mp->mn", helps, self.coefficients[:, : helps.shape[-1]])
        return np.exp(np.minimum(exponents, HIGHEST))

    def _sum(self, harms: np.ndarray) -> np.ndarray:
        """(M, N) all harms together."""
        total: np.ndarray = np.einsum("mnp,mp->mn", harms, self.coefficients[:, -harms.shape[-1] :])
        return total


def grown(harms: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """What harms multiply a loss above its floor by: their exponential, from the edge of the runs on its tangent."""
    times: np.ndarray = np.exp(np.minimum(harms, edge)) * (1 + np.maximum(harms - edge, 0))
    return times


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


def columns_of(
    weights: np.ndarray, doses: np.ndarray, repeats: np.ndarray, shape: tuple, most: np.ndarray | float = np.inf
) -> np.ndarray:
    """(R, 2 D + 1): one, minus the benefits, the harms of shares and doses (R, D), repeats (D,) and a shape."""
    rho, kappa, tau = shape
    known = repeats > 0
    passes = np.where(known, weights * repeats, weights * len(repeats))  # unknown: of equal shares, one pass
    harms = np.where(known, harm(passes / doses, tau, most), 0)
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
        return columns_of(self.weights, self.doses, self.repeats, shape[:3])

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
        """(rho, kappa, tau), floor, largest sum of harms, coefficients, root of their covariance, and the noise of a
        loss, by residuals that count how many coefficients are in use."""
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
        harms = len(self.repeats) + 1
        return shape[:3], floor, (columns[:, harms:] @ found[harms:]).max(), found, root, noise


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
