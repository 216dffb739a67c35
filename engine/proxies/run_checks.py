"""Whether the runs of a training job can be trained: their domains, shares and phases, and where branches begin."""

from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.jobs.runs import TaskRun
from engine.spec.kinds.train import TrainTask

PHASE_SUM = 1e-5  # tolerance of the shares that phases make


def check_runs(runs: list[TaskRun], domains: list[str], known: list[str]) -> None:
    """Raise Problem if the corpus lacks a domain, or weights are not a mixture."""
    if missing := [domain for domain in domains if domain not in known]:
        raise Problem(f"Cannot train on {missing[0]!r}: the corpus has {', '.join(known)}. Choose of these.")
    for run in runs:
        weights = np.array(run.weights, dtype=float)
        if Path(run.id).name != run.id or run.seed < 0:
            raise Problem(
                f"Cannot train run {run.id!r} with seed {run.seed!r}: an id must be "
                "a plain file name and a seed a whole number of at least 0. Change them."
            )
        if weights.shape != (len(domains),) or not (weights >= 0).all() or abs(weights.sum() - 1) > 1e-6:
            raise Problem(
                f"Cannot train run {run.id!r}: its weights {run.weights} are not "
                f"{len(domains)} shares that sum to 1. Give one share of at least 0 per domain."
            )


def check_phases(task: TrainTask) -> None:
    """Raise Problem if phases do not make up their runs, or a branch's trunk is not trained beside it."""
    trunks = {run.id for run in task.runs if run.trunk is None}
    for run in task.runs:
        if run.trunk is not None and (run.trunk not in trunks or run.phases is None):
            raise Problem(
                f"Cannot train run {run.id!r} as a branch of {run.trunk!r}: that is not trained in this job, or the "
                "run has no phases. Plan the study again, so that both are queued together."
            )
        if run.phases is None:
            continue
        shares, fractions = np.array(run.phases, dtype=float), np.array(task.fractions or [])
        fine = shares.shape == (len(fractions), len(task.domains)) and len(fractions) and (shares >= 0).all()
        if not fine or np.abs(fractions @ shares - run.weights).max() > PHASE_SUM:
            raise Problem(
                f"Cannot train run {run.id!r}: its phases {run.phases} do not make its weights {run.weights} with the "
                f"fractions {task.fractions}. Give one list of shares for each fraction."
            )
