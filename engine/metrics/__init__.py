"""Metrics: what proxies, merges and external models are all measured by, one file each.

Metrics of text score every token of a domain (METRICS), metrics of tasks every item of a task (ITEM_METRICS). A new
one is one file that defines `METRIC`, and one line of its table here.
"""

from collections.abc import Sequence
from pathlib import Path

from engine.core.errors import Problem
from engine.metrics import accuracy, answer_bits, best_of_n, choices, exact_match, labels, loss
from engine.metrics.base import Metric, Prediction, Text, ratio, values_of, window_scores
from engine.metrics.items import (
    NORMALISED,
    SCORES,
    Answers,
    Asked,
    ItemMetric,
    TaskValues,
    check_fit,
    check_tasks,
    ends_of,
    measured,
    task_values,
)
from engine.metrics.verifiers import check_verifier
from engine.spec.objectives import Objective
from engine.tasks import shelf
from engine.tasks.task import EvalTask

METRICS = {metric.name: metric for metric in (loss.METRIC, accuracy.METRIC)}
LOSS = loss.METRIC  # of every domain: always measured
ITEM_METRICS = {
    metric.name: metric
    for metric in (
        choices.METRIC,
        choices.PER_BYTE,
        answer_bits.METRIC,
        exact_match.METRIC,
        labels.MACRO_F1,
        labels.CALIBRATION,
        best_of_n.METRIC,
    )
}

__all__ = [
    "ITEM_METRICS",
    "LOSS",
    "METRICS",
    "NORMALISED",
    "SCORES",
    "Answers",
    "Asked",
    "ItemMetric",
    "Metric",
    "Prediction",
    "TaskValues",
    "Text",
    "asked_of",
    "check_fit",
    "check_tasks",
    "item_metrics",
    "measured",
    "measured_by",
    "names_of",
    "objective_of",
    "objectives_of",
    "ratio",
    "task_values",
    "values_of",
    "window_scores",
]


def measured_by(names: Sequence[str]) -> tuple[Metric, ...]:
    """The loss, and the other metrics of these names. Raises Problem for one that is not in the table."""
    if unknown := [name for name in names if name not in METRICS]:
        raise Problem(f"Cannot measure {unknown[0]!r}: the metrics are {', '.join(METRICS)}.")
    return (LOSS, *(METRICS[name] for name in dict.fromkeys(names) if name != LOSS.name))


def names_of(metrics: Sequence[Metric], domains: Sequence[str], tasks: Sequence[Asked] = ()) -> list[str]:
    """What each value of a model is called: every domain by the first metric, then by the next, then the tasks."""
    of_text = [metric.label.format(domain=domain) for metric in metrics for domain in domains]
    return of_text + [metric.label(task.name) for task, own in tasks for metric in own]


def asked_of(workspace: Path, names: Sequence[str]) -> list[Asked]:
    """The tasks of these names, and their metrics. Raises Problem for one that is missing or cannot be measured, also
    for want of its verifier."""
    found: list[Asked] = [(task, item_metrics(task)) for task in shelf.loaded(workspace, names)]
    for task, metrics in found:
        if best_of_n.METRIC in metrics:
            check_verifier(task.sampling.verifier, workspace)
    return found


def objectives_of(names: Sequence[str], domains: Sequence[str], tasks: Sequence[EvalTask] = ()) -> list[Objective]:
    """The objectives of a study that measures the loss and the metrics of these names on domains, and tasks.

    A task counts only where somebody says so: its priority is 0 until then. Raises Problem for two of one name.
    """
    of_text = [
        Objective(
            metric.label.format(domain=domain),
            unit=metric.unit,
            higher_is_better=metric.higher_is_better,
            domain=domain if metric is LOSS else None,
        )
        for metric in measured_by(names)
        for domain in domains
    ]
    of_tasks = [objective_of(task, metric) for task in tasks for metric in item_metrics(task)]
    taken = {one.metric for one in of_text}
    if twice := [one.metric for one in of_tasks if one.metric in taken]:
        raise Problem(f"Cannot measure {twice[0]!r} twice, of a domain and of a task. Add the task under another name.")
    return of_text + of_tasks


def item_metrics(task: EvalTask) -> list[ItemMetric]:
    """The metrics of a task. Raises Problem for one that is not in the table, or that its items do not have."""
    for name in task.metrics:
        if name not in ITEM_METRICS:
            raise Problem(f"Cannot measure {name!r} on a task: the metrics are {', '.join(ITEM_METRICS)}.")
        wanted, there = ITEM_METRICS[name].needs
        if not there(task):
            raise Problem(f"Cannot measure {name!r} on the task {task.name!r}: it needs {wanted}.")
    if not task.metrics:
        raise Problem(
            f"Cannot measure the task {task.name!r}: it names no metric. Name some of {', '.join(ITEM_METRICS)}."
        )
    return [ITEM_METRICS[name] for name in dict.fromkeys(task.metrics)]


def objective_of(task: EvalTask, metric: ItemMetric) -> Objective:
    """What a metric of a task is to a study."""
    chance, ends = metric.chance(task), ends_of(metric, task)
    if chance is not None and ends is not None:
        chance = (chance - ends[0]) / (ends[1] - ends[0])
    return Objective(
        metric.label(task.name),
        unit=metric.unit if ends is None else NORMALISED,
        higher_is_better=metric.higher_is_better,
        priority=0.0,
        task=task.name,
        chance=chance,
        items=len(task.items),
    )
