"""A merge study's answer: the best merge measured against the best baseline, and the one worth measuring next.

Uses the store. All merges are measured on the same text and measuring one again gives the same, so the interval of a
difference is that of the text. It counts the two as independent, which errs on the safe side.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.statistics import ci_half_width
from engine.studies.measured import reference_runs
from engine.studies.moments import Moment
from engine.studies.reach import places
from engine.surrogates.prediction import Difference, difference
from store import runs
from store.database import Store

LEAST = 1e-9  # differences of aggregates below this are none


@dataclass(frozen=True)
class MergeAnswer:
    """run, point (D,): the best merge measured, of `merges`; against, baseline (D,): the best baseline and its run.

    gap, half: the difference of their aggregates, below 0 where the merge is better, and half its 95% interval (NaN
    where a run was measured elsewhere). next (D,): the best predicted merge, None without one or where it is measured;
    expected: how it is predicted to differ from the best measured.
    """

    run: str
    point: np.ndarray
    merges: int
    against: tuple[str, str]
    baseline: np.ndarray
    gap: float
    half: float
    next: np.ndarray | None
    expected: Difference | None

    @property
    def itself(self) -> bool:
        """Whether a baseline is the best that was measured."""
        return abs(self.gap) < LEAST

    @property
    def apart(self) -> bool:
        """Whether the difference is beyond the noise of the text."""
        return bool(np.isfinite(self.half) and abs(self.gap) > self.half)

    @property
    def promising(self) -> bool:
        """Whether there is a merge that is predicted to be better than the best measured."""
        return self.expected is not None and self.expected.aggregate < 0


def merge_answer(store: Store, moment: Moment) -> MergeAnswer | None:
    """Of a merge study; None before a baseline and a merge are measured."""
    aggregate, merges, best = moment.aggregate, moment.measured, moment.best
    measured = runs.measured(store, moment.study.id)
    usual = reference_runs(measured, aggregate)
    if not usual or best is None:
        return None
    name, row = next(iter(usual.items()))
    errors = runs.standard_errors(store, moment.study.id, len(moment.study.metrics))
    worth = worth_measuring(moment)
    expected = None
    if worth is not None and moment.fit is not None:
        expected = difference(moment.fit.surrogate, worth, merges.weights[best], aggregate.weights)
    return MergeAnswer(
        run=merges.ids[best],
        point=merges.weights[best],
        merges=len(merges.ids),
        against=(name, measured.ids[row]),
        baseline=measured.weights[row],
        gap=float(aggregate.of(merges.losses[best]) - aggregate.of(measured.losses[row])),
        half=ci_half_width(aggregate.error_of([errors[merges.ids[best]], errors[measured.ids[row]]])),
        next=worth,
        expected=expected,
    )


def worth_measuring(moment: Moment) -> np.ndarray | None:
    """The best predicted merge (D,), unless there is none, or it is measured."""
    if moment.fit is None or moment.search is None or not moment.enough:
        return None
    point = np.array(moment.search["found"]["found"]["shares"])
    return None if places(point[None], moment.measured.weights) == ["measured"] else point
