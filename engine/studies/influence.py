"""What domains do to losses and tasks, by leaving them out; rows of new metrics and domains; unseen combinations.

Uses the store.
"""

from dataclasses import dataclass, replace

import numpy as np

from engine.analysis.explain import with_share
from engine.analysis.left_out import Effects, by_runs, by_surrogate, points_without, without
from engine.analysis.rows import (
    FLOOR,
    Combined,
    Judged,
    Row,
    Shares,
    domain_row,
    few_of_domain,
    foreign_rows,
    judge_combinations,
    judge_domain_rows,
    judge_metric_rows,
    logs,
    metric_row,
)
from engine.core.errors import Problem
from engine.core.people import takes
from engine.spec.objectives import Aggregate
from engine.studies.fits import Fit, fit_of
from engine.studies.measured import frame_of_study, noise_of_groups, points_measured
from engine.studies.proposals import Started, start_proposed
from engine.surrogates.gp import GP
from store import studies
from store.database import Store

FEW = (4, 8, 12)  # runs from which rows that were left out are predicted


@dataclass(frozen=True)
class Influences:
    """Of each left-out domain, or pair (names [K]), on each metric: predicted by the surrogate in use, and measured by
    runs without it; points (K, D): the mixtures without; trained (K,): how many runs stand at each."""

    names: list[tuple[str, ...]]
    predicted: Effects
    measured: Effects
    points: np.ndarray
    trained: np.ndarray
    fit: Fit


def influences(store: Store, study: studies.Study, pairs: bool = False, surrogate: str | None = None) -> Influences:
    """At the study's prior mixture. Raises Problem for merges, and before the first fit."""
    fit = _fitted(store, study, surrogate)
    at, measured = frame_of_study(study).prior, points_measured(store, study.id)
    several, points = points_without(at, pairs)
    if not several:
        raise Problem(f"Cannot leave a domain out in {study.name!r}: {len(study.domains)} domains are too few.")
    noise = [noise_of_groups(measured.weights, values) for values in measured.losses.T]
    std = np.array([np.nan if one is None else one.std for one in noise])
    freedom = np.array([1 if one is None else one.freedom for one in noise])
    told = by_runs(measured.weights, measured.losses, std, freedom, at, several)
    trained = [int((np.abs(measured.weights - point).max(axis=1) < 1e-6).sum()) for point in points]
    names = [tuple(study.domains[place] for place in one) for one in several]
    return Influences(names, by_surrogate(fit.surrogate, at, several), told, points, np.array(trained), fit)


@takes("operator", "train proposed mixtures")
def train_without(store: Store, study: studies.Study, pairs: list[list[str]] | None = None) -> Started:
    """Train the prior mixture without each of its domains, or without these pairs; what is there is not trained again.

    Raises Problem if the constraints forbid one, or a pair names no two domains of the mixture.
    """
    several, points = points_without(frame_of_study(study).prior, pairs is not None)
    if pairs is not None:
        wanted = [tuple(sorted(study.domains.index(name) for name in pair if name in study.domains)) for pair in pairs]
        if unknown := [pair for pair, places in zip(pairs, wanted, strict=True) if places not in several]:
            raise Problem(
                f"Cannot leave {' and '.join(unknown[0])} out together: name two domains of the prior mixture. There "
                f"are {', '.join(study.domains)}."
            )
        points = points[[several.index(one) for one in wanted]]
    return start_proposed(store, study, points)


@dataclass(frozen=True)
class NewRow:
    """The row of a metric that few runs measured, and how such rows are judged. names [K]: of the domains; few: how
    many runs; row: with intervals as wide as left-out rows took."""

    names: list[str]
    few: int
    row: Row
    judged: Judged


def row_of_metric(store: Store, study: studies.Study, metric: str) -> NewRow:
    """What leaving each domain out does to a metric, from the runs that measured it and the other metrics.

    Raises Problem where too few did, or the metric is unknown.
    """
    if metric not in study.metrics:
        raise Problem(f"Cannot use {metric!r}: the metrics of this study are {', '.join(study.metrics)}.")
    fit, place = _fitted(store, study), study.metrics.index(metric)
    at, measured = frame_of_study(study).prior, points_measured(store, study.id)
    several, points = points_without(at)
    others = [m for m in range(len(study.metrics)) if m != place]
    whole = np.isfinite(measured.losses[:, others]).all(axis=1)
    there = whole & np.isfinite(measured.losses[:, place])
    effects = by_surrogate(fit.surrogate, at, several).effect
    shares, known = Shares.of(measured.weights, at, points), measured.losses[:, others]
    count = max(4, min(int(there.sum()), int(whole.sum()) - 1))
    judged = judge_metric_rows(known[whole], effects[:, others], shares.take(whole), count)
    few = measured.losses[there, place]
    row = metric_row(few, known[there], effects[:, others], shares.take(there), judged.part)
    names = [study.domains[one] for (one,) in several]
    return NewRow(names, int(there.sum()), replace(row, std=row.std * judged.widening), judged)


