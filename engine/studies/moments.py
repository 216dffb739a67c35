"""A moment of a study: everything that its numbers rest on, read at once. Uses the store.

Runs come in, fits follow now and then, searches follow fits: three clocks. Whoever shows numbers of a study reads one
Moment and takes them all from it: what is called measured is of the runs finished by then; what is called predicted is
of one fit; the best predicted point is of one search. How far these lie apart, `since` and `behind` say.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit, fit_of
from engine.studies.levels import totals_in
from engine.studies.measured import aggregate_in, aggregate_of, for_fitting, points_measured
from store import results, runs, studies
from store.database import Store

TRIES = 5  # to read without anything written meanwhile
SAME = 1e-3  # priorities relative to the largest that differ by less are equal: searches keep four digits


@dataclass(frozen=True)
class Behind:
    """What stands behind a search or a proposal. runs: that its fit learned from; since: those finished later that a
    fit could learn from; in_use: it was asked of the fit in use, and of the text as it is known now; recounted: how
    much text there is was changed since."""

    runs: int
    since: int
    in_use: bool
    recounted: bool


@dataclass(frozen=True)
class Moment:
    """study: with its counts of then; aggregate: how metrics count; measured: the finished runs that are points of its
    space; learnable: ids of those that a fit could learn from; fit: in use, None before the first, and when it ended
    (seconds since 1970); fitted: fingerprint of each fit -> ids of its runs; search: in use for these priorities (one
    of `store.results.searches`), None without any; searches: how many there are, whatever they were asked.
    """

    study: studies.Study
    aggregate: Aggregate
    measured: runs.Measured
    learnable: tuple[str, ...]
    fit: Fit | None
    fitted_at: float | None
    fitted: dict[str, list[str]]
    search: dict[str, Any] | None
    searches: int

    @property
    def enough(self) -> bool:
        """Whether as many runs have finished as a fit needs before anything may be called best."""
        return self.study.done >= self.study.enough

    @property
    def best(self) -> int | None:
        """The row of the best measured run, None where none has all metrics that count."""
        return self.aggregate.best(self.measured.losses) if self.measured.ids else None

    @property
    def best_run(self) -> str | None:
        """The id of the best measured run."""
        return None if self.best is None else self.measured.ids[self.best]

    @property
    def search_job(self) -> str | None:
        """The job of the search in use."""
        return self.search and self.search["job"]

    @property
    def compares(self) -> bool:
        """Whether the measured runs are of the size of those that the fit in use learned from."""
        return self.fit is not None and set(self.fit.measured.ids) <= set(self.measured.ids)

    @property
    def since(self) -> int:
        """How many finished runs the fit in use could have learned from, and has not."""
        return 0 if self.fit is None else len(set(self.learnable) - set(self.fit.measured.ids))

    def behind(self, result: dict[str, Any]) -> Behind:
        """What stands behind a search or proposal of this study."""
        settings = result["settings"]
        there = self.fitted.get(settings["fingerprint"], [])
        recounted = settings.get("text") != _text(self.study)
        own = self.fit is not None and settings["fingerprint"] == self.fit.fingerprint
        return Behind(len(there), len(set(self.learnable) - set(there)), own and not recounted, recounted)


def moment_of(
    store: Store, study: studies.Study, aggregate: Aggregate | None = None, surrogate: str | None = None
) -> Moment:
    """Now. aggregate: by default by the study's own priorities; surrogate: by default the leaderboard's choice.

    Raises Problem if the study is not planned yet, or the surrogate cannot be used.
    """
    for _ in range(TRIES):
        version = store.version
        found = _read(store, studies.get(store, study.id), aggregate, surrogate)
        if store.is_still(version):
            break
    return found


def _read(store: Store, study: studies.Study, aggregate: Aggregate | None, surrogate: str | None) -> Moment:
    aggregate, fit = aggregate or aggregate_of(store, study), fit_of(store, study, surrogate)
    latest = studies.league(store, study.id)
    return Moment(
        study,
        aggregate,
        points_measured(store, study.id),
        tuple(for_fitting(store, study.id).ids),
        fit,
        latest and latest["t"],
        studies.fitted_runs(store, study.id),
        search_in_use(store, study, aggregate, surrogate),
        len(results.searches(store, study.id)),
    )


def _asked(one: Aggregate, other: Aggregate) -> bool:
    """Whether two aggregates are of the same priorities: those of different units also depend on the runs."""
    if one.priorities.keys() != other.priorities.keys():
        return False
    own, theirs = (np.array([by.priorities[name] for name in one.priorities], float) for by in (one, other))
    return bool(np.abs(own / own.max() - theirs / theirs.max()).max() < SAME)


def search_in_use(
    store: Store, study: studies.Study, aggregate: Aggregate | None = None, surrogate: str | None = None
) -> dict[str, Any] | None:
    """Of the searches by the priorities of an aggregate (default: the study's own): the latest asked of the latest fit
    and this surrogate (default: the leaderboard's choice), else of that fit, else of any; None without one."""
    if not (found := results.searches(store, study.id)):
        return None
    aggregate, latest = aggregate or aggregate_of(store, study), studies.league(store, study.id)
    surrogate = surrogate or (latest and latest["league"]["default"])

    def near(one: dict[str, Any]) -> int:
        settings = one["settings"]
        if latest is None or settings["fingerprint"] != latest["fingerprint"] or settings.get("text") != _text(study):
            return 0
        return 2 if settings["surrogate"] == surrogate else 1

    free = [one for one in found if not one["settings"].get("limits")]  # with limits it answers another question
    same = [one for one in free if _asked(aggregate, aggregate_in(store, study, one))]
    return max(same, key=near, default=None)


def _text(study: studies.Study) -> str | None:
    """The revision of the counts of a study's text."""
    return (study.corpus or {}).get("revision")


def with_behind(moment: Moment, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of searches or proposals that say what stands behind them, under "behind"."""
    return [{**one, "behind": asdict(moment.behind(one))} for one in found]


def as_json(moment: Moment) -> dict[str, Any]:
    """What the study's answers rest on, as JSON-able values; better aggregates are lower."""
    fit, search, best = moment.fit, moment.search, moment.best
    fitted = fit and {
        "fingerprint": fit.fingerprint,
        "surrogate": fit.name,
        "t": moment.fitted_at,
        "runs": len(fit.measured.ids),
        "since": moment.since,
    }
    searched = search and {"job": search["job"], "surrogate": search["settings"]["surrogate"], "t": search["t"]}
    measured = None
    if best is not None:
        aggregate = float(moment.aggregate.of(moment.measured.losses[best]))
        measured = {"run": moment.best_run, "aggregate": aggregate, "of": len(moment.measured.ids)}
    return {
        "fit": fitted,
        "search": search and {**searched, **asdict(moment.behind(search))},
        "best_measured": measured,
        "best_predicted": _predicted(moment),
        "best_predicted_totals": _totals(moment),
    }


def _predicted(moment: Moment) -> dict[str, float] | None:
    """The best predicted point by coordinate."""
    if moment.search is None or not moment.enough:
        return None
    return dict(zip(moment.study.coordinates, moment.search["found"]["found"]["shares"], strict=True))


def _totals(moment: Moment) -> dict[str, dict[str, float]] | None:
    """The best predicted mixture by level; empty where the domains have none."""
    found = _predicted(moment)
    return None if found is None else totals_in(moment.study, np.array(list(found.values())))
