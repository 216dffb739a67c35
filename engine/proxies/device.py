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
    return [runs[start : start + size] for start in range(0, len(runs), size)]


def choose_device(wanted: str) -> str:
    """ "cpu" or "cuda" for a spec's device. Raises Problem if it is not available."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise Problem(f"Cannot train on device {wanted!r}: it is unknown. Choose auto, cpu or cuda.")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise Problem("Cannot train on cuda: torch finds no GPU here. Choose cpu, or auto.")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted
