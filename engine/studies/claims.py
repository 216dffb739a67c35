"""What a confirmation can claim, before it is paid: "A beats B" by the noise between seeds. Uses the store."""

from dataclasses import dataclass, replace

import numpy as np

from engine.analysis.power import Claim, claim
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width, is_same_point
from engine.studies.confirmations import Plan
from engine.studies.measured import Noise, aggregate_noise, noise_of_groups, points_measured
from engine.studies.moments import moment_of
from engine.studies.schedules import compared_with, predicted_difference
from store import confirm_runs, studies
from store.database import Store

REPEATS, CONFIRMED = "repeats at the proxies' size", "confirmations of that size"


@dataclass(frozen=True)
class Claims:
    """The claims that a plan's first mixture beats each baseline in it.

    noise: of the aggregate between seeds, None where nothing was repeated yet: then claims is empty; source: the runs
    that it was measured on, REPEATS or CONFIRMED.
    """

    noise: Noise | None
    source: str
    claims: list[Claim]


def claims(store: Store, study: studies.Study, plan: Plan, aggregate: Aggregate) -> Claims:
    """What the plan's runs can show. Raises Problem before the first fit, as its plan does.

    Differences are predicted at the proxies' size, and so is the noise until runs of the plan's size are there.
    """
    moment, points = moment_of(store, study, aggregate), list(plan.mixtures.values())
    noise, source = seeds_noise(store, study, plan, aggregate)
    if moment.fit is None or noise is None or not noise.std > 0:
        return Claims(None, source, [])
    found = []
    for name, point in compared_with(study, points[0]).items():
        if not any(is_same_point(point, other) for other in points[1:]):
            continue
        gap = predicted_difference(store, moment, points[0], point)
        one = claim(name, gap.aggregate, noise.std, noise.freedom, plan.seeds, len(points))
        found.append(replace(one, half=ci_half_width(gap.aggregate_std)))
    return Claims(noise, source, found)


def seeds_noise(store: Store, study: studies.Study, plan: Plan, aggregate: Aggregate) -> tuple[Noise | None, str]:
    """The noise of an aggregate between seeds, of earlier runs at the plan's size where there are, else of repeats."""
    own = [run for run in confirm_runs.confirmations(store, study.id) if run.fidelity == plan.fidelity.to_dict()]
    done = [run for run in own if run.losses is not None]
    if done:
        weights, losses = np.stack([run.weights for run in done]), np.stack([run.losses for run in done])
        if (noise := noise_of_groups(weights, aggregate.of(losses))) is not None:
            return noise, CONFIRMED
    return aggregate_noise(points_measured(store, study.id), aggregate), REPEATS
