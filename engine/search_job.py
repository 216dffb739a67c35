"""The background job "search": a million simulated mixtures on a fitted surrogate."""

import numpy as np

from engine import surrogates
from engine.jobs import Job
from engine.search import search
from engine.space import Simplex


def run(job: Job) -> None:
    """Search, and emit `search.finished` with the settings and what was found (engine.search.Found as a dict).

    spec: {"study", "file": the surrogate's path in the workspace, "settings": {"surrogate": name, "priorities":
    {metric: weight}, "points": draws, "seed", "fingerprint", "aggregate": engine.objectives.Aggregate}, "space":
    engine.space.Simplex, "prior": [D], "baselines": {name: [D]}}, dataclasses as dicts.
    """
    spec, settings = job.spec, job.spec["settings"]
    found = search(
        surrogates.load(job.workspace / spec["file"]),
        Simplex.from_dict(spec["space"]),
        np.array(spec["prior"]),
        np.array(settings["aggregate"]["weights"]),
        baselines={name: np.array(shares) for name, shares in spec["baselines"].items()},
        n=settings["points"],
        seed=settings["seed"],
        progress=job.progress,
    )
    job.emit("search.finished", study=spec["study"], settings=settings, found=found.to_dict())
