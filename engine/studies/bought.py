"""What a study's many runs bought: its answer against rivals' mixtures, each trained alike. Uses the store."""

import re
from dataclasses import dataclass

import numpy as np

from engine.spec.fidelity import Fidelity
from engine.spec.objectives import Aggregate
from engine.spec.rivals import RIVALS
from engine.studies.measured import points_measured
from engine.studies.points import BEST_PREDICTED
from engine.studies.rivals import found_rivals
from store import confirm_runs, studies
from store.database import Store

CONFIDENCE = 0.95
BOUGHT, LOST, NOTHING, UNKNOWN = "bought", "lost", "within noise", "unknown"


@dataclass(frozen=True)
class Bought:
    """The answer's aggregate minus a rival's, at one size; below 0 the answer is better, whatever is measured.

    label: of the rival's mixture; gap: the mean over seeds that both have; half: half its 95% interval, None where
    fewer than two seeds tell; seeds; runs: what finding the rival's mixture took, in proxies, None where it is no
    longer known; of: the runs that the answer was found by.
    """

    label: str
    gap: float
    half: float | None
    seeds: int
    runs: float | None
    of: int

    @property
    def verdict(self) -> str:
        """BOUGHT where the answer is better beyond noise, LOST where the rival is, NOTHING where neither is, UNKNOWN
        before there are two seeds."""
        if self.half is None:
            return UNKNOWN
        if abs(self.gap) <= self.half:
            return NOTHING
        return BOUGHT if self.gap < 0 else LOST


@dataclass(frozen=True)
class Comparison:
    """fidelity: of the models; answer: the label of the study's own; against: every rival that has a measurement."""

    fidelity: Fidelity
    answer: str
    against: list[Bought]


def method_of(label: str) -> str | None:
    """The method of a confirmation's label; None for one of no rival."""
    title = re.sub(r" \(\d+\)$", "", label)
    return next((name for name, rival in RIVALS.items() if rival.title == title), None)


def comparisons(store: Store, study: studies.Study, aggregate: Aggregate) -> list[Comparison]:
    """What was confirmed of rivals, the largest models first."""
    by_size: dict[tuple, list[confirm_runs.Confirmed]] = {}
    for run in confirm_runs.confirmations(store, study.id):
        if run.losses is not None:
            by_size.setdefault(tuple(sorted(run.fidelity.items())), []).append(run)
    found = [one for rows in by_size.values() if (one := _compared(store, study, rows, aggregate)) is not None]
    return sorted(found, key=lambda one: -one.fidelity.flops(256))


def _compared(
    store: Store, study: studies.Study, rows: list[confirm_runs.Confirmed], aggregate: Aggregate
) -> Comparison | None:
    """The comparison at one size; None where no rival, or nothing else, is measured there."""
    values: dict[str, dict[int, float]] = {}
    for run in rows:
        if np.isfinite(value := float(aggregate.of(run.losses))):
            values.setdefault(run.label, {})[run.seed] = value
    rivals = [label for label in values if method_of(label) is not None]
    own = [label for label in values if label not in rivals]
    if not rivals or not own:
        return None
    answer = BEST_PREDICTED if BEST_PREDICTED in own else own[0]
    gaps = {
        label: np.array(
            [values[answer][seed] - value for seed, value in values[label].items() if seed in values[answer]]
        )
        for label in rivals
    }
    costs, of = found_rivals(store, study), len(points_measured(store, study.id).ids)
    halves = half_widths(list(gaps.values()))
    against = []
    for (label, gap), half in zip(gaps.items(), halves, strict=True):
        cost = costs.get(str(method_of(label)))
        if len(gap):
            against.append(Bought(label, float(gap.mean()), half, len(gap), cost and cost.runs, of))
    return Comparison(Fidelity.from_dict(rows[0].fidelity), answer, against)


def half_widths(gaps: list[np.ndarray]) -> list[float | None]:
    """Half the 95% interval of each mean of differences between runs of one seed: by Student's t, the spread pooled
    over all of them, as few seeds tell little of it alone. None where nothing was repeated."""
    from scipy.special import stdtrit

    freedom = sum(max(0, len(one) - 1) for one in gaps)
    if not freedom:
        return [None] * len(gaps)
    spread = np.sqrt(sum(((one - one.mean()) ** 2).sum() for one in gaps if len(one)) / freedom)
    factor = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    return [float(factor * spread / np.sqrt(len(one))) if len(one) else None for one in gaps]
