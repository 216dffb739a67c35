"""Which device torch computes on here, and how many proxies should fit in its memory."""

import os

import torch

from engine.core.errors import Problem
from engine.jobs import devices
from engine.jobs.events import JobNote
from engine.jobs.runs import TaskRun
from engine.jobs.spool import Job
from engine.spec.compute import members_that_fit, stack_bytes
from engine.spec.fidelity import Fidelity


def sized_to_memory(
    job: Job, fidelity: Fidelity, vocabulary: int, runs: list[TaskRun], device: str
) -> list[list[TaskRun]]:
    """The runs in groups that should fit in the card's memory, or the leased part of it, or in what is free of the
    machine's; notes it if they are split. Raises Problem where not even one fits in the machine's."""
    free = card_mb() if device == "cuda" else machine_mb()
    if free is None:
        return [runs]
    one = stack_bytes(fidelity, vocabulary, 1, device)
    if device == "cpu" and one > free << 20:  # a card says so itself, and loses nothing
        raise Problem(
            f"Cannot train run {runs[0].id!r}: one proxy of this shape needs about {one / 1e9:.1f} GB of memory, and "
            f"{free / 1e3:.1f} GB are free here. Choose a smaller batch, context or model, or free some memory."
        )
    size = members_that_fit(fidelity, vocabulary, free, device)
    if size < len(runs):
        where = "of the GPU's memory" if device == "cuda" else "memory"
        job.emit(JobNote(f"{len(runs)} proxies at once need more {where} than there is: {size} at a time."))
    return parted(runs, size)


def card_mb() -> int:
    """The memory of the card, or of the part of it that is leased, which the process keeps to."""
    total = torch.cuda.get_device_properties(0).total_memory
    leased = int(os.environ.get("MIXDESK_GPU_MEMORY_MB", 0)) << 20 or total
    if leased < total:  # jobs that share the card keep their leased memory
        torch.cuda.set_per_process_memory_fraction(leased / total)
    return min(leased, total) >> 20


def machine_mb() -> int | None:
    """The memory that is free on this machine; None where it does not tell."""
    found = devices.machine()
    return found["memory_mb"] - found["used_mb"] if found else None


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
