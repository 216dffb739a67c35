"""The background job "rival": find a mixture by one method, and bring it into the study's constraints."""

import numpy as np
import torch
from safetensors.torch import load_file

from engine import corpus as corpora
from engine.core.errors import Problem
from engine.core.workspace import within
from engine.corpus import expert_tokens
from engine.jobs.spool import Job
from engine.proxies.device import choose_device
from engine.proxies.evaluate import validation_windows
from engine.proxies.rivals.ask import Ask
from engine.space.simplex import Simplex
from engine.spec.fidelity import Fidelity
from engine.spec.kinds.rival import RivalFound, RivalTask
from engine.spec.rivals import rival_of

PARTS = 1000  # of the job's progress


def run(job: Job) -> None:
    """Run a RivalTask. A method begins again where it was stopped. Raises Stopped, and Problem for an invalid task."""
    task = job.task(RivalTask)
    found = rival_of(task.method).function()(ask_of(job, task))
    shares = Simplex.from_dict(task.space).project(found.shares[None])[0]
    job.emit(
        RivalFound(
            study=task.study,
            settings=task.to_dict(),
            found={
                "shares": shares.tolist(),
                "moved": float(np.abs(shares - found.shares).max()),
                "trained_tokens": found.cost.trained,
                "read_tokens": found.cost.read,
                "path": [{"step": step, "shares": one.tolist()} for step, one in found.path],
            },
        )
    )


def ask_of(job: Job, task: RivalTask) -> Ask:
    """What the method is asked. Raises Problem if the text or an expert is missing."""
    device = choose_device(task.device)
    if device == "cpu":
        torch.set_num_threads(1)  # worker processes run side by side
    corpus, fidelity = corpora.load(job.workspace / "corpora" / task.corpus), Fidelity.from_dict(task.fidelity)
    if missing := [domain for domain in task.domains if domain not in corpus.domains]:
        raise Problem(f"Cannot train on {missing[0]!r}: the corpus has {', '.join(corpus.domains)}. Choose of these.")
    for domain in task.domains:
        validation_windows(corpus.valid(domain), fidelity.context, fidelity.eval_tokens, domain)
    return Ask(
        corpus=corpus,
        domains=task.domains,
        fidelity=fidelity,
        seed=task.seed,
        weights=np.array(task.weights),
        prior=np.array(task.prior),
        tokens_file=expert_tokens.file_of(job.workspace, task.study),
        keep=task.keep,
        experts=None if task.experts is None else [expert(job, name) for name in task.experts],
        device=device,
        tell=lambda done, note: job.progress(round(PARTS * done), PARTS, note),
    )


def expert(job: Job, name: str) -> dict:
    """The weights of an expert. Raises Problem where its file is gone."""
    path = within(job.workspace, name)
    if not path.is_file():
        raise Problem(
            f"Cannot use the expert {name}: its file is gone. Begin the merge study again, or find MixMin's mixture "
            "without it."
        )
    found: dict = load_file(path)
    return found
