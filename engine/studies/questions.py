"""Requests to a study's latest fit: searches, and the parts shared with proposals. Uses the store."""

from typing import NamedTuple

import numpy as np

from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.people import need
from engine.core.short_names import digest
from engine.search import LARGEST
from engine.search.methods import DEFAULT_METHOD, check_method
from engine.spec.kinds.search import MetricLimit, SearchSettings, SearchTask
from engine.spec.tasks import FitSettings
from engine.studies.measured import aggregate_of, frame_of_study
from engine.surrogates import SURROGATES
from store import jobs, runs, studies
from store.database import Store

SEARCH_POINTS = 1_000_000


class Asked(NamedTuple):
    """What answers a request, by its id, and whether it was there already: then nothing new was begun."""

    id: str
    already_there: bool


def queue_search(
    store: Store,
    study: studies.Study,
    surrogate: str | None = None,
    priorities: dict | None = None,
    points: int = SEARCH_POINTS,
    method: str = DEFAULT_METHOD,
    prices: dict[str, float] | None = None,
    limits: dict[str, float] | None = None,
) -> Asked:
    """Queue a search on the latest fit; the same request is one job. Raises Problem as `search_job` does."""
    need("operator", "start a search")
    job_id, spec = search_job(store, study, surrogate, priorities, points, method, prices, limits)
    return ask_once(store, job_id, spec, study.id)


def search_job(
    store: Store,
    study: studies.Study,
    surrogate: str | None = None,
    priorities: dict | None = None,
    points: int = SEARCH_POINTS,
    method: str = DEFAULT_METHOD,
    prices: dict[str, float] | None = None,
    limits: dict[str, float] | None = None,
) -> tuple[str, dict]:
    """The id and spec of the job of a search on the latest fit.

    surrogate: by default the leaderboard's choice; priorities: metric -> weight, 1 where absent (default: the study's);
    method: of engine.search.methods; prices: domain -> price of a million unique tokens, 1 where absent; limits: metric
    -> at most so much (a score: at least), kept with the probability engine.search.limits.SURE. Raises Problem before
    the first fit, and if a setting is invalid or the method does not fit the surrogate.
    """
    if not 1000 <= points <= LARGEST:
        raise Problem(f"Cannot search {points!r} mixtures: use 1,000 to {LARGEST:,}.")
    asked = question_of(store, study, surrogate, priorities)
    check_method(method, SURROGATES[asked["surrogate"]], np.array(asked["aggregate"]["weights"]), bool(limits))
    more = {"prices": checked_prices(study, prices), "limits": checked_limits(study, limits)}
    settings = SearchSettings(**asked, points=points, seed=0, method=method, **more)
    return job_id_of(study, "search", settings.to_dict()), search_task(store, study, settings)


def with_optimism(store: Store, study: studies.Study, search: dict) -> dict:
    """A search's result with what refits say of its choice: "optimism", as `engine.league.optimism.Optimism`, or None
    where they were asked about another fit, surrogate or aggregate."""
    latest, settings = studies.league(store, study.id), search["settings"]
    asked = (
        latest is not None
        and not settings.get("limits")
        and (
            settings.get("fingerprint") == latest["fingerprint"]
            and settings["surrogate"] == latest["league"]["default"]
            and settings.get("aggregate") == aggregate_of(store, study).to_dict()
        )
    )
    return {**search, "optimism": latest["league"].get("optimism") if asked else None}


def question_of(store: Store, study: studies.Study, surrogate: str | None, priorities: dict | None) -> dict:
    """The fields of FitSettings, which searches and proposals share."""
    latest = studies.league(store, study.id)
    if latest is None:
        raise Problem(f"Cannot search {study.name!r}: no surrogate is fitted yet. {study.way_on}")
    fitted = [standing["name"] for standing in latest["league"]["standings"] if not standing["problem"]]
    if surrogate is not None and surrogate not in fitted:
        raise Problem(f"Cannot search with {surrogate!r}: the surrogates fitted here are {', '.join(fitted)}.")
    return {
        "text": (study.corpus or {}).get("revision"),
        "surrogate": surrogate or latest["league"]["default"],
        "priorities": study.spec["priorities"] if priorities is None else priorities,
        "fingerprint": latest["fingerprint"],
        "aggregate": aggregate_of(store, study, priorities).to_dict(),
    }


