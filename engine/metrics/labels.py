"""Classification by label words: macro F1, and how far the probabilities of the labels are calibrated.

Labels are choices that all items share. L labels.
"""

import numpy as np

from engine.metrics.choices import of_choice, scores
from engine.metrics.items import Answers, ItemMetric
from engine.spec.statistics import first_lowest
from engine.tasks.task import EvalTask

BINS = 10


def predicted_and_true(answers: Answers) -> np.ndarray:
    """(G, I, 2): the label that a model finds most likely, and the right one."""
    known = np.isfinite(answers.nats)
    place = first_lowest(answers.nats).astype(float)
    true = np.broadcast_to(np.nanargmax(scores(answers.task), 1), place.shape)
    return np.where(known.all(-1)[..., None], np.stack([place, true], -1), np.nan)


def macro_f1(found: np.ndarray, task: EvalTask) -> np.ndarray:
    """(G, I, 2) -> (G,): the mean over labels of F1; a label that neither stands nor was predicted is left out."""
    labels = np.arange(len(task.labels))
    said, true = found[..., :1] == labels, found[..., 1:] == labels  # (G, I, L)
    both, either = (said & true).sum(1), said.sum(1) + true.sum(1)  # (G, L)
    there = either > 0
    values: np.ndarray = np.where(there, 2 * both / np.maximum(either, 1), 0).sum(1) / there.sum(1)
    return values


def confidence_and_hit(answers: Answers) -> np.ndarray:
    """(G, I, 2): the probability of the most likely label among the labels, and the score of that label."""
    least = answers.nats.min(-1, keepdims=True)
    sure = 1 / np.exp(least - answers.nats).sum(-1)
    return np.stack([sure, of_choice(answers.nats, answers.task)], -1)


def calibration_error(found: np.ndarray, task: EvalTask) -> np.ndarray:
    """(G, I, 2) -> (G,): the expected calibration error over ten bins of confidence (Guo et al. 2017)."""
    place = np.minimum((found[..., 0] * BINS).astype(int), BINS - 1)
    gap = found[..., 0] - found[..., 1]
    inside = place[..., None] == np.arange(BINS)  # (G, I, bins)
    error: np.ndarray = np.abs((gap[..., None] * inside).sum(1)).sum(1) / found.shape[1]
    return error


def hit(found: np.ndarray) -> np.ndarray:
    """(G, I, 2) -> (G, I): 1 where the most likely label is the right one; NaN where an item was left out."""
    return np.where(np.isfinite(found).all(-1), (found[..., 0] == found[..., 1]).astype(float), np.nan)


NEEDS = ("the same choices in every item", lambda task: bool(task.labels))
MACRO_F1 = ItemMetric(
    name="macro_f1",
    says="How well each label is found (F1), the mean over labels: one that is never said counts as 0.",
    unit="F1",
    higher_is_better=True,
    needs=NEEDS,
    score=predicted_and_true,
    value=macro_f1,
    chance=lambda task: 1 / len(task.labels),
    item=hit,
)
CALIBRATION = ItemMetric(
    name="calibration_error",
    says="How far the model's confidence in its answers lies from how often they are right.",
    unit="probability",
    higher_is_better=False,
    needs=NEEDS,
    score=confidence_and_hit,
    value=calibration_error,
    chance=lambda task: None,
    item=lambda found: found[..., 1],
)
