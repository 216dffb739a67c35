"""Items of a study's tasks that stand in its training text: counted, left out, and what is left of a gain without them.

Uses the store.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from engine.core.errors import Problem
from engine.core.people import need
from engine.metrics import ItemMetric, item_metrics
from engine.metrics.choices import guessed
from engine.metrics.items import valued
from engine.spec.kinds.overlap import OverlapTask, TaskOverlap
from engine.spec.merge import REFERENCE
from engine.spec.objectives import Objective
from engine.spec.statistics import ci_half_width, first_lowest
from engine.spec.study import StudySpec
from engine.studies import task_scores, tasks
from engine.studies.questions import Asked, ask_once
from engine.studies.task_scores import Scored, outcome_of
from engine.tasks import shelf
from engine.tasks.task import EvalTask
from store import corpora, results, studies
from store.database import Store

FEWEST_LEFT = 20  # items below which resampling them tells too little
LATER = 1.0  # priority of the count: after the runs
HOLDS, VANISHES, UNSURE, NONE = "holds", "vanishes", "cannot tell", "no gain"


def overlap_jobs(spec: StudySpec, study: str, domains: list[str]) -> list[dict]:
    """The job {"job", "spec"} that counts; none where nothing is to be counted: without tasks, and for models that were
    trained elsewhere, on text that is not here."""
    if not spec.tasks or spec.corpus is None or (spec.merge is not None and spec.merge.external):
        return []
    task = OverlapTask(study=study, corpus=spec.corpus, domains=domains, tasks=list(spec.tasks))
    return [{"job": f"{study}-overlap", "spec": task.spec(priority=LATER)}]


def queue_overlap(store: Store, study: studies.Study) -> Asked:
    """Queue the count of a study's items; the same request is one job. Raises Problem where nothing can be counted."""
    need("operator", "count items in training text")
    if not study.corpus:
        raise Problem(f"Cannot count items of {study.name!r}: its corpus is not known yet. {study.way_on}")
    spec = StudySpec.from_dict(study.spec)
    if not (made := overlap_jobs(spec, study.id, list(study.corpus["domains"]))):
        why = "its models were trained elsewhere, on text that is not here" if spec.tasks else "it measures no task"
        raise Problem(f"Cannot count items of {study.name!r}: {why}.")
    return ask_once(store, made[0]["job"], made[0]["spec"], study.id)


def counted(store: Store, study: studies.Study) -> dict[str, TaskOverlap]:
    """What was counted of each task of a study, by name; empty before."""
    found = results.overlaps(store, study.id)
    rows = found[0]["found"]["tasks"] if found else {}
    return {name: TaskOverlap.read(row, f"what was counted of {name!r}") for name, row in rows.items()}


def corpus_is_private(store: Store, study: studies.Study) -> bool:
    """Whether the text that items were looked for in is private now."""
    return corpora.is_private(store, study.spec["corpus"])


def kept_of(task: EvalTask, found: TaskOverlap) -> np.ndarray:
    """(I,) the items that stand in no domain. Raises Problem where the task has other items now."""
    if len(task.items) != found.items:
        raise Problem(
            f"Cannot leave items out of {task.name!r}: {found.items} were looked for, and it has {len(task.items)} now."
        )
    kept = np.ones(found.items, bool)
    kept[found.standing] = False
    return kept


def metric_of(task: EvalTask, objective: Objective) -> ItemMetric:
    """The metric of a task that an objective stands for."""
    return next(one for one in item_metrics(task) if one.label(task.name) == objective.metric)


def without(store: Store, task: EvalTask, scored: Scored, found: TaskOverlap) -> tuple[np.ndarray, np.ndarray]:
    """The values and errors (R,) of a metric over runs without the items that stand in training text; NaN for a run
    whose items were not kept, and where fewer than two are left."""
    metric, kept = metric_of(task, scored.objective), kept_of(task, found)
    values, errors = np.full((2, len(scored.ids)), np.nan)
    for place, run in enumerate(scored.ids):
        try:
            own = items_of(store, run, task, metric)
        except Problem:
            continue
        if (fits := kept & np.isfinite(own[0]).reshape(len(kept), -1).all(1)).sum() >= 2:
            (values[place],), (errors[place],) = valued(metric, own, fits, task)
    return values, errors


def items_of(store: Store, run: str, task: EvalTask, metric: ItemMetric) -> np.ndarray:
    """(1, I) or (1, I, K) what a run's value is made of. Raises Problem where that was not kept."""
    found = outcome_of(store, run, task.name).items.get(metric.name)
    if found is None or len(found) != len(task.items):
        raise Problem(
            f"Cannot leave items out of the {metric.title} of {run!r}: an earlier version measured it, and did not "
            "keep its items. Measure it again."
        )
    own = found[None]
    return own[..., 0] if own.shape[-1] == 1 else own


