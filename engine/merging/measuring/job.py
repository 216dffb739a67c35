"""The background job "merge": build the merges of some points and measure every domain. Nothing is written to disk."""

import itertools
import time
from pathlib import Path

import numpy as np
import torch

from engine.core.checks import or_null
from engine.core.errors import Problem
from engine.core.files import write_json
from engine.corpus import windows
from engine.jobs.events import OVER, JobNote, RunDiverged, RunFinished, RunRefused, RunsStarted
from engine.jobs.journal import read_events
from engine.jobs.spool import Job
from engine.metrics import check_tasks
from engine.spec.kinds.merge import MergeRun, MergeTask
from engine.spec.merge import MergeSpec, anatomy_file
from engine.spec.tasks import Merging
from engine.tasks import outcomes


def run(job: Job) -> None:
    """Run a MergeTask: measure its runs (bits per byte), skipping those that an earlier attempt finished.

    Emits run.refused for a merge that its method refuses, and run.diverged if its loss is not a number. Raises
    Stopped, and Problem if the task is invalid.
    """
    task = job.task(MergeTask)
    if task.device != "cuda":
        torch.set_num_threads(1)  # worker processes run side by side
    ended = list(read_events(job.folder, *OVER))
    over = {event.run for event in ended}
    refused = [event.message for event in ended if isinstance(event, RunRefused)]
    if left := [run for run in task.runs if run.id not in over]:
        refused += measure_all(job, task, left)
    said = f"; {len(refused)} refused: {refused[0]}" if refused else ""
    job.progress(len(task.runs), len(task.runs), f"done{said}")


def measure_all(job: Job, task: MergeTask, left: list[MergeRun]) -> list[str]:
    """Measure these runs of the task, the others having ended; returns why merges were refused."""
    merges, over = merges_of(task, job), len(task.runs) - len(left)
    describe(job.workspace, task, merges)
    job.emit(RunsStarted([run.id for run in left], merges.device, merges.parameters))
    refused: list[str] = []
    done = 0
    for group in batches(left, merges.batch_size):
        job.progress(over + done, len(task.runs), f"measuring merges: {done} of {len(left)}")
        merges.set_method(MergeSpec.from_dict(group[0].merge or task.merge), group[0].names or task.names)
        measure(job, task, merges, group)
        refused += merges.refused.values()
        done += len(group)
    return refused


def batches(runs: list[MergeRun], size: int) -> list[list[MergeRun]]:
    """Batches of consecutive runs by the same method, of at most `size`."""
    groups = [list(group) for _, group in itertools.groupby(runs, lambda run: run.merge)]
    return [group[start : start + size] for group in groups for start in range(0, len(group), size)]


def describe(workspace: Path, task: Merging, merges) -> None:
    """Save which expert moved which layer, for the page (engine.spec.merge.anatomy_file)."""
    path = workspace / anatomy_file(task.study)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"experts": list(task.experts), **merges.anatomy()})


def merges_of(task: Merging, job: Job):
    """The base and experts of a job's task, loaded for merging and measuring: proxies, or language models."""
    if len(task.names) != len(set(task.names)):
        raise Problem(f"Cannot merge: the coordinates {task.names} are not all different. Submit the study again.")
    if task.fidelity is None:
        from engine.merging.measuring.language_models import ModelMerges

        found = ModelMerges(task, job.workspace, task.device, job.beat)
    else:
        from engine.merging.measuring.proxies import ProxyMerges

        found = ProxyMerges(task, job.workspace, task.device)
    check_answered(job, found)
    return found


def check_answered(job: Job, asked) -> None:
    """Note what is odd about the tasks of merges. Raises Problem before anything is measured where one of them cannot
    be: its items do not fit the context, or its verifier fails."""
    for note in check_tasks(asked.tasks, asked.reader, job.workspace, job.beat):
        job.emit(JobNote(note))


def why_missing(names: list[str], loss: np.ndarray, missing: dict[str, str]) -> str | None:
    """Why some metrics (names) of a merge have no value; None where all have one, and where one has none for no reason
    that is known: the merge itself diverged."""
    known = [place for place, name in enumerate(names) if name not in missing]
    return " ".join(dict.fromkeys(missing.values())) or None if np.isfinite(loss[known]).all() else None


def measure(job: Job, task: MergeTask, merges, group: list[MergeRun]) -> np.ndarray:
    """Measure runs, emit each result, and return their losses (G, M)."""
    began, cpu = time.monotonic(), time.process_time()
    losses, errors = merges.measure(np.array([run.weights for run in group], float))
    if task.keep_windows and task.fidelity is not None:
        fidelity = merges.fidelity
        for run, bits in zip(group, merges.windows(), strict=True):
            path = windows.file_of(job.workspace, run.id)
            windows.save(path, fidelity.context, fidelity.eval_tokens, bits)
    for run, found in zip(group, merges.outcomes, strict=True):
        if found:
            outcomes.save(outcomes.file_of(job.workspace, run.id), found)
    seconds, cpu = (time.monotonic() - began) / len(group), (time.process_time() - cpu) / len(group)
    names = merges.measures
    for place, (run, loss, error) in enumerate(zip(group, losses, errors, strict=True)):
        message, there = why_missing(names, loss, merges.missing[place]), np.isfinite(loss)
        if not there.all() and message is None:
            refusal = merges.refused.get(place)
            job.emit(RunRefused(run.id, refusal) if refusal else RunDiverged(run.id, step=None))
            continue
        finished = RunFinished(
            run=run.id,
            losses={name: value for name, value in zip(names, loss.tolist(), strict=True) if np.isfinite(value)},
            losses_se=dict(zip(names, or_null(error), strict=True)),
            tokens=None,
            shares=None,
            seconds=seconds,
            cpu_seconds=cpu,
            device=merges.device,
            parameters=merges.parameters,
            message=message,
        )
        job.emit(finished)
    return losses
