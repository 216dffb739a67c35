"""The background jobs about checkpoints: "preflight" before anything is merged, "merge_write" for the chosen merge."""

from pathlib import Path

import yaml

from engine.core.errors import Problem
from engine.core.files import write_json
from engine.core.workspace import within
from engine.jobs.spool import Job
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from engine.spec.merge_point import references


def check(job: Job) -> None:
    """Look at all models of a study before a byte is merged: spec {"study", "base", "experts": {name: path}}.

    Keeps what is known in experts/<study>/preflight.json. Raises Problem with every refusal.
    """
    paths = references(job.workspace, job.spec)
    told = {
        "merge_method": "task_arithmetic",
        "base_model": paths[0],
        "dtype": "float32",
        "models": [{"model": path, "parameters": {"weight": 0.3}} for path in paths[1:]],
    }
    out = job.workspace / "exports"
    out.mkdir(exist_ok=True)
    found = preflight(from_dict(told, Path("/")), out / "merged", job.progress)
    report = within(job.workspace / "experts", f"{job.spec['study']}/preflight.json")
    report.parent.mkdir(parents=True, exist_ok=True)
    write_json(report, found.to_dict())
    if found.refusals:
        raise Problem(" ".join(found.refusals))
    for sentence in found.warnings[:1]:
        job.emit("job.note", text=sentence)


def write(job: Job) -> None:
    """Write a merge as a checkpoint: spec {"file": a merge file's text, "out": its place in the workspace's exports/}.

    Written atomically. Emits merge.written with what was written. Raises Problem where it cannot be merged.
    """
    out = within(job.workspace / "exports", job.spec["out"])
    out.parent.mkdir(parents=True, exist_ok=True)
    config = from_dict(yaml.safe_load(job.spec["file"]), Path("/"))
    found = merge(config, out, job.progress)
    job.emit("job.note", text=f"Written to {out}: {found['tensors']:,} tensors, {found['bytes'] / 1e6:,.1f} MB.")
