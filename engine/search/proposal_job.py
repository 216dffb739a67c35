"""The background job "propose": the runs worth doing next, and which domains the metrics depend on."""

import numpy as np

from engine import surrogates
from engine.core.errors import Problem
from engine.jobs.spool import Job
from engine.search.acquisition import PROPOSERS, relevance
from engine.space.simplex import space_from

POOL = 20_000  # mixtures drawn around the prior, as many anywhere in the space


def run(job: Job) -> None:
    """Propose, and emit `proposal.finished` with the settings and what was found: {"points": [B][D], "mean", "std":
    [B][M] predicted there, "gain": [B] or null, "noise": of the aggregate, "relevance": {"strength", "support": [D][M],
    "effort": [D], "idle": [D]} or null, "problem": why there is no relevance}.

    spec: {"study", "file", "settings": {"proposer", "count", "rounds_done", "seed", and a search's question}, "space",
    "prior": [D], "weights": [R][D], "losses": [R][M] with null}.
    """
    spec, settings = job.spec, job.spec["settings"]
    surrogate, space = surrogates.load(job.workspace / spec["file"]), space_from(spec["space"])
    weights, losses = np.array(spec["weights"], float), np.array(spec["losses"], float)
    metric_weights, rng = np.array(settings["aggregate"]["weights"]), np.random.default_rng(settings["seed"])
    job.progress(0, 3, "drawing mixtures")
    drawn = space.draw(np.array(spec["prior"]), POOL, rng)
    pool = np.concatenate([drawn, space.sample(POOL, rng)])
    job.progress(1, 3, "choosing the runs that would help most")
    more = {"rounds_done": settings["rounds_done"]} if settings["proposer"] == "climb" else {}
    found = PROPOSERS[settings["proposer"]](
        surrogate, space, metric_weights, pool, weights, settings["count"], settings["seed"], **more
    )
    mean, std = surrogate.predict(found.points)
    job.progress(2, 3, "asking which domains matter")
    try:
        matter, problem = relevance(weights, losses, metric_weights), None
    except Problem as reason:
        matter, problem = None, str(reason)
    noise = np.sqrt(surrogate.noise) * surrogate.scale * metric_weights
    job.emit(
        "proposal.finished",
        study=spec["study"],
        settings=settings,
        found={
            "points": found.points.tolist(),
            "mean": mean.tolist(),
            "std": std.tolist(),
            "gain": None if found.gain is None else found.gain.tolist(),
            "noise": float(np.sqrt(max(0.0, noise @ surrogate.correlation @ noise))),
            "relevance": matter
            and {
                "strength": matter.strength.tolist(),
                "support": matter.support.tolist(),
                "effort": matter.effort.tolist(),
                "idle": matter.idle.tolist(),
            },
            "problem": problem,
        },
    )
