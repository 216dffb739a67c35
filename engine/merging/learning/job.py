"""The background job "merge_learn": learn a merge from training text, measure it, and save it."""

import importlib
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from engine.core.checks import or_null
from engine.core.workspace import within
from engine.jobs.events import RunsMeasured
from engine.jobs.runs import MeasuredRun, run_id
from engine.jobs.spool import Job
from engine.merging.learning.base import Family, Learned, Run
from engine.merging.learning.descent import FILE
from engine.merging.learning.proxies import write_tensors
from engine.merging.measuring.job import check_answered, why_missing
from engine.spec.kinds.merge_learn import Learning, MergeLearned, MergeLearnTask
from engine.spec.merge import MergeSpec, block_of
from engine.spec.merge_learners import Learner, learner_of
from engine.spec.tasks import Merging

MOST_LISTED = 10_000  # most coefficients in a result


def run(job: Job) -> None:
    """Run a MergeLearnTask: learn on training text only, and measure the result on validation text.

    Emits `runs.measured` if the result is a point of the study, and `merge.learned`. Descents resume from their
    checkpoint after a kill; all else starts from scratch. Raises Stopped, Problem.
    """
    task = job.task(MergeLearnTask)
    asked = task.learn
    learner, began, cpu = learner_of(asked.method), time.monotonic(), time.process_time()
    if task.device != "cuda":
        torch.set_num_threads(1)
    family = family_of(task, job.workspace)
    check_answered(job, family)
    knobs = dict(asked.knobs)
    attempt = Run(job.progress, job.folder, knobs.pop("seed", 0), tuple(asked.weight))
    family.seed = attempt.seed
    found = function_of(learner)(family, attempt, **learner.fixed, **knobs, **large_of(learner, asked))
    point = None if found.coefficients is None else point_of(task, family, found.coefficients)
    if point is None and found.coefficients is not None:
        found = replace(found, weights=family.combined(found.coefficients))
    losses, errors = measured(family, found, job.progress)
    file = None if point is not None else save_result(job, task, family, learner, found)
    settings = {
        "method": asked.method,
        "losses": or_null(losses),
        "losses_se": or_null(errors),
        "file": file,
        "run": None,
        "coefficients": coefficient_lists(found),
        "seconds": time.monotonic() - began,
        "note": found.note,
        "device": family.device,
    }
    if point is not None:
        settings["run"] = run_id(task.study, task.first)
        spent = settings["seconds"], time.process_time() - cpu
        emit_run(job, task, family, settings, point, spent)
    job.emit(MergeLearned(study=task.study, settings=asked.to_dict(), found=settings))
    (job.folder / FILE).unlink(missing_ok=True)
    job.progress(1, 1, "done")


def family_of(task: Merging, workspace: Path) -> Family:
    """The base and experts of a task: proxies, or language models."""
    if task.fidelity is None:
        from engine.merging.learning.llms import ModelFamily

        return ModelFamily(task, workspace, task.device)
    from engine.merging.learning.proxies import ProxyFamily

    return ProxyFamily(task, workspace, task.device)


def function_of(learner: Learner):
    """The function that learns."""
    module, function = learner.at.split(":")
    return getattr(importlib.import_module(f"engine.merging.learning.{module}"), function)


def large_of(learner: Learner, asked: Learning) -> dict:
    return {"large": asked.large} if learner.large else {}


def point_of(task: Merging, family: Family, coefficients: dict) -> np.ndarray | None:
    """These coefficients as a point (D,) of the study; None if it has none: it uses another method than plain task
    arithmetic, or coarser coordinates."""
    merge = MergeSpec.from_dict(task.merge)
    plain = merge.method == "task_arithmetic" and not merge.tuned and not merge.knobs
    grain = {""} if merge.by == "model" else {"", *(block_of(name) for name in family.base)}
    if not plain or not set(coefficients) <= grain:
        return None
    found = []
    for name in task.names:
        expert, _, block = name.partition(" @ ")
        own = coefficients[""] if "" in coefficients else coefficients[block]
        found.append(float(own[family.experts.index(expert)]))
    return np.array(found)


def measured(family: Family, found: Learned, progress) -> tuple[np.ndarray, np.ndarray]:
    """Losses (M,) and standard errors (M,) of the result."""
    if found.predict is not None:
        return family.measure(found.predict, progress)
    weights = found.weights if found.weights is not None else family.combined(found.coefficients)
    return family.measure(lambda tokens: family.logits(weights, tokens), progress)


def save_result(job: Job, task: MergeLearnTask, family: Family, learner: Learner, found: Learned) -> str | None:
    """Write the result into exports/; returns its path there. The path is this job's alone, so leftovers of a killed
    attempt are overwritten."""
    if found.weights is None and found.tensors is None:
        return None
    bare = found.weights is None or task.fidelity is not None
    out = within(job.workspace / "exports", task.out + (".safetensors" if bare else ""))
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        shutil.rmtree(out) if out.is_dir() else out.unlink()
    if found.weights is None:
        write_tensors(found.tensors, out)
    else:
        family.write(found.weights, out, card(task, learner, found))
    return out.name


def card(task: MergeLearnTask, learner: Learner, found: Learned) -> str:
    """The model card: models, method and text."""
    asked = task.learn
    knobs = ", ".join(f"{name} {value:g}" for name, value in asked.knobs.items())
    lines = ["---", "tags: [merge, mixdesk]", "---", "", "# A merge learned from text", ""]
    lines += [f"Method: {learner.title} (`{asked.method}`, {learner.paper}); {knobs}.", ""]
    lines += [f"Base: `{Path(task.base).name}`. Experts:", ""]
    weights = asked.weight if learner.weighs else [None] * len(task.experts)
    for (name, path), weight in zip(task.experts.items(), weights, strict=True):
        lines.append(f"- {name}: `{Path(path).name}`" + ("" if weight is None else f", coefficient {weight:g}"))
    text = f"Text: training text of {', '.join(task.domains)}, of the corpus {task.corpus}."
    lines += ["", text, found.note, ""]
    return "\n".join(lines)


def coefficient_lists(found: Learned) -> dict | None:
    """Learned coefficients as lists, if there are any and not too many."""
    values = found.coefficients or {}
    if not values or sum(value.numel() for value in values.values()) > MOST_LISTED:
        return None
    return {key: value.tolist() for key, value in values.items()}


def emit_run(
    job: Job, task: MergeLearnTask, family: Family, settings: dict, point: np.ndarray, spent: tuple[float, float]
) -> None:
    """Emit the point as a measured run of the study."""
    size = sum(value.numel() for value in family.base.values())
    row = MeasuredRun(
        id=settings["run"],
        number=task.first,
        role="learned",
        label=settings["method"],
        weights=point.tolist(),
        seed=task.learn.knobs.get("seed", 0),
        losses=settings["losses"],
        losses_se=settings["losses_se"],
        missing=why_missing(family.measures, np.array(settings["losses"], float), family.missing),
        seconds=spent[0],
        cpu_seconds=spent[1],
        device=family.device,
        parameters=size,
    )
    job.emit(RunsMeasured(task.study, [row]))
