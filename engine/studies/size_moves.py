"""How the best mixture moves from the smallest size of a study to a target, and where the runs cannot tell.

D domains, M metrics.
"""

from dataclasses import dataclass

import numpy as np

from engine.analysis.sizes import AtSize, Sizes
from engine.search.methods import evolve_from
from engine.spec.frame import Frame
from engine.spec.statistics import weighted_sum

DRAWS, ELITE = 2048, 64
FEWER = 512  # draws of a refit, which knows the best mixtures of all runs as well
REFITS = 20  # bootstrap draws of the runs' mixtures
BAND = (5, 95)  # percentiles over them

Place = tuple[float | None, float | None]  # parameters, tokens


@dataclass(frozen=True)
class Moves:
    """The best mixture (D,) at the smallest size and at the target, and its bands (2, D) over refits."""

    before: np.ndarray
    after: np.ndarray
    before_band: np.ndarray
    after_band: np.ndarray

    @property
    def is_clear(self) -> np.ndarray:
        """(D,) whether a share moves beyond what refits differ by: its bands do not overlap."""
        apart: np.ndarray = (self.before_band[0] > self.after_band[1]) | (self.after_band[0] > self.before_band[1])
        return apart


def moves(sizes: Sizes, frame: Frame, small: Place, target: Place, metric_weights: np.ndarray) -> Moves:
    """From runs of several sizes, among the mixtures of a frame; metric_weights (M,): signed weights of the aggregate.

    Raises Problem where the runs do not tell of a size.
    """
    rng = np.random.default_rng(0)
    draws, places = frame.space.draw(frame.prior, DRAWS, rng), (small, target)
    best = np.array([best_at(sizes.at(*place), frame, draws, metric_weights) for place in places])
    known, refits = np.concatenate([draws[:FEWER], best]), []
    for _ in range(REFITS):
        again = sizes.resampled(rng)
        refits.append([best_at(again.at(*place), frame, known, metric_weights) for place in places])
    bands = np.percentile(np.array(refits), BAND, axis=0)
    return Moves(*best, bands[:, 0], bands[:, 1])


def best_at(there: AtSize, frame: Frame, draws: np.ndarray, metric_weights: np.ndarray) -> np.ndarray:
    """The mixture (D,) of the lowest prediction at a size, by evolution from the best draws (N, D)."""

    def score(points: np.ndarray) -> np.ndarray:
        return weighted_sum(there.mean(points), metric_weights)

    return evolve_from(score, frame.space, draws, np.random.default_rng(0), ELITE)