def ask_once(store: Store, job_id: str, spec: dict, study: str | None = None, lacking: bool = False) -> Asked:
    """Queue the job of a request. One that failed, was cancelled, or has no result is retried; any other answers it
    already."""
    need("operator", "queue a question")
    with store.alone():
        job = jobs.find(store, job_id)
        if job is None:
            store.submit(job_id, spec, study)
        elif job.state in ("failed", "cancelled") or (job.state == "done" and lacking):
            store.retry(job_id)
        else:
            return Asked(job_id, True)
    return Asked(job_id, False)


def job_id_of(study: studies.Study, kind: str, settings: dict) -> str:
    """The id of a request's job: the same request is one job."""
    return f"{study.id}-{kind}-{digest(settings)[:12]}"


def checked_prices(study: studies.Study, prices: dict[str, float] | None) -> dict[str, float]:
    """Raises Problem if a domain is unknown, or a price is not a number of at least 0."""
    for name, price in (prices or {}).items():
        if name not in study.domains:
            raise Problem(f"Cannot price {name!r}: the domains of this study are {', '.join(study.domains)}.")
        if not is_number(price, 0):
            raise Problem(f"Cannot use {price!r} as the price of {name!r}: give a number of at least 0.")
    return dict(prices or {})


def checked_limits(study: studies.Study, limits: dict[str, float] | None) -> dict[str, float]:
    """Raises Problem if a metric is unknown, or a limit is not a number."""
    for name, value in (limits or {}).items():
        if name not in study.metrics:
            raise Problem(f"Cannot limit {name!r}: the metrics of this study are {', '.join(study.metrics)}.")
        if not is_number(value):
            raise Problem(f"Cannot use {value!r} as the limit of {name!r}: give a number.")
    return dict(limits or {})


def limits_in(store: Store, study: studies.Study, limits: dict[str, float]) -> list[MetricLimit]:
    """Limits by metric as a job takes them: of a loss at most, of a score at least so much. Those of negative flips are
    to hold for windows or items that were not measured, too."""
    places = [place for place, one in enumerate(study.objectives) if one.metric in limits]
    flips = [place for place in places if study.objectives[place].reference]
    others = np.zeros(len(study.objectives))
    if flips and (errors := list(runs.standard_errors(store, study.id, len(others)).values())):
        known = np.array(errors)[:, flips]
        there = np.isfinite(known).any(axis=0)
        others[np.array(flips)[there]] = np.nanmedian(known[:, there], axis=0)
    return [
        MetricLimit(
            place=place,
            value=float(limits[study.objectives[place].metric]),
            at_most=not study.objectives[place].higher_is_better,
            others=float(others[place]),
        )
        for place in places
    ]


def search_task(store: Store, study: studies.Study, settings: SearchSettings) -> dict:
    """The spec of a search job (engine/search/job.py)."""
    frame = frame_of_study(study)
    task = SearchTask(
        study=study.id,
        file=surrogate_file(store, study, settings),
        settings=settings,
        space=frame.space.to_dict(),
        prior=frame.prior.tolist(),
        baselines={name: shares.tolist() for name, shares in frame.baselines.items()},
        available=frame.available,
        budget=frame.budget,
        limits=limits_in(store, study, settings.limits),
    )
    return task.spec(priority=-1)


def surrogate_file(store: Store, study: studies.Study, settings: FitSettings) -> str:
    """The file of a request's surrogate, relative to the workspace."""
    folder = store.workspace.surrogates(study.id, settings.fingerprint).relative_to(store.workspace.root)
    return str(folder / f"{settings.surrogate}.npz")
