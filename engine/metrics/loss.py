"""The loss of a domain in bits per byte: it does not depend on the tokenizer, so models of different ones compare."""

import math

import numpy as np

from engine.metrics.base import Metric, Text, ratio
from engine.spec.objectives import BITS


def bits_per_byte(nats: np.ndarray, text: Text) -> tuple[np.ndarray, np.ndarray]:
    """Losses (G,) and their standard errors (G,) from the nats of each window's targets (G, W)."""
    return ratio(nats / math.log(2), text.bytes)


METRIC = Metric(
    name="loss",
    label="{domain}",
    unit=BITS,
    higher_is_better=False,
    score=lambda prediction: prediction.nll,
    value=bits_per_byte,
)
