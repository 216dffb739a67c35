"""Samples of harnesses join the runs of a study: the items become a task, and each run's answers are kept. Uses the
store."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.people import takes
from engine.core.short_names import counted, listed
from engine.importing.harness_samples import Sampled
from engine.studies.measured import points_measured
from engine.studies.task_scores import answered, of_task, task_name
from engine.studies.tasks import is_private
from engine.tasks import outcomes, shelf
from engine.tasks.outcomes import Outcome
from engine.tasks.task import EvalTask, Item
from store import studies
from store.database import Store

ROOM = 58  # letters of a name to which a number is added
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
    kept = keep(store, joined(store, study, {task: runs for task, runs in by_task.items() if runs}, private))
    notes = [f"Not of any run of this study: {listed(unknown, 8)}."] if unknown else []
    return {"tasks": kept, "notes": notes}


@dataclass(frozen=True)
class Joined:
    """What runs (by id) answered to a task. sign: 1 where a higher score of an item is better, -1 where a lower one."""

    task: EvalTask
    runs: Mapping[str, Sampled]
    sign: int


def joined(
    store: Store, study: studies.Study, by_task: Mapping[str, Mapping[str, Sampled]], private: bool
) -> list[Joined]:
    """What runs answered, by the harness' name of a task, as tasks here; keeps nothing yet. Raises Problem where two
    runs were asked other items, and for a name that another task has."""
    found = []
    for title, runs in by_task.items():
        task = _task(store, study, title, runs, private)
        found.append(Joined(task, runs, _sign(study, title, next(iter(runs.values())).metric)))
    return found


def keep(store: Store, found: Sequence[Joined]) -> dict[str, int]:
    """Keep tasks and answers; of how many runs, by task."""
    for one in found:
        shelf.save(store.workspace.root, one.task)
        for run, own in one.runs.items():
            _keep(store, run, one.task.name, own, one.sign)
    return {one.task.name: len(one.runs) for one in found}


def _task(store: Store, study: studies.Study, title: str, runs: Mapping[str, Sampled], private: bool) -> EvalTask:
    """The items that all runs were asked, as a task: the one of that name where it asks the same, else one of a name
    that is free, since another study may have asked another version. Raises Problem where runs of this study were asked
    other items."""
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
    made = EvalTask(task_name(title), ["exact_match"], items, source, private=private)
    root = store.workspace.root
    for there in called(root, title):
        if _same(there, prompts):
            if private and not is_private(store, there):
                raise Problem(f"Cannot keep the items of {title!r} private: they are there, and shown.")
            return there
        if asked := answered(store, study, there.name):
            raise Problem(
                f"Cannot compare the samples of {title!r}: {first[0]} was asked {counted(len(prompts), 'item')}, and "
                f"{asked[0]} of this study others ({len(there.items)}). Give those of the same version, with the same "
                "examples."
            )
    if made.name in shelf.names(root):
        made = replace(made, name=free_name(root, made.name), source=f"{source}, in {study.name}", title=title)
    shelf.check_new(root, made)
    return made


def called(root: Path, title: str) -> Iterator[EvalTask]:
    """The tasks of a workspace that a harness calls so; damaged ones are no such."""
    base = task_name(title)
    for name in shelf.names(root):
        if name != base and not name.startswith(f"{base[:ROOM]}."):
            continue
        with suppress(Problem):
            found = shelf.load(root, name)
            if found.title == title or (name == base and found.title is None):
                yield found


def free_name(root: Path, base: str) -> str:
    """A name for another task of a name that is taken."""
    taken = {*shelf.names(root)}
    return next(name for n in count(2) if (name := f"{base[:ROOM]}.{n}") not in taken)


def _same(task: EvalTask, prompts: list[str]) -> bool:
    return [item.prompt for item in task.items] == prompts


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
