"""The background job "propose": the next runs, and which domains the metrics depend on."""

from typing import Any

import numpy as np

from engine import surrogates
from engine.core.errors import Problem
from engine.jobs.spool import Job
from engine.search.acquisition import PROPOSERS, relevance
from engine.space.simplex import space_from
from engine.spec.kinds.propose import ProposalFinished, ProposeTask
from engine.spec.objectives import Aggregate

POOL = 20_000  # mixtures drawn around the prior, and as many uniformly
RELEVANCE = ("strength", "support", "effort", "idle")


def run(job: Job) -> None:
    """Run a ProposeTask, and emit the result."""
    task = job.task(ProposeTask)
    settings = task.settings
    surrogate, space = surrogates.load(job.workspace / task.file), space_from(task.space)
    weights, losses = np.array(task.weights, float), np.array(task.losses, float)
    metric_weights, rng = Aggregate.from_dict(settings.aggregate).weights, np.random.default_rng(settings.seed)
    job.progress(0, 3, "drawing mixtures")
    drawn = space.draw(np.array(task.prior), POOL, rng)
    pool = np.concatenate([drawn, space.sample(POOL, rng)])
    job.progress(1, 3, "choosing the runs that would help most")
    own: dict[str, dict[str, Any]] = {"climb": {"rounds_done": settings.rounds_done}, "sources": {"losses": losses}}
    more = own.get(settings.proposer, {})
    found = PROPOSERS[settings.proposer](
        surrogate, space, metric_weights, pool, weights, settings.count, settings.seed, **more
    )
    mean, std = surrogate.predict(found.points)
    job.progress(2, 3, "estimating which domains matter")
    try:
        matter, problem = relevance(weights, losses, metric_weights), None
    except Problem as reason:
        matter, problem = None, str(reason)
    noise = np.sqrt(surrogate.noise) * surrogate.scale * metric_weights
    answer = {
        "points": found.points.tolist(),
        "mean": mean.tolist(),
        "std": std.tolist(),
        "gain": None if found.gain is None else found.gain.tolist(),
        "noise": float(np.sqrt(max(0.0, noise @ surrogate.correlation @ noise))),
        "relevance": matter and {name: getattr(matter, name).tolist() for name in RELEVANCE},
        "problem": problem,
    }
    job.emit(ProposalFinished(study=task.study, settings=settings.to_dict(), found=answer))
