"""The background job "search": a million simulated mixtures on a fitted surrogate."""

import numpy as np

from engine import surrogates
from engine.jobs.spool import Job
from engine.search import Price, search
from engine.space.simplex import space_from


def run(job: Job) -> None:
    """Search, keep some of the draws in the file of `draws_file`, and emit `search.finished` with the settings and
    what was found (engine.search.Found as a dict).

    spec: {"study", "file": the surrogate's path in the workspace, "settings": {"surrogate": name, "priorities":
    {metric: weight}, "points": draws, "seed", "fingerprint", "method", "prices": {domain: price}, "aggregate":
    engine.spec.objectives.Aggregate}, "space": engine.space.simplex.Space, "prior": [D], "baselines": {name: [D]},
    "available": [D] tokens or null, "budget": tokens, 0 where unknown}, dataclasses as dicts.
    """
    spec, settings = job.spec, job.spec["settings"]
    space = space_from(spec["space"])
    found, pool = search(
        surrogates.load(job.workspace / spec["file"]),
        space,
        np.array(spec["prior"]),
        np.array(settings["aggregate"]["weights"]),
        method=settings["method"],
        baselines={name: np.array(shares) for name, shares in spec["baselines"].items()},
        n=settings["points"],
        seed=settings["seed"],
        price=price_of(spec, space.names),
        progress=job.progress,
    )
    pool.save(job.workspace / draws_file(job.id))
    job.emit("search.finished", study=spec["study"], settings=settings, found=found.to_dict())


def draws_file(job_id: str) -> str:
    """Where a search keeps its pool (engine/search/pool.py), relative to the workspace."""
    return f"draws/{job_id}.npz"


def price_of(spec: dict, domains: tuple[str, ...]) -> Price | None:
    """What text costs. Where its amount is not known there is enough of it; without a budget, of a million tokens.

    None for merges, which need no text.
    """
    if "groups" not in spec["space"]:
        return None
    prices = np.array([spec["settings"]["prices"].get(name, 1.0) for name in domains])
    available = np.full(len(domains), np.inf) if spec["available"] is None else np.array(spec["available"])
    return Price(prices, available, spec["budget"] or 1e6)
