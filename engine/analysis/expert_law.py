"""How many experts pay: the expected loss of a merge of k experts as a law in k, from merges of some sets of them.

E[L | k] = limit + gain / (k + offset) (arXiv:2509.24244): each further expert brings less. S sets, K experts.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.errors import Problem

OFFSETS = np.concatenate([[0.0], np.geomspace(0.1, 30, 40)])  # that are tried
DRAWS = 400
FEWEST = 3  # sizes; three numbers are fitted


@dataclass(frozen=True)
class ExpertLaw:
    """limit, gain, offset of the fit, and of refits to sets that were drawn again within each size: (1 + B, 3)."""

    terms: np.ndarray

    def at(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Expected losses of merges of so many experts (N,), and the ends of their 95% intervals, (N,) each."""
        return ends(self._values(counts))

    def left(self, counts: np.ndarray, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How much higher the loss of so many experts (N,) is than that of `last`, and its 95% interval, (N,) each."""
        return ends(self._values(counts) - self._values(np.array([last])))

    def _values(self, counts: np.ndarray) -> np.ndarray:
        """(1 + B, N) expected losses by the fit, and by each refit."""
        limit, gain, offset = self.terms.T[:, :, None]
        found: np.ndarray = limit + gain / (np.asarray(counts, float) + offset)
        return found


def ends(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The fit's values (1 + B, N), and the ends of the 95% intervals of the refits', (N,) each."""
    low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
    return values[0], low, high


def fitted(counts: np.ndarray, losses: np.ndarray, seed: int = 0) -> ExpertLaw:
    """The law of sets of `counts` experts (S,) with `losses` (S,), by least squares; gain may have any sign, as more
    experts at the same total can be worse. Raises Problem for fewer than three sizes."""
    counts, losses = np.asarray(counts, int), np.asarray(losses, float)
    sizes = [np.flatnonzero(counts == size) for size in np.unique(counts)]
    if len(sizes) < FEWEST:
        raise Problem(
            f"Cannot tell how many experts pay from merges of {len(sizes)} sizes: a law needs {FEWEST}. Study a merge "
            f"of at least {FEWEST} experts."
        )
    rng = np.random.default_rng(seed)
    drawn = [np.concatenate([rng.choice(own, len(own)) for own in sizes]) for _ in range(DRAWS)]
    rows = np.array([np.arange(len(counts)), *drawn])
    return ExpertLaw(terms_of(counts[rows], losses[rows]))


def terms_of(counts: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """(B, 3) limit, gain and offset of B samples (B, S): for each offset of the grid a line, and the best of them."""
    x = 1 / (counts[:, None, :] + OFFSETS[:, None])  # (B, offsets, S)
    y = losses[:, None, :]
    middle_x, middle_y = x.mean(-1, keepdims=True), y.mean(-1, keepdims=True)
    around = x - middle_x
    gain = (around * (y - middle_y)).sum(-1) / np.square(around).sum(-1)
    limit = middle_y[..., 0] - gain * middle_x[..., 0]
    wrong = np.square(y - limit[..., None] - gain[..., None] * x).sum(-1)
    best = wrong.argmin(-1)[:, None]
    take = np.take_along_axis
    return np.concatenate([take(limit, best, 1), take(gain, best, 1), OFFSETS[best]], axis=1)
