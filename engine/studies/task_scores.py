"""What the runs of a study scored on its tasks: values, whether they can be steered, and answers side by side. Uses the
store."""

import re
from dataclasses import dataclass

import numpy as np

from engine.analysis.readiness import Readiness, readiness
from engine.core.errors import Problem
from engine.spec.objectives import Objective
from engine.studies.measured import points_measured
from engine.studies.tasks import is_private
from engine.tasks import outcomes, shelf
from engine.tasks.outcomes import Outcome
from store import runs, studies
from store.database import Store

ROUNDED = 1e-3  # scores are kept in half precision


@dataclass(frozen=True)
class Scored:
    """One metric of a task over the R finished runs of a study. roles [R]; values, errors (R,): NaN where a run has
    none."""

    objective: Objective
    ids: list[str]
    roles: list[str]
    values: np.ndarray
    errors: np.ndarray
    readiness: Readiness


def tasks_of(store: Store, study: studies.Study) -> list[str]:
    """The tasks that a study measures, and those of which samples were added to runs that were trained elsewhere."""
    own = [one.task for one in study.objectives if one.task]
    given = runs.ids(store, study.id) if study.elsewhere else runs.posted(store, study.id)
    kept = [path for run in given if (path := outcomes.file_of(store.workspace.root, run)).exists()]
    return list(dict.fromkeys([*own, *(task for path in kept for task in outcomes.tasks_in(path))]))


def task_name(title: str) -> str:
    """A harness' name of a task as that of a task here, letter by letter."""
    found: str = re.sub(r"[^A-Za-z0-9._-]", "-", title)[:64]
    return found


def harness_name(store: Store, task: str) -> str:
    """What a study's metrics call a task: its own name, or that in a harness where another task has it here."""
    try:
        title = shelf.load(store.workspace.root, task).title
    except Problem:  # damaged, or removed: its answers and scores are there all the same
        title = None
    return task if title is None else task_name(title)


def of_task(objective: Objective, task: str) -> bool:
    """Whether a metric is of a task: measured here, or imported from a harness' results on it."""
    if objective.task is not None or objective.domain is not None or objective.reference is not None:
        return objective.task == task
    title, end = objective.metric[: len(task)], objective.metric[len(task) :][:1]
    return end == " " and task_name(title) == task


def answered(store: Store, study: studies.Study, task: str) -> list[str]:
    """The ids of the finished runs whose answers to a task were kept."""
    root, found = store.workspace.root, []
    for run in points_measured(store, study.id).ids:
        path = outcomes.file_of(root, run)
        if path.exists() and task in outcomes.tasks_in(path):
            found.append(run)
    return found


def scored(store: Store, study: studies.Study, task: str) -> list[Scored]:
    """The metrics of a task over all finished runs, merges and mixtures alike."""
    measured = points_measured(store, study.id)
    errors = runs.standard_errors(store, study.id, len(study.objectives))
    ready = readiness(measured.weights, measured.losses)
    called, found = harness_name(store, task), []
    for place, one in enumerate(study.objectives):
        if of_task(one, called):
            own = np.array([errors[run][place] for run in measured.ids], float)
            found.append(Scored(one, measured.ids, measured.roles, measured.losses[:, place], own, ready[place]))
    return found


@dataclass(frozen=True)
class Answered:
    """An item of a task and what two runs answered. right: answers that count; scores: of each run's answer, NaN where
    the item did not fit the context."""

    prompt: str
    right: list[str]
    answers: tuple[str, str]
    scores: tuple[float, float]

    @property
    def change(self) -> int:
        """1 where the second run's answer scores higher, -1 where it scores lower, 0 where neither does."""
        one, other = self.scores
        return int(other - one > ROUNDED) - int(one - other > ROUNDED)


def side_by_side(store: Store, task: str, one: str, other: str) -> list[Answered]:
    """The items of a task with the answers of two runs. Raises Problem for a private task, and where answers lack."""
    whole = shelf.load(store.workspace.root, task)
    if is_private(store, whole):
        raise Problem(f"The items of {task!r} are private: none of their text is shown.")
    left, right = (outcome_of(store, run, task) for run in (one, other))
    if not len(whole.items) == len(left.scores) == len(right.scores):
        raise Problem(f"Cannot compare answers on {task!r}: the runs answered another number of items.")
    return [
        Answered(
            item.prompt,
            item.right,
            (left.answers[place], right.answers[place]),
            (float(left.scores[place]), float(right.scores[place])),
        )
        for place, item in enumerate(whole.items)
    ]


def unfit(store: Store, task: str, run: str) -> tuple[int, int]:
    """How many items of a task were left out, as they did not fit the context of a run's model, and how many lost the
    beginning of their prompt. Raises Problem where its answers lack."""
    found = outcome_of(store, run, task)
    return found.left_out, found.cut


def outcome_of(store: Store, run: str, task: str) -> Outcome:
    """What a run answered to a task. Raises Problem where that was not kept."""
    path = outcomes.file_of(store.workspace.root, run)
    if (found := outcomes.load(path).get(task) if path.exists() else None) is None:
        raise Problem(f"Cannot show the answers of {run!r} on {task!r}: they were not kept. Choose another run.")
    return found
