"""Scores of a task against a loss, and at larger sizes, each with its check. Uses the store."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine.analysis.links import Link, link
from engine.analysis.scaling import by_process, compute_of, groups_of
from engine.analysis.sizes import Sizes
from engine.core.errors import Problem
from engine.metrics import NORMALISED, SCORES
from engine.spec.objectives import BITS, Objective
from engine.spec.statistics import ci_half_width
from engine.studies.measured import points_measured
from engine.tasks import shelf
from store import runs, studies
from store.database import Store

SHARES = (*SCORES, NORMALISED)  # units of scores that are a share of the items
FEWEST_HELD, FEWEST_SIZES = 4, 3  # runs at the largest size that tell of a forecast; sizes, of which two make a trend


def can_link(one: Objective) -> bool:
    """Whether a metric is a share of items, whose noise is binomial."""
    return one.task is not None and one.unit in SHARES and bool(one.items)


def losses_of(study: studies.Study, task: str) -> list[int]:
    """The places of the metrics that a score may be linked to: bits per byte of the same task, then of domains."""
    lower = [m for m, one in enumerate(study.objectives) if not one.higher_is_better and one.unit == BITS]
    return sorted(lower, key=lambda m: study.objectives[m].task != task)


def link_of(store: Store, study: studies.Study, metric: int, loss: int) -> Link:
    """The link of a score (place of the metric) to a loss (its place), over the finished runs of the study's size.

    Raises Problem as `engine.analysis.links.link` does, and where the score is no share of items.
    """
    one = study.objectives[metric]
    if not can_link(one):
        raise Problem(f"Cannot link {one.metric!r} to a loss: it is not a share of a task's items.")
    values, low, scale = points_measured(store, study.id).losses, 0.0, 1.0
    task = shelf.load(store.workspace.root, str(one.task))
    if task.low is not None and task.high is not None:
        low, scale = task.low, task.high - task.low
    raw, chance = low + scale * values[:, metric], low + scale * (one.chance or 0.0)
    found = _linked(len(raw), values[:, loss].tobytes(), raw.tobytes(), int(one.items or 0), max(0.0, chance))
    ends = ((one_end - low) / scale for one_end in (found.mean, found.low, found.high, found.ceiling))
    return Link(found.losses, *ends, found.spread, found.odds, found.runs)


@lru_cache(maxsize=32)
def _linked(count: int, losses: bytes, scores: bytes, items: int, chance: float) -> Link:
    return link(np.frombuffer(losses, count=count), np.frombuffer(scores, count=count), items, chance)


def has_sizes(store: Store, study: studies.Study) -> bool:
    """Whether the finished runs are of several sizes."""
    fidelity = runs.sizes(store, study.id)[1]
    known = np.isfinite(fidelity).all(axis=1)
    return bool(known.any()) and bool(groups_of(fidelity[known]).max() > 0)


@dataclass(frozen=True)
class Forecast:
    """A score over sizes. compute, scores (R,): of all finished runs, FLOPs; held (H,): places of those at the largest
    size; predicted, std (H,): of these, by the fit without them; target: FLOPs; mean, target_std: the score there, of
    one run at a point; notes: what has to be known of it; sizes: how many there are."""

    compute: np.ndarray
    scores: np.ndarray
    held: np.ndarray
    predicted: np.ndarray
    std: np.ndarray
    target: float
    mean: float
    target_std: float
    notes: tuple[str, ...]
    sizes: int

    @property
    def inside(self) -> int:
        """How many runs at the largest size lie inside the 95% interval that was told without them."""
        return int((np.abs(self.scores[self.held] - self.predicted) <= ci_half_width(self.std)).sum())

    @property
    def bias(self) -> float:
        """The mean of measured minus predicted at the largest size."""
        return float(np.mean(self.scores[self.held] - self.predicted))


def forecast(store: Store, study: studies.Study, metric: int, point: np.ndarray, times: float) -> Forecast:
    """A score at a point (D,), by a model of `times` the compute of the largest runs, and the check at that size.

    Parameters and tokens grow alike. Raises Problem for merges, fewer than three sizes or four runs at the largest.
    """
    if study.kind != "mixture":
        raise Problem(f"Cannot extrapolate over size with {study.name!r}: merges have the size of the models merged.")
    weights, fidelity, losses = runs.sizes(store, study.id)
    known = np.isfinite(fidelity).all(axis=1) & np.isfinite(losses[:, metric]) if len(losses) else np.zeros(0, bool)
    weights, fidelity, scores = weights[known], fidelity[known], losses[known][:, metric]
    size = groups_of(fidelity) if len(fidelity) else np.zeros(0, int)
    count, held = int(size.max(initial=-1)) + 1, np.flatnonzero(size == size.max(initial=-1))
    if count < FEWEST_SIZES or len(held) < FEWEST_HELD:
        raise Problem(
            f"Cannot extrapolate {study.metrics[metric]!r} over size: that takes runs of {FEWEST_SIZES} sizes, "
            f"{FEWEST_HELD} of them at the largest, to check it there, and there are {count} with {len(held)}."
        )
    sign = np.array([-1.0 if study.objectives[metric].higher_is_better else 1.0])
    below = size < size.max()
    mean, std, _ = by_process(weights[below], fidelity[below], scores[below, None], sign, weights[held], fidelity[held])
    target = np.median(fidelity[held], axis=0) * np.sqrt(times)
    there = Sizes.fit(weights, fidelity, scores[:, None], sign).at(*target.tolist())
    at, at_std = there.predict(point[None])
    return Forecast(
        compute_of(fidelity),
        scores,
        held,
        mean[:, 0],
        std[:, 0],
        float(compute_of(target[None])[0]),
        float(at[0, 0]),
        float(at_std[0, 0]),
        there.notes,
        count,
    )
