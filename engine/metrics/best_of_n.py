"""Best of n under a verifier: for how many items at least one of n drawn answers is accepted.

Every answer has a score from 0 to 1; an item's is that of its best answer.
"""

import numpy as np

from engine.metrics.items import Answers, ItemMetric, mean
from engine.metrics.verifiers import verdicts


def best(answers: Answers) -> np.ndarray:
    """(G, I) the best score of the samples of each item."""
    found: np.ndarray = verdicts(answers.task, answers.samples, answers.workspace).max(-1)
    return found


METRIC = ItemMetric(
    name="best_of_n",
    unit="fraction of items",
    higher_is_better=True,
    needs=("right answers", lambda task: True),
    score=best,
    value=mean,
    chance=lambda task: 0.0,
)
