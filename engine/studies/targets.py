"""The answer for another target: predictions and the best mixture where the real run reads other tokens.

Uses the store's studies. Only surrogates that learnt what repetition does can tell; a run of one budget says nothing of
the level of the losses at another, so only shares and epochs move.
"""

from dataclasses import replace

import numpy as np

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.search.methods import evolve_from
from engine.spec.frame import Frame, frame_of
from engine.spec.objectives import Aggregate
from engine.spec.repetition import is_matched
from engine.spec.statistics import weighted_sum
from engine.spec.study import StudySpec
from engine.studies.fits import Fit
from engine.surrogates.prediction import Prediction, predict
from store import studies

DRAWS = 8192


def checked_tokens(tokens: float) -> float:
    """Tokens of a real run, unchanged. Raises Problem if they are no such number."""
    if not is_number(tokens, 1):
        raise Problem(f"Cannot use {tokens!r} as the tokens of the real run: give a number of at least 1.")
    return float(tokens)


def frame_at(study: studies.Study, tokens: float) -> Frame:
    """The study's frame where the real run reads `tokens`. Raises Problem where no mixture keeps to the epoch cap."""
    spec = replace(StudySpec.from_dict(study.spec), target_tokens=tokens)
    return frame_of(spec, study.coordinates, study.corpus, study.imported)


def fit_at(study: studies.Study, frame: Frame, fit: Fit, tokens: float) -> Fit:
    """The fit whose surrogate predicts a real run of `tokens`; unchanged where it cannot tell.

    frame: the study's own.
    """
    if not fit.surrogate.sees_repetition or frame.pools is None or tokens == frame.budget:
        return fit
    if not is_matched(StudySpec.from_dict(study.spec), frame):
        return fit
    return replace(fit, instead=fit.surrogate.at(tokens / frame.pools.tokens))


def best_at(frame: Frame, fit: Fit, aggregate: Aggregate) -> Prediction:
    """The mixture of the lowest prediction in a frame, by evolution from the best of some thousand draws."""

    def score(points: np.ndarray) -> np.ndarray:
        return weighted_sum(fit.surrogate.mean(points), aggregate.weights)

    rng = np.random.default_rng(0)
    draws = frame.space.draw(frame.prior, DRAWS, rng)
    return predict(fit.surrogate, evolve_from(score, frame.space, draws, rng), aggregate.weights)