@dataclass(frozen=True)
class NewDomain:
    """The row of a domain that few runs have. metrics [K]: all but its own loss; few: how many runs have it; share: of
    it, at which it is left out; row: with intervals as wide as left-out rows took; alone: by those runs alone; judged:
    how such rows of the other domains are predicted, None where that is not known, for the reason `why`."""

    metrics: list[str]
    few: int
    share: float
    row: Row
    alone: Row
    judged: Judged | None
    why: str

    @property
    def tells(self) -> bool:
        """Whether the row tells more than the trivial answers."""
        return self.judged is not None and self.judged.tells


def row_of_domain(store: Store, study: studies.Study, domain: str) -> NewDomain:
    """What having a domain does to each metric but its own loss, from the runs that have it and the others' rows.

    At the prior mixture; where that lacks the domain, with as much of it as these runs have (their median). Raises
    Problem where too few runs have it, or lack it, or the domain is unknown.
    """
    if domain not in study.domains:
        raise Problem(f"Cannot use {domain!r}: the domains of this study are {', '.join(study.domains)}.")
    fit, place = _fitted(store, study), study.domains.index(domain)
    prior, measured = frame_of_study(study).prior, points_measured(store, study.id)
    foreign = np.array([one.domain != domain for one in study.objectives])
    whole = np.isfinite(measured.losses[:, foreign]).all(axis=1)
    weights, losses = measured.weights[whole], measured.losses[whole][:, foreign]
    has = weights[:, place] > FLOOR
    share = float(prior[place] if prior[place] > FLOOR or not has.any() else np.median(weights[has, place]))
    at = with_share(prior, place, share)
    change = logs(at) - logs(without(at, (place,)))
    few, std = few_of_domain(weights, losses, place, int(has.sum()), change, np.random.default_rng(0))
    alone = Row(few, std)
    several, points = points_without(prior)
    left = [one for (one,) in several if one != place]
    effects = by_surrogate(fit.surrogate, prior, [(one,) for one in left]).effect[:, foreign]
    changes = (logs(prior) - logs(points))[[one != (place,) for one in several]][:, left]
    names = [one.metric for one in study.objectives if one.domain != domain]
    own = [study.domains.index(one.domain) if one.domain in study.domains else -1 for one in study.objectives]
    theirs = np.array([left.index(one) if one in left else -1 for one in own])[foreign]
    try:
        row = domain_row(few, std, foreign_rows(effects, theirs))
        judged = judge_domain_rows(weights[~has][:, left], losses[~has], effects, changes, theirs, int(has.sum()))
    except Problem as problem:
        return NewDomain(names, int(has.sum()), share, alone, alone, None, str(problem))
    wide = replace(row, std=row.std * judged.widening)
    return NewDomain(names, int(has.sum()), share, wide, alone, judged, "")


@dataclass(frozen=True)
class Judgements:
    """How well rows and combinations that were left out are predicted: of metrics, of domains, from several numbers of
    runs each; why: of what could not be judged, a sentence each."""

    metrics: list[Judged]
    domains: list[Judged]
    combined: Combined | None
    why: list[str]


def judgements(store: Store, study: studies.Study, aggregate: Aggregate) -> Judgements:
    """Leave out known rows, and runs with much of two domains, and predict them. Raises as `influences` does."""
    fit = _fitted(store, study)
    at, measured = frame_of_study(study).prior, fit.measured
    several, points = points_without(at)
    whole = np.isfinite(measured.losses).all(axis=1)
    weights, losses = measured.weights[whole], measured.losses[whole]
    effects = by_surrogate(fit.surrogate, at, several).effect
    left = [one for (one,) in several]
    shares = Shares.of(weights, at, points)
    names = [study.domains[one] for one in left]
    own = np.array([names.index(one.domain) if one.domain in names else -1 for one in study.objectives])
    metrics, domains, why, combined = [], [], [], None
    for runs in FEW:
        try:
            metrics.append(judge_metric_rows(losses, effects, shares, min(runs, len(weights))))
        except Problem as problem:  # more runs would be too many, too
            why.append(str(problem))
            break
    for runs in FEW:
        try:
            domains.append(judge_domain_rows(weights[:, left], losses, effects, shares.changes[:, left], own, runs))
        except Problem as problem:
            why.append(str(problem))
            break
    values = aggregate.of(losses)
    try:
        combined = judge_combinations(GP.fit, weights[np.isfinite(values)], values[np.isfinite(values)])
    except Problem as problem:
        why.append(str(problem))
    return Judgements(metrics, domains, combined, why)


def _fitted(store: Store, study: studies.Study, surrogate: str | None = None) -> Fit:
    if study.kind == "merge":
        raise Problem(f"Cannot leave domains out of {study.name!r}: its points are coefficients of merges, not shares.")
    if (fit := fit_of(store, study, surrogate)) is None:
        raise Problem(f"Cannot tell what domains do in {study.name!r}: nothing is fitted yet. {study.way_on}")
    return fit
