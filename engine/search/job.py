"""The background job "search": a million simulated mixtures on a fitted surrogate."""

from collections.abc import Sequence

import numpy as np

from engine import surrogates
from engine.jobs.spool import Job
from engine.search import Price, search
from engine.search.limits import Limits
from engine.space.simplex import space_from
from engine.spec.kinds.search import MetricLimit, SearchFinished, SearchTask
from engine.spec.objectives import Aggregate


def run(job: Job) -> None:
    """Run a SearchTask: search, save some of the draws to `draws_file`, and emit the result."""
    task = job.task(SearchTask)
    settings, space = task.settings, space_from(task.space)
    found, pool = search(
        surrogates.load(job.workspace / task.file),
        space,
        np.array(task.prior),
        Aggregate.from_dict(settings.aggregate).weights,
        method=settings.method,
        baselines={name: np.array(shares) for name, shares in task.baselines.items()},
        n=settings.points,
        seed=settings.seed,
        price=price_of(task, space.names),
        limits=limits_of(task.limits, len(settings.aggregate["weights"])) if task.limits else None,
        progress=job.progress,
    )
    pool.save(job.workspace / draws_file(job.id))
    job.emit(SearchFinished(study=task.study, settings=settings.to_dict(), found=found.to_dict()))


def draws_file(job_id: str) -> str:
    """The file of a search's pool (engine/search/pool.py), relative to the workspace."""
    return f"draws/{job_id}.npz"


def limits_of(asked: Sequence[MetricLimit], metrics: int) -> Limits:
    """Limits on some of so many metrics."""
    values, signs, others = np.full(metrics, np.nan), np.full(metrics, np.nan), np.zeros(metrics)
    for one in asked:
        values[one.place], signs[one.place], others[one.place] = one.value, 1.0 if one.at_most else -1.0, one.others
    return Limits(values, signs, others)


def price_of(task: SearchTask, domains: tuple[str, ...]) -> Price | None:
    """The prices of text. Unknown amounts count as unlimited; without a budget, of a million tokens.

    None for merges, which need no text.
    """
    if "groups" not in task.space:
        return None
    prices = np.array([task.settings.prices.get(name, 1.0) for name in domains])
    available = np.array(task.available or [None] * len(domains), float)
    return Price(prices, np.where(np.isnan(available), np.inf, available), task.budget or 1e6)
