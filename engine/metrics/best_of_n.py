"""Best of n under a verifier: for how many items at least one of n drawn answers is accepted.

Every answer has a score from 0 to 1; an item's is that of its best answer.
"""

import numpy as np

from engine.metrics.items import Answers, ItemMetric, mean
from engine.spec.statistics import first_lowest


def best(answers: Answers) -> np.ndarray:
    """(G, I) the best score of the samples of each item."""
    found: np.ndarray = answers.verdicts.max(-1)
    return found


def best_sample(answers: Answers) -> list[list[str]]:
    """[G][I] the first of the samples with that score."""
    places = first_lowest(-answers.verdicts).tolist()
    return [
        [drawn[place] for drawn, place in zip(own, at, strict=True)]
        for own, at in zip(answers.samples, places, strict=True)
    ]


METRIC = ItemMetric(
    name="best_of_n",
    says="The verifier's score of the best of several written answers, from 0 to 1: the mean over items.",
    unit="fraction of items",
    higher_is_better=True,
    needs=("right answers", lambda task: True),
    score=best,
    value=mean,
    chance=lambda task: 0.0,
    answer=best_sample,
)
