"""The background jobs about checkpoints: "preflight" before anything is merged, "merge_write" for the chosen merge."""

from pathlib import Path

from engine.core.errors import Problem
from engine.core.files import write_json
from engine.core.workspace import within
from engine.jobs.events import JobNote
from engine.jobs.spool import Job
from engine.merging.config import from_dict, from_text
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from engine.metrics.evaluators import try_evaluators
from engine.spec.kinds.merge_write import MergeWriteTask
from engine.spec.kinds.preflight import PreflightTask
from engine.spec.merge_point import references


def check(job: Job) -> None:
    """Run a PreflightTask: check all models of a study, and its evaluators on the base, before anything is merged.

    Raises Problem with every refusal.
    """
    task = job.task(PreflightTask)
    paths = references(job.workspace, task)
    result = {
        "merge_method": "task_arithmetic",
        "base_model": paths[0],
        "dtype": "float32",
        "models": [{"model": path, "parameters": {"weight": 0.3}} for path in paths[1:]],
    }
    out = job.workspace / "exports"
    out.mkdir(exist_ok=True)
    found = preflight(from_dict(result, Path("/")), out / "merged", job.progress)
    report = within(job.workspace / "experts", f"{task.study}/preflight.json")
    report.parent.mkdir(parents=True, exist_ok=True)
    write_json(report, found.to_dict())
    if found.refusals:
        raise Problem(" ".join(found.refusals))
    try_evaluators(task.evaluators, job.workspace, Path(paths[0]), job.beat)
    if found.warnings:
        job.emit(JobNote(" ".join(found.warnings)))


def write(job: Job) -> None:
    """Run a MergeWriteTask: write a merge as a checkpoint, atomically, and say what the preflight warns of.

    Raises Problem with every refusal.
    """
    task = job.task(MergeWriteTask)
    out = within(job.workspace / "exports", task.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    config = from_text(task.file)
    checked = preflight(config, out, job.progress)
    if checked.refusals:
        raise Problem(" ".join(checked.refusals))
    found = merge(config, out, job.progress)
    message = f"Written to {out}: {found['tensors']:,} tensors, {found['bytes'] / 1e6:,.1f} MB."
    job.emit(JobNote(" ".join([message, *checked.warnings])))
