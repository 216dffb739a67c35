"""The background job "merge": build the merges of some points and measure every domain. Nothing is written to disk."""

import time

import numpy as np
import torch

from engine import windows
from engine.errors import Problem
from engine.jobs import Job, read_events
from engine.merging.study import anatomy_file
from engine.workspace import write_json


def run(job: Job) -> None:
    """Measure the runs of a spec: {"merge": engine.merging.study.MergeSpec, "names" [D], "base", "experts": {name:
    path}, "corpus", "domains" [M], "fidelity" or null, "runs": [G of {"id", "weights" [D], "seed"}], "device",
    "keep_windows": as in engine/train.py, of proxies' merges}.

    Emits runs.started and run.finished (bits per byte). Runs that an earlier attempt finished are not measured again.
    A merge whose loss is no number is told as run.diverged. Raises Stopped, and Problem for a bad spec.
    """
    spec = job.spec
    if spec.get("device") != "cuda":
        torch.set_num_threads(1)  # worker processes run side by side
    over = {event["run"] for event in read_events(job.folder) if event["kind"] in ("run.finished", "run.diverged")}
    left = [run for run in spec["runs"] if run["id"] not in over]
    if not left:
        return
    merges = merges_of(job)
    describe(job, merges)
    job.emit("runs.started", runs=[run["id"] for run in left], device=merges.device, parameters=merges.parameters)
    for start in range(0, len(left), merges.at_once):
        group = left[start : start + merges.at_once]
        job.progress(len(over) + start, len(spec["runs"]), f"measuring merges: {start} of {len(left)}")
        measure(job, merges, group)
    job.progress(len(spec["runs"]), len(spec["runs"]), "done")


def describe(job: Job, merges) -> None:
    """Keep which expert moved which layer where the page finds it (engine.merging.study.anatomy_file)."""
    path = job.workspace / anatomy_file(job.spec["study"])
    if not path.exists():
        write_json(path, {"experts": list(job.spec["experts"]), **merges.anatomy()})


def merges_of(job: Job):
    """The base and experts of a spec, ready to be merged and measured: proxies', or language models'."""
    spec = job.spec
    if len(spec["names"]) != len(set(spec["names"])):
        raise Problem(f"Cannot merge: the coordinates {spec['names']} are not all different. Submit the study again.")
    if spec["fidelity"] is None:
        from engine.merging.language_models import ModelMerges

        return ModelMerges(spec, job.workspace, spec.get("device", "auto"))
    from engine.merging.proxies import ProxyMerges

    return ProxyMerges(spec, job.workspace, spec.get("device", "auto"))


def measure(job: Job, merges, group: list[dict]) -> np.ndarray:
    """Measure runs, tell each, and return their losses (G, M)."""
    began, cpu = time.monotonic(), time.process_time()
    losses, errors = merges.measure(np.array([run["weights"] for run in group], float))
    if job.spec.get("keep_windows") and job.spec["fidelity"] is not None:
        fidelity = merges.fidelity
        for run, bits in zip(group, merges.windows(), strict=True):
            path = windows.file_of(job.workspace, run["id"])
            windows.save(path, fidelity.context, fidelity.eval_tokens, bits)
    seconds, cpu = (time.monotonic() - began) / len(group), (time.process_time() - cpu) / len(group)
    domains = job.spec["domains"]
    for run, loss, error in zip(group, losses, errors, strict=True):
        if not np.isfinite(loss).all():
            job.emit("run.diverged", run=run["id"], step=0)
            continue
        job.emit(
            "run.finished", run=run["id"], losses=dict(zip(domains, loss.tolist(), strict=True)),
            losses_se=dict(zip(domains, error.tolist(), strict=True)), tokens=None, shares=None, seconds=seconds,
            cpu_seconds=cpu, device=merges.device, parameters=merges.parameters,
        )  # fmt: skip
    return losses
