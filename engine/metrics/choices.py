"""Choices by likelihood: the score of the choice that a model finds most likely, as a whole or per byte.

A task of labels or of answers with one right choice: its accuracy. BIG-bench's multiple choice grade: the scores that
its authors gave to each choice.
"""

import numpy as np

from engine.metrics.items import Answers, ItemMetric, mean
from engine.spec.statistics import first_lowest
from engine.tasks.task import EvalTask


def has_choices(task: EvalTask) -> bool:
    return all(item.choices for item in task.items)


def scores(task: EvalTask) -> np.ndarray:
    """(I, C) of each choice; NaN beyond an item's choices."""
    found = np.full((len(task.items), max(len(item.choices) for item in task.items)), np.nan)
    for place, item in enumerate(task.items):
        found[place, : len(item.scores)] = item.scores
    return found


def of_choice(nats: np.ndarray, task: EvalTask) -> np.ndarray:
    """(G, I) the score of the choice with the least nats (G, I, C), NaN where none is known; the first of tied ones."""
    place = first_lowest(nats)  # (G, I)
    own = np.take_along_axis(np.broadcast_to(scores(task), nats.shape), place[..., None], -1)[..., 0]
    return np.where(np.isfinite(nats).any(-1), own, np.nan)


def per_byte(answers: Answers) -> np.ndarray:
    """(G, I, C) nats per byte of each choice: the lowest is chosen, so that long choices are not at a disadvantage."""
    size = np.ones(answers.nats.shape[1:])
    for place, item in enumerate(answers.task.items):
        size[place, : len(item.choices)] = [len(choice.encode()) for choice in item.choices]
    return answers.nats / size


def guessed(task: EvalTask) -> float | None:
    """The mean score of a choice drawn at random."""
    return float(np.nanmean(scores(task), 1).mean())


NEEDS = ("choices", has_choices)
METRIC = ItemMetric(
    name="accuracy",
    says="The part of the items whose likeliest choice, read as a whole, is right.",
    unit="accuracy",
    higher_is_better=True,
    needs=NEEDS,
    score=lambda answers: of_choice(answers.nats, answers.task),
    value=mean,
    chance=guessed,
)
PER_BYTE = ItemMetric(
    name="accuracy_per_byte",
    says="The part of the items whose likeliest choice for its length in bytes is right.",
    unit="accuracy",
    higher_is_better=True,
    needs=NEEDS,
    score=lambda answers: of_choice(per_byte(answers), answers.task),
    value=mean,
    chance=guessed,
    answer=lambda answers: answers.lowest(per_byte(answers)),
)
