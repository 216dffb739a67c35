"""Samples of harnesses join the runs of a study: the items become a task, and each run's answers are kept. Uses the
store."""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from engine.core.errors import Problem
from engine.core.people import takes
from engine.core.short_names import counted, listed
from engine.importing.harness_samples import Sampled
from engine.studies.measured import points_measured
from engine.studies.task_scores import of_task, task_name
from engine.tasks import outcomes, shelf
from engine.tasks.outcomes import Outcome
from engine.tasks.task import EvalTask, Item
from store import studies
from store.database import Store

UNKNOWN = "(the file does not say)"


@takes("operator", "import runs")
def add_samples(store: Store, study: studies.Study, found: Sequence[Sampled], private: bool = False) -> dict:
    """Keep what runs of a study answered, item by item: {"tasks": {task: runs}, "notes"}.

    A run is found by its label or id among the names of its files. private: none of the items' text is shown. Raises
    Problem where no run is found, and where two of one task were asked other items.
    """
    measured = points_measured(store, study.id)
    known = {run: run for run in measured.ids}
    known |= {label: run for label, run in zip(measured.labels, measured.ids, strict=True) if label}
    by_task: dict[str, dict[str, Sampled]] = defaultdict(dict)
    unknown = []
    for one in found:
        if (run := next((known[name] for name in one.names if name in known), None)) is None:
            unknown.append(f"{one.task} of {one.names[0] if one.names else 'no folder'}")
        elif run not in by_task[one.task] or by_task[one.task][run].date < one.date:
            by_task[one.task][run] = one
    if not any(by_task.values()):
        raise Problem(
            f"Cannot add these samples to {study.name!r}: no folder around them is called after one of its runs "
            f"({listed(list(known), 4)}). Name each folder of samples after its run."
        )
    tasks = [_task(study, task, runs, private) for task, runs in by_task.items() if runs]
    for task in tasks:  # all are checked before anything is kept
        shelf.save(store.workspace.root, task)
    for (title, runs), task in zip(((title, runs) for title, runs in by_task.items() if runs), tasks, strict=True):
        sign = _sign(study, title, next(iter(runs.values())).metric)
        for run, one in runs.items():
            _keep(store, run, task.name, one, sign)
    notes = [f"Not of any run of this study: {listed(unknown, 8)}."] if unknown else []
    return {"tasks": {task_name(title): len(runs) for title, runs in by_task.items() if runs}, "notes": notes}


def _task(study: studies.Study, title: str, runs: dict[str, Sampled], private: bool) -> EvalTask:
    """The items that all runs were asked, as a task."""
    first, *others = runs.items()
    prompts = [one.prompt for one in first[1].samples]
    for run, other in others:
        if [one.prompt for one in other.samples] != prompts:
            raise Problem(
                f"Cannot compare the samples of {title!r}: {first[0]} was asked {counted(len(prompts), 'item')}, and "
                f"{run} others ({len(other.samples)}). Give those of the same version, with the same examples."
            )
    items = [Item(one.prompt, answers=[text for text in one.right if text] or [UNKNOWN]) for one in first[1].samples]
    source = f"samples of a harness, of {title}, scored by {re.sub('_', ' ', first[1].metric)}"
    return EvalTask(task_name(title), ["exact_match"], items, source, private=private)


def _sign(study: studies.Study, title: str, metric: str) -> int:
    """1 where a higher score of an item is better, -1 where a lower one is."""
    own = [one for one in study.objectives if of_task(one, task_name(title)) and f" {metric}" in one.metric]
    return -1 if own and not own[0].higher_is_better else 1


def _keep(store: Store, run: str, task: str, found: Sampled, sign: int) -> None:
    """Add what a run answered to its answers on other tasks."""
    path = outcomes.file_of(store.workspace.root, run)
    there = outcomes.load(path) if path.exists() else {}
    scores = sign * np.array([one.score for one in found.samples], float)
    there[task] = Outcome(scores, [one.answer for one in found.samples])
    outcomes.save(path, there)
