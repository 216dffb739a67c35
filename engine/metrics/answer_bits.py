"""Bits per byte of the right answers: smooth where accuracy is still at chance, so small models already differ in it.

sum over items of -log p(answer | prompt) / ln 2 / sum of the answers' bytes
"""

import math

import numpy as np

from engine.metrics.items import Answers, ItemMetric
from engine.spec.objectives import BITS
from engine.tasks.task import EvalTask


def bits_and_bytes(answers: Answers) -> np.ndarray:
    """(G, I, 2): the bits of each right answer, and its bytes."""
    size = np.array([len(item.gold.encode()) for item in answers.task.items], float)
    bits = answers.gold / math.log(2)  # (G, I)
    return np.stack([bits, np.broadcast_to(size, bits.shape)], -1)


def per_byte(scores: np.ndarray, task: EvalTask) -> np.ndarray:
    """(G, I, 2) -> (G,)."""
    found: np.ndarray = scores[..., 0].sum(1) / scores[..., 1].sum(1)
    return found


def likelihood(scores: np.ndarray) -> np.ndarray:
    """(G, I, 2) -> (G, I): the probability of each right answer, as that of one of its bytes (the geometric mean)."""
    found: np.ndarray = np.exp2(-scores[..., 0] / scores[..., 1])
    return found


METRIC = ItemMetric(
    name="answer_bits",
    says="How much the right answers surprise the model: it differs between models that only guess yet.",
    unit=BITS,
    higher_is_better=False,
    needs=("right answers", lambda task: True),
    score=bits_and_bytes,
    value=per_byte,
    chance=lambda task: None,
    item=likelihood,
)
