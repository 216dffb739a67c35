"""The law of epochs: text helps the less the more often it was seen, and harms when it was seen too often.

    L = floor + exp(c - sum_i a_i b(E_i) + sum_i d_i h(E_i / g_i)),   a, d >= 0
    b(E) = 1 - exp(-(rho E)^kappa),   h(E) = softplus(log(1 + E) - tau)^2

E_i = w_i T / N_i is how often the run reads a domain of N_i tokens; g_i the part to which a dose run's text was cut. It
is MARINER's formula (Marin project, 2026), with doses beside it: the benefit takes the epochs of the whole text, else
a smaller text would predict a lower loss. rho, kappa, tau and the floor are shared by a metric's domains; how they are
found stands in engine/surrogates/epochs_fit.py. The best mixture is inside the simplex without a cap. Where a domain's
text is unknown its benefit is one of shares, and it has no harm. With runs of one budget, the losses at another are not
identified: only epochs and shares move.

Beyond the runs h and the exponential would grow without bounds: 2,000 passes gave trillions of bits. There both go on
as straight lines: a domain's harm in log passes from the most that any run made on, and the loss in the sum of harms
from the most that any run had on. By as much as these lines add, more or less harm may come: the prediction's interval
holds none of it and twice as much. R runs, D domains, M metrics.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from engine.surrogates.base import Conditioned, Spanned
from engine.surrogates.epochs_fit import FOLDS, HIGHEST, Law, Panel, columns_of, harm

Find = Callable[[Panel, np.ndarray, int], tuple[Law, float]]
DOUBT = 0.5  # standard deviation of the harm beyond the runs, in parts of it: 95% hold from none to twice as much


@dataclass(kw_only=True)
class Epochs(Conditioned, Spanned):
    """repeats (D,): passes that a share of one makes, 0 where the text is unknown; most (D,): the most passes of a run;
    shapes (M, 3): rho, kappa, tau; floors (M,); harmed (M,): the largest sum of harms of a run; coefficients
    (M, 2 D + 1): c, benefits, harms; root (M, 2 D + 1, 2 D + 1) of their covariance; ridges (M,): penalties."""

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
    ridges: np.ndarray = None  # unknown of fits saved before it was kept

    @classmethod
    def _learn_under(cls, weights, losses, seed, conditions):
        fold = np.random.default_rng(seed).permutation(len(weights)) % FOLDS
        repeats = np.nan_to_num(conditions.repeats)
        return cls._of(weights, losses, conditions.doses, repeats, lambda panel, known, _: panel.best(fold[known]))

    @classmethod
    def _of(cls, weights: np.ndarray, losses: np.ndarray, doses: np.ndarray, repeats: np.ndarray, found: Find) -> Self:
        """The law of each metric, by what finds it and its penalty on the runs that have the metric (R,)."""
        most, each = (np.maximum(weights, 0) * repeats / doses).max(axis=0), []
        for metric, values in enumerate(losses.T):
            known = ~np.isnan(values)
            panel = Panel(weights[known], doses[known], repeats, values[known])
            law, ridge = found(panel, known, metric)
            each.append((*law, *panel.certainty(law, ridge), ridge))
        names = ("shapes", "floors", "coefficients", "harmed", "root", "noise", "ridges")
        parts = {name: np.array(part) for name, part in zip(names, zip(*each, strict=True), strict=True)}
        return cls(repeats=repeats, most=most, **parts)

    def again(self, weights: np.ndarray, losses: np.ndarray) -> Self:
        """The same law moved to the least squares of other runs, of whole text: a tenth of the price of a fit."""

        def moved(panel: Panel, known: np.ndarray, metric: int) -> tuple[Law, float]:
            law = Law(tuple(self.shapes[metric]), self.floors[metric], self.coefficients[metric])
            ridge = float(self.ridges[metric])
            return panel.refined([law], np.ones((1, known.sum()), bool), ridge)[0], ridge

        return self._of(weights, losses, np.ones_like(weights), self.repeats, moved)

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
        level, total, edge = self._level(helps), self._sum(harms), self.harmed[:, None]
        above, steep = level * grown(total, edge), level * np.exp(np.minimum(total, edge))
        slopes = np.concatenate([above[..., None] * helps, steep[..., None] * harms], axis=-1)
        return np.concatenate([(slopes @ self.root).transpose(1, 0, 2), self._doubt(helps, harms)[..., None]], axis=-1)

    def _doubt(self, helps: np.ndarray, harms: np.ndarray) -> np.ndarray:
        """(N, M) standard deviation of the harm that lies beyond the runs: one error for all points."""
        held = np.array([harm(self.most, shape[2]) for shape in self.shapes])[:, None]
        edge = self.harmed[:, None]
        stopped = np.exp(np.minimum(self._sum(np.minimum(harms, held)), edge))
        return (DOUBT * self._level(helps) * (grown(self._sum(harms), edge) - stopped)).T

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
