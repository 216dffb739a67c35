"""Metrics: what proxies, merges and external models are all measured by, one file each.

A new metric is one file that defines `METRIC`, and one line of the table here.
"""

from collections.abc import Sequence

from engine.core.errors import Problem
from engine.metrics import accuracy, loss
from engine.metrics.base import Metric, Prediction, Text, ratio, values_of, window_scores
from engine.spec.objectives import Objective

METRICS = {metric.name: metric for metric in (loss.METRIC, accuracy.METRIC)}
LOSS = loss.METRIC  # of every domain: always measured

__all__ = [
    "LOSS",
    "METRICS",
    "Metric",
    "Prediction",
    "Text",
    "measured_by",
    "names_of",
    "objectives_of",
    "ratio",
    "values_of",
    "window_scores",
]


def measured_by(names: Sequence[str]) -> tuple[Metric, ...]:
    """The loss, and the other metrics of these names. Raises Problem for one that is not in the table."""
    if unknown := [name for name in names if name not in METRICS]:
        raise Problem(f"Cannot measure {unknown[0]!r}: the metrics are {', '.join(METRICS)}.")
    return (LOSS, *(METRICS[name] for name in dict.fromkeys(names) if name != LOSS.name))


def names_of(metrics: Sequence[Metric], domains: Sequence[str]) -> list[str]:
    """What each value of a model is called: every domain by the first metric, then by the next."""
    return [metric.label.format(domain=domain) for metric in metrics for domain in domains]


def objectives_of(names: Sequence[str], domains: Sequence[str]) -> list[Objective]:
    """The objectives of a study that measures the loss and the metrics of these names on domains."""
    return [
        Objective(
            metric.label.format(domain=domain),
            unit=metric.unit,
            higher_is_better=metric.higher_is_better,
            domain=domain if metric is LOSS else None,
        )
        for metric in measured_by(names)
        for domain in domains
    ]
