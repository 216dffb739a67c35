"""What the first runs of a study tell before a leaderboard can be made of them: the in-context surrogate's answer.

From the third run on: cross-validation needs more, so nothing of these intervals has been checked on the study's own
runs. They rest on the synthetic studies that the surrogate learned on. Uses the store. P points, M metrics.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from engine.space.box import Box
from engine.spec.statistics import ci_half_width
from engine.studies.measured import for_fitting, frame_of_study
from engine.surrogates.base import FEWEST
from engine.surrogates.in_context.surrogate import InContext, is_beyond
from store import studies
from store.database import Store


@dataclass(frozen=True)
class Early:
    """names (P,) of the baselines; mean and half (P, M): predicted metrics of a run there, and half their 95%
    intervals; spread (M,): of the runs; runs: how many it rests on."""

    names: list[str]
    mean: np.ndarray
    half: np.ndarray
    spread: np.ndarray
    runs: int


def early_answers(store: Store, study: studies.Study) -> Early | None:
    """Predictions at the study's baselines; None before its third run, and for studies larger than the surrogate
    knows."""
    if not study.coordinates:
        return None
    measured = for_fitting(store, study.id)
    known = np.isfinite(measured.losses).sum(axis=0)
    if not len(known) or known.min() < FEWEST or is_beyond(*measured.weights.shape):
        return None
    frame = frame_of_study(study)
    points, space = np.array(list(frame.baselines.values())), frame.space
    weights = measured.weights
    if isinstance(space, Box):
        points, weights = space.features(points), space.features(weights)
    fitted = _fitted(_Runs(measured.fingerprint, weights, measured.losses))
    mean, std = fitted.predict(points)
    spread = np.nanstd(measured.losses, axis=0)
    return Early(list(frame.baselines), mean, ci_half_width(std), spread, len(measured.ids))


@dataclass(frozen=True)
class _Runs:
    """Runs, the same where their fingerprints are."""

    fingerprint: str
    weights: np.ndarray = field(compare=False)
    losses: np.ndarray = field(compare=False)


@lru_cache(maxsize=16)
def _fitted(given: _Runs) -> InContext:
    return InContext.fit(given.weights, given.losses)
