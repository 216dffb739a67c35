"""Which device torch computes on here, and how many proxies should fit in its memory."""

import os

import torch

from engine.core.errors import Problem
from engine.jobs.events import JobNote
from engine.jobs.runs import TaskRun
from engine.jobs.spool import Job
from engine.spec.compute import members_that_fit
from engine.spec.fidelity import Fidelity


def sized_to_card(
    job: Job, fidelity: Fidelity, vocabulary: int, runs: list[TaskRun], device: str
) -> list[list[TaskRun]]:
    """The runs in groups that should fit in the card's memory, or the leased part of it; notes it if they are split."""
    if device != "cuda":
        return [runs]
    total = torch.cuda.get_device_properties(0).total_memory
    leased = int(os.environ.get("MIXDESK_GPU_MEMORY_MB", 0)) << 20 or total
    if leased < total:  # jobs that share the card keep their leased memory
        torch.cuda.set_per_process_memory_fraction(leased / total)
    size = members_that_fit(fidelity, vocabulary, min(leased, total) >> 20)
    if size < len(runs):
        job.emit(JobNote(f"{len(runs)} proxies at once need more than the GPU's memory: {size} at a time."))
    return parted(runs, size)


def parted(runs: list[TaskRun], size: int) -> list[list[TaskRun]]:
    """The runs in groups of at most `size`, each branch in its trunk's, which is larger where they are more."""
    groups: list[list[TaskRun]] = []
    for trunk in (run for run in runs if run.trunk is None):
        own = [trunk, *(run for run in runs if run.trunk == trunk.id)]
        if groups and len(groups[-1]) + len(own) <= size:
            groups[-1] += own
        else:
            groups.append(own)
    return groups


def halves(runs: list[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
    """Two parts of the runs, each branch with its trunk; the first is empty where they cannot be parted."""
    single = parted(runs, 1)
    half = len(single) // 2
    return [run for group in single[:half] for run in group], [run for group in single[half:] for run in group]


def choose_device(wanted: str) -> str:
    """ "cpu" or "cuda" for a spec's device. Raises Problem if it is not available."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise Problem(f"Cannot train on device {wanted!r}: it is unknown. Choose auto, cpu or cuda.")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise Problem("Cannot train on cuda: torch finds no GPU here. Choose cpu, or auto.")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted
