"""The background job "merge_ablation": how many experts pay, and which modules of a merge harm.

G merges, K experts, W windows of validation text.
"""

import itertools
import math
import re
import time
from collections.abc import Iterator

import numpy as np
import torch

from engine.core.checks import or_null
from engine.jobs.spool import Job
from engine.merging.measuring.job import merges_of
from engine.spec.kinds.merge_ablation import Ablation, MergeAblated, MergeAblationTask
from engine.spec.merge import AT, MergeSpec

MODULE = re.compile(r"^.*?\.\d+\.[^.]+")  # "model.layers.3.mlp" of "model.layers.3.mlp.up.weight"
Nats = dict[str, tuple[np.ndarray, np.ndarray]]  # by domain: nats of each window (W,), and its bytes (W,)


def run(job: Job) -> None:
    """Run a MergeAblationTask, and emit `merge.ablated`. A killed attempt starts again: it takes seconds for proxies,
    and for language models one evaluation for each set and module. Raises Stopped, and Problem for an invalid task."""
    task = job.task(MergeAblationTask)
    asked, began = task.ablation, time.monotonic()
    if task.device != "cuda":
        torch.set_num_threads(1)
    merges = merges_of(task, job.workspace)
    sets = subsets_of(list(task.experts), asked.subsets, asked.seed)
    modules = modules_of(merges.tensors)
    total = len(sets) + 1 + len(modules)
    found = subsets_measured(job, merges, sets, asked, total)
    nats = without_each(job, merges, asked, list(modules.values()), (len(sets), total))
    whole = next(nats)
    out = [{"module": name, **rise_of(whole, own)} for name, own in zip(modules, nats, strict=True)]
    result = {"subsets": found, "modules": out, "seconds": time.monotonic() - began}
    job.emit(MergeAblated(study=task.study, settings=asked.to_dict(), found=result))
    job.progress(total, total, "done")


def subsets_of(experts: list[str], most: int, seed: int) -> list[tuple[str, ...]]:
    """At most `most` sets of experts of each size, drawn without repetition; all where there are no more."""
    rng, found = np.random.default_rng(seed), []
    for size in range(1, len(experts) + 1):
        if math.comb(len(experts), size) <= most:
            found += list(itertools.combinations(experts, size))
            continue
        drawn: dict[tuple[int, ...], None] = {}
        while len(drawn) < most:
            drawn[tuple(sorted(rng.choice(len(experts), size, replace=False).tolist()))] = None
        found += [tuple(experts[place] for place in one) for one in drawn]
    return found


def modules_of(tensors: list[str]) -> dict[str, list[str]]:
    """Tensors by module: of each layer its attention, its MLP and so on; elsewhere each tensor's own."""
    found: dict[str, list[str]] = {}
    for name in tensors:
        layer = MODULE.search(name)
        found.setdefault(layer[0] if layer else re.sub(r"\.(weight|bias)$", "", name), []).append(name)
    return found


def subsets_measured(job: Job, merges, sets: list[tuple[str, ...]], asked: Ablation, total: int) -> list[dict]:
    """Each set of experts with the losses of its merge, null where the method refuses it."""
    found = []
    for start in range(0, len(sets), merges.batch_size):
        job.progress(start, total, f"merges of fewer experts: {start} of {len(sets)}")
        group = sets[start : start + merges.batch_size]
        points = [point_of(merges.merge, merges.names, one, asked) for one in group]
        for one, losses, errors in zip(group, *merges.measure(np.array(points)), strict=True):
            found.append({"experts": list(one), "losses": or_null(losses), "losses_se": or_null(errors)})
    return found


def point_of(merge: MergeSpec, names: list[str], experts: tuple[str, ...], asked: Ablation) -> list[float]:
    """The point (D,) of these experts at equal coefficients, in every layer; parameters as at the point asked for."""
    own = asked.total / len(experts)
    return [
        value if name in merge.tuned else own * (name.partition(AT)[0] in experts)
        for name, value in zip(names, asked.at, strict=True)
    ]


def without_each(job: Job, merges, asked: Ablation, modules: list[list[str]], place: tuple[int, int]) -> Iterator[Nats]:
    """The nats of the whole merge, then of it without each module's change. Raises Stopped, and Problem if the method
    refuses the merge."""
    done, total = place
    for n, one in enumerate(merges.without(np.array(asked.at), modules)):
        job.progress(done + n, total, f"modules taken out: {n} of {len(modules)}")
        yield one


def rise_of(whole: Nats, own: Nats) -> dict[str, list[float]]:
    """How much higher the losses are, in bits per byte, by domain, and the standard errors of these differences: of a
    ratio of sums over windows, each compared with the same window of the whole merge."""
    rise, errors = [], []
    for domain, (nats, size) in whole.items():
        gap = (own[domain][0] - nats) / np.log(2)  # bits, (W,)
        ratio = gap.sum() / size.sum()
        spread = np.square(gap - ratio * size).sum() * len(gap) / max(1, len(gap) - 1)
        rise.append(float(ratio))
        errors.append(float(np.sqrt(spread) / size.sum()))
    return {"rise": rise, "rise_se": errors}
