"""The background job "merge": build the merges of some points and measure every domain. Nothing is written to disk."""

import itertools
import time

import numpy as np
import torch

from engine.core.errors import Problem
from engine.core.files import write_json
from engine.corpus import windows
from engine.jobs.spool import Job, read_events
from engine.spec.merge import MergeSpec, anatomy_file


def run(job: Job) -> None:
    """Measure the runs of a spec: {"merge": engine.spec.merge.MergeSpec, "names" [D], "base", "experts": {name:
    path}, "corpus", "domains" [M], "fidelity" or null, "runs": [G of {"id", "weights" [D], "seed"}, and "merge" and
    "names" where it is no merge of the study's own method], "device", "keep_windows": as in engine/proxies/train.py, of
    proxies' merges}.

    Emits runs.started and run.finished (bits per byte). Runs that an earlier attempt finished are not measured again.
    A merge that its method refuses, or whose loss is no number, is told as run.diverged. Raises Stopped, and Problem
    for a bad spec, or where every merge is refused.
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
    refused, done = [], 0
    for group in batches(left, merges.at_once):
        job.progress(len(over) + done, len(spec["runs"]), f"measuring merges: {done} of {len(left)}")
        merges.turn(MergeSpec.from_dict(group[0].get("merge", spec["merge"])), group[0].get("names", spec["names"]))
        measure(job, merges, group)
        refused += merges.refused.values()
        done += len(group)
    if len(refused) == len(spec["runs"]):
        raise Problem(refused[0])
    said = f"; {len(refused)} that the method refuses: {refused[0]}" if refused else ""
    job.progress(len(spec["runs"]), len(spec["runs"]), f"done{said}")


def batches(runs: list[dict], size: int) -> list[list[dict]]:
    """Neighbouring runs by the same method, at most so many at once."""
    groups = [list(group) for _, group in itertools.groupby(runs, lambda run: run.get("merge"))]
    return [group[start : start + size] for group in groups for start in range(0, len(group), size)]


def describe(job: Job, merges) -> None:
    """Keep which expert moved which layer where the page finds it (engine.spec.merge.anatomy_file)."""
    path = job.workspace / anatomy_file(job.spec["study"])
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"experts": list(job.spec["experts"]), **merges.anatomy()})


def merges_of(job: Job):
    """The base and experts of a spec, ready to be merged and measured: proxies', or language models'."""
    spec = job.spec
    if len(spec["names"]) != len(set(spec["names"])):
        raise Problem(f"Cannot merge: the coordinates {spec['names']} are not all different. Submit the study again.")
    if spec["fidelity"] is None:
        from engine.merging.measuring.language_models import ModelMerges

        return ModelMerges(spec, job.workspace, spec.get("device", "auto"))
    from engine.merging.measuring.proxies import ProxyMerges

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
    for place, (run, loss, error) in enumerate(zip(group, losses, errors, strict=True)):
        if not np.isfinite(loss).all():
            job.emit("run.diverged", run=run["id"], step=0, message=merges.refused.get(place))
            continue
        job.emit(
            "run.finished",
            run=run["id"],
            losses=dict(zip(domains, loss.tolist(), strict=True)),
            losses_se=dict(zip(domains, error.tolist(), strict=True)),
            tokens=None,
            shares=None,
            seconds=seconds,
            cpu_seconds=cpu,
            device=merges.device,
            parameters=merges.parameters,
        )
    return losses
