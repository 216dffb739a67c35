"""What dose runs measured: the same mixture with one domain's text cut, against the run that saw all of it.

Uses the store. A dose run repeats the domain more often and gives it no larger share, so what it loses is the harm of
repetition alone.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.objectives import Aggregate
from engine.spec.statistics import SAME_POINT
from engine.studies.measured import aggregate_noise, frame_of_study, points_measured
from store import runs, studies
from store.database import Store


@dataclass(frozen=True)
class Dose:
    """One dose run. uncut: the run of the same mixture that saw all the text; epochs, more_epochs: of the domain at the
    study's target in the uncut run, and in the dose run; change: the aggregate of the dose run minus the uncut one's,
    better when lower; half: of its 95% interval by the study's repeats, None where these do not tell."""

    run: str
    uncut: str
    domain: str
    epochs: float
    more_epochs: float
    change: float
    half: float | None

    @property
    def harms(self) -> bool | None:
        """Whether more repetition cost anything beyond noise; None where the noise is unknown."""
        return None if self.half is None else self.change > self.half


@dataclass(frozen=True)
class Worth:
    """How often a domain may be repeated, in epochs. harmless: the most that cost nothing beyond noise, None where none
    did; harmful: the fewest above that which did, None where none did: then more may be fine."""

    domain: str
    harmless: float | None
    harmful: float | None


def doses(store: Store, study: studies.Study, aggregate: Aggregate) -> list[Dose]:
    """The finished dose runs of a study whose uncut runs are finished, domain by domain."""
    from scipy.special import stdtrit

    frame, measured = frame_of_study(study), points_measured(store, study.id)
    found = runs.dosed(store, study.id)
    if not found or frame.pools is None or not len(measured.ids):
        return []
    noise, made = aggregate_noise(measured, aggregate), []
    half = None if noise is None else float(stdtrit(noise.freedom, 0.975) * np.sqrt(2) * noise.std)
    for one in found:
        same = np.flatnonzero(np.abs(measured.weights - one.weights).max(axis=1) < SAME_POINT)
        if not len(same):
            continue
        uncut, cut = int(same[0]), int(np.argmin(one.doses))
        epochs = one.weights[cut] * frame.budget / frame.pools.tokens[cut]
        change = float(aggregate.of(one.losses) - aggregate.of(measured.losses[uncut]))
        seen = (float(epochs), float(epochs / one.doses[cut]))
        made.append(Dose(one.id, measured.ids[uncut], study.domains[cut], *seen, change, half))
    return sorted(made, key=lambda one: (study.domains.index(one.domain), one.more_epochs))


def worth_repeating(found: list[Dose]) -> list[Worth]:
    """Of every domain with dose runs, how often it may be repeated as far as these tell."""
    limits = []
    for domain in dict.fromkeys(one.domain for one in found):
        own = [one for one in found if one.domain == domain and one.harms is not None]
        harmful = min((one.more_epochs for one in own if one.harms), default=None)
        fine = [one.more_epochs for one in own if not one.harms and (harmful is None or one.more_epochs < harmful)]
        limits.append(Worth(domain, max(fine, default=None), harmful))
    return limits
