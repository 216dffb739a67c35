"""Exact match by generation: how many items a model completes with one of the right answers, blanks around it aside."""

import numpy as np

from engine.metrics.items import Answers, ItemMetric, mean


def matches(answers: Answers) -> np.ndarray:
    """(G, I): 1 where the text up to the first stop is a right answer."""
    right = [{text.strip() for text in item.right} for item in answers.task.items]
    return np.array(
        [[float(text.strip() in own) for text, own in zip(each, right, strict=True)] for each in answers.greedy]
    )


METRIC = ItemMetric(
    name="exact_match",
    says="The part of the items to which the model writes a right answer, letter by letter.",
    unit="fraction of items",
    higher_is_better=True,
    needs=("right answers", lambda task: True),
    score=matches,
    value=mean,
    chance=lambda task: 0.0,
    answer=lambda answers: answers.greedy,
)