@dataclass(frozen=True)
class Gain:
    """How much better one run is than a reference on a task, better being positive, with standard errors over items.

    whole, error: on all items; left, left_error: without those that stand in training text; items, left_items: of
    how many.
    """

    run: str
    reference: str
    whole: float
    error: float
    left: float
    left_error: float
    items: int
    left_items: int

    @property
    def verdict(self) -> str:
        """NONE where all items show no gain beyond their noise; else HOLDS where the others show it too, VANISHES where
        they show none and less than all did, UNSURE where too few are left to tell."""
        if not self.whole - ci_half_width(self.error) > 0:
            return NONE
        if self.left_items < FEWEST_LEFT:
            return UNSURE
        if self.left - ci_half_width(self.left_error) > 0:
            return HOLDS
        return VANISHES if self.left + ci_half_width(self.left_error) < self.whole else UNSURE


def gain(store: Store, task: EvalTask, objective: Objective, found: TaskOverlap, run: str, reference: str) -> Gain:
    """What is left of a run's gain over another without the items that stand in training text.

    Raises Problem where a run's items were not kept, or fewer than two are left.
    """
    metric, kept = metric_of(task, objective), kept_of(task, found)
    own = np.concatenate([items_of(store, one, task, metric) for one in (reference, run)])
    fits = np.isfinite(own).reshape(2, len(kept), -1).all((0, 2))
    if (fits & kept).sum() < 2:
        raise Problem(
            f"Cannot tell what is left of a gain on {task.name!r}: {(fits & kept).sum()} of its {fits.sum()} items "
            "stand in no training text. Use another task."
        )
    sign, told = (1 if objective.higher_is_better else -1), []
    for rows in (fits, fits & kept):
        values, errors = valued(metric, own, rows, task, gap=True)
        told += [sign * float(values[1]), float(errors[1])]
    return Gain(run, reference, *told, items=int(fits.sum()), left_items=int((fits & kept).sum()))


def best_gain(store: Store, task: EvalTask, scored: Scored, found: TaskOverlap) -> Gain | None:
    """That of the best run on a metric over the first baseline; None where either is missing, or both are one."""
    known = np.flatnonzero(np.isfinite(scored.values))
    baselines = [place for place in known if scored.roles[place] in ("baseline", REFERENCE)]
    if not baselines or len(known) < 2:
        return None
    sign = -1 if scored.objective.higher_is_better else 1
    best = known[first_lowest(sign * scored.values[known])]
    if best == baselines[0]:
        return None
    return gain(store, task, scored.objective, found, scored.ids[best], scored.ids[baselines[0]])


def vanishing(store: Store, study: studies.Study) -> dict[str, Gain]:
    """By metric, gains of the best run over the first baseline that vanish without items in training text; worked out
    once for the same runs."""

    def found() -> dict[str, Gain]:
        made = {}
        for name, there in counted(store, study).items():
            for one in task_scores.scored(store, study, name) if there.standing else ():
                with suppress(Problem):  # a task that is gone, or answers that were not kept: *Tasks* says so
                    own = best_gain(store, shelf.load(store.workspace.root, name), one, there)
                    if own is not None and own.verdict == VANISHES:
                        made[one.objective.metric] = own
        return made

    return store.remembered(("vanishing", study.id), found)


def cleaned(store: Store, study: studies.Study, name: str, new_name: str) -> EvalTask:
    """Add a task of the items that stand in none of a study's training text. Raises Problem before they were counted,
    and where fewer than two are left."""
    need("operator", "add a task")
    task, found = shelf.load(store.workspace.root, name), counted(store, study).get(name)
    if found is None:
        raise Problem(f"Cannot leave items out of {name!r}: none was looked for in {study.name!r} yet. Count them.")
    kept = kept_of(task, found)
    corpus = study.spec["corpus"]
    source = f"{task.source}; without {int((~kept).sum())} items that stand in the training text of {corpus}"
    made = replace(
        task,
        name=new_name,
        items=[item for item, there in zip(task.items, kept, strict=True) if there],
        source=source,
        private=tasks.is_private(store, task) or corpus_is_private(store, study),
    )
    if task.low is not None and task.low == guessed_or_none(task):
        made = replace(made, low=guessed_or_none(made))
    return tasks.add(store, made)


def guessed_or_none(task: EvalTask) -> float | None:
    """What guessing scores where all items have choices; None where one has none."""
    return guessed(task) if task.items and all(item.choices for item in task.items) else None
