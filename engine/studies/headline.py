"""A study's answer in one sentence: how sure it is that the chosen point beats the first baseline, and what would make
it surer. Uses the store.

The prediction of the difference is a normal distribution: the surrogate's, shifted by what refits say a choice of the
lowest prediction costs (engine.league.optimism). Runs of both points with other seeds are a second witness; the two are
weighed by their precision. The noise of one run is that between repeats.
"""

from dataclasses import dataclass, replace
from math import erf, sqrt
from typing import Any

import numpy as np

from engine.spec.objectives import Aggregate
from engine.spec.statistics import SAME_POINT
from engine.spec.study import StudySpec
from engine.studies.confirmations import Plan
from engine.studies.fits import Fit
from engine.studies.measured import Noise, aggregate_noise, aggregate_of
from engine.studies.moments import Moment
from engine.studies.points import BEST_PREDICTED
from engine.surrogates.prediction import aggregate_std, difference, difference_std
from store import confirm_runs, studies
from store.database import Store

MOST_SEEDS = 10  # that one click asks for


@dataclass(frozen=True)
class Headline:
    """point (D,): the answer; against: the baseline's name and point.

    gap, std: of the true difference of their aggregates, below 0 where the answer is better; sure: the probability of
    that. predicted, bias: the surrogate's difference, and what was added because the point was chosen for it (None:
    unknown); seeds: of both that were measured since, and their mean difference, None without. noise: of one run
    between seeds; more: seeds of both that would halve `std`, None where that takes more than MOST_SEEDS or the noise
    is unknown. fit: what predicts.
    """

    point: np.ndarray
    against: tuple[str, np.ndarray]
    gap: float
    std: float
    predicted: float
    bias: float | None
    seeds: int
    measured: float | None
    noise: Noise | None
    more: int | None
    fit: Fit
    aggregate: Aggregate

    @property
    def judged(self) -> bool:
        """Whether anything but the prediction that the answer was chosen for says how sure it is: refits, or runs."""
        return self.bias is not None or self.measured is not None

    @property
    def sure(self) -> float:
        """The probability that the answer's aggregate is truly lower than the baseline's."""
        return 0.5 * (1 - erf(self.gap / self.std / sqrt(2)))


def headline(store: Store, moment: Moment) -> Headline | None:
    """Of the search in use, as the fit in use predicts; None before a search by the moment's priorities, and while
    there are fewer runs than a fit needs."""
    study, fit, search = moment.study, moment.fit, moment.search
    if study.kind != "mixture" or not moment.enough or fit is None or search is None:
        return None
    name, baseline = next(iter(search["found"]["differences"].items()))
    point, other = np.array(search["found"]["found"]["shares"]), np.array(baseline["baseline"]["shares"])
    weights = moment.aggregate.weights
    gap = difference(fit.surrogate, point, other, weights)
    optimism = optimism_of(store, moment)
    bias, spread = (optimism["bias"], optimism["spread"]) if optimism else (None, 0.0)
    own = aggregate_std(fit.surrogate, difference_std(fit.surrogate, point, other, noise=False), weights)
    one = Headline(
        point=point,
        against=(name, other),
        gap=gap.aggregate + (bias or 0.0),
        std=float(np.hypot(own, spread)) or 1e-12,
        predicted=gap.aggregate,
        bias=bias,
        seeds=0,
        measured=None,
        noise=aggregate_noise(moment.measured, moment.aggregate),
        more=None,
        fit=fit,
        aggregate=moment.aggregate,
    )
    return with_more(with_seeds(one, store, study))


def optimism_of(store: Store, moment: Moment) -> dict[str, Any] | None:
    """What refits of the fit in use say of a choice of its lowest prediction (engine.league.optimism.Optimism); None
    where they were asked about another surrogate or other priorities. A point that a search on fewer runs found was
    chosen less by this fit's own luck: for that it is an upper bound."""
    optimism = moment.fit.league.optimism if moment.fit is not None else None
    own = moment.aggregate.to_dict() == aggregate_of(store, moment.study).to_dict()
    return optimism if optimism and own and moment.fit is not None and optimism["of"] == moment.fit.name else None


def with_seeds(one: Headline, store: Store, study: studies.Study) -> Headline:
    """The same, weighed with runs of both points at the study's own size that were made to confirm."""
    own = study.spec["fidelity"]
    done = [
        run for run in confirm_runs.confirmations(store, study.id) if run.losses is not None and run.fidelity == own
    ]
    pair = [
        {run.seed: float(one.aggregate.of(run.losses)) for run in done if np.abs(run.weights - at).max() <= SAME_POINT}
        for at in (one.point, one.against[1])
    ]
    seeds = sorted(pair[0].keys() & pair[1].keys())
    if not seeds or one.noise is None:
        return one
    measured = float(np.mean([pair[0][seed] - pair[1][seed] for seed in seeds]))
    precisions = np.array([1 / one.std**2, len(seeds) / (2 * one.noise.std**2)])
    gap = float(precisions @ [one.gap, measured] / precisions.sum())
    return replace(one, gap=gap, std=float(precisions.sum() ** -0.5), seeds=len(seeds), measured=measured)


def with_more(one: Headline) -> Headline:
    """The same, with the further seeds of both points that would halve its standard deviation."""
    if one.noise is None:
        return replace(one, more=None)
    more = int(np.ceil(3 * 2 * one.noise.std**2 / one.std**2))  # precision must become four times as large
    return replace(one, more=more if 1 <= more <= MOST_SEEDS else None)


def plan_of(study: studies.Study, one: Headline) -> Plan:
    """The runs that would halve the uncertainty: both points at the study's own size, with further seeds."""
    mixtures = {BEST_PREDICTED: one.point, one.against[0]: one.against[1]}
    return Plan(mixtures, StudySpec.from_dict(study.spec).fidelity, one.seeds + (one.more or 0))
