"""The background job "lab": proxies of one fidelity on spread mixtures, with several seeds, and their losses."""

import time

import numpy as np
import torch

from engine import corpus as corpora
from engine.core.checks import or_null
from engine.core.files import replacing
from engine.jobs.runs import TaskRun
from engine.jobs.spool import Job
from engine.proxies.device import choose_device
from engine.proxies.evaluate import evaluate, validation_windows
from engine.proxies.run_checks import check_runs
from engine.proxies.train import Training
from engine.spec.fidelity import Fidelity
from engine.spec.kinds.lab import LabMeasured, LabTask


def run(job: Job) -> None:
    """Run a LabTask; stacks that are measured stay so if it is stopped. Raises Stopped, and Problem for an invalid
    task."""
    task = job.task(LabTask)
    device, began = choose_device(task.device), time.monotonic()
    if device == "cpu":
        torch.set_num_threads(1)  # worker processes run side by side
    corpus, fidelity = corpora.load(job.workspace / "corpora" / task.corpus), Fidelity.from_dict(task.fidelity)
    members = [
        TaskRun(id=f"{place}-{seed}", weights=weights, seed=seed)
        for place, weights in enumerate(task.mixtures)
        for seed in task.seeds
    ]
    check_runs(members, task.domains, corpus.domains)
    for domain in task.domains:  # fail before the training, not after it
        validation_windows(corpus.valid(domain), fidelity.context, fidelity.eval_tokens, domain)
    losses = np.concatenate(
        [measured(job, task, corpus, fidelity, device, members, first) for first in range(0, len(members), task.group)]
    )
    table = losses.reshape(len(task.mixtures), len(task.seeds), len(task.domains))
    found = {
        "losses": [[or_null(one) for one in seeds] for seeds in table.tolist()],
        "flops": float(len(members) * fidelity.flops(corpus.vocabulary)),
        "seconds": time.monotonic() - began,
    }
    job.emit(LabMeasured(study=task.study, settings=task.to_dict(), found=found))


def measured(
    job: Job, task: LabTask, corpus, fidelity: Fidelity, device: str, members: list[TaskRun], first: int
) -> np.ndarray:
    """(G, D) losses of one group of members, trained as a stack; NaN of those that diverged. Kept in the job's folder,
    for an attempt after this one."""
    group, kept = members[first : first + task.group], job.folder / f"losses-{first}.npy"
    if kept.exists():
        there: np.ndarray = np.load(kept, allow_pickle=False)
        return there
    training = Training(fidelity, corpus, task.domains, group, device, task.keep)
    while training.step < fidelity.steps:
        training.advance()
        done = first * fidelity.steps + len(group) * training.step
        job.progress(done, len(members) * fidelity.steps, f"training {len(members)} proxies: {task.name}")
    losses, _ = evaluate(training.stack, corpus, task.domains, fidelity.eval_tokens)
    losses[~training.alive.cpu().numpy()] = np.nan
    with replacing(kept) as part, open(part, "wb") as file:
        np.save(file, losses)
    return losses
