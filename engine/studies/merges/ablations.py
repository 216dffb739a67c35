"""Take a merge apart: how many experts pay, and which modules help or harm. Uses the store."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from engine.analysis.expert_law import FEWEST, ExpertLaw, fitted
from engine.core.checks import check, is_number, is_whole
from engine.core.errors import Problem
from engine.core.people import takes
from engine.spec.kinds.merge_ablation import Ablation, MergeAblationTask
from engine.spec.merge_catalogue import card_of
from engine.spec.objectives import Aggregate
from engine.spec.statistics import ci_half_width
from engine.studies.merge_jobs import merge_settings
from engine.studies.merges.questions import merge_spec, points_of, task_of
from engine.studies.moments import moment_of
from engine.studies.points import point_of
from engine.studies.questions import Asked, ask_once, job_id_of
from store import results, studies
from store.database import Store, in_turn

MOST_SETS = 200  # of one size


@takes("operator", "take a merge apart")
@in_turn
def queue_ablation(
    store: Store,
    study: studies.Study,
    at: str | dict[str, float] = "best",
    subsets: int = 6,
    total: float = 1.0,
    seed: int = 0,
    label: str | None = None,
) -> Asked:
    """Queue the measurement of merges of fewer experts, and of one merge without each of its modules.

    at: that merge, by a candidate's, baseline's or run's name, or coefficients; subsets: how many sets of each size;
    total: the sum of the equal coefficients of a set; label: what coefficients are called. The same request is one job.
    Raises Problem if anything is invalid, or the study's method takes no coefficients.
    """
    spec, experts = merge_spec(study), study.corpus["experts"]
    if "weight" not in card_of(spec.merge.method).knobs:
        raise Problem(
            f"Cannot leave experts out of {spec.merge.method}: it takes no coefficients. Use a study of a method that "
            "does, such as task_arithmetic or ties."
        )
    if len(experts) < FEWEST:
        raise Problem(
            f"Cannot tell how many experts pay in {study.name!r}: it has {len(experts)}, and it takes {FEWEST}."
        )
    check(is_whole(subsets) and 1 <= subsets <= MOST_SETS, subsets, "the sets of a size", f"1 to {MOST_SETS}")
    check(is_number(total) and 0 < abs(total) <= 100, total, "the sum of coefficients", "a number that is not 0")
    check(is_whole(seed) and 0 <= seed < 2**32, seed, "a seed", "a whole number from 0")
    point = points_of(study, [at])[0] if isinstance(at, dict) else point_of(store, study, at)
    named = label or (at if isinstance(at, str) else "coefficients that were given")
    asked = Ablation(at=point.tolist(), label=named, subsets=subsets, total=float(total), seed=seed)
    task = MergeAblationTask(**task_of(study, spec).to_dict(), ablation=asked)
    job = job_id_of(study, "ablation", asked.to_dict())
    return ask_once(store, job, task.spec(**merge_settings(spec, study.id)), study.id)


@dataclass(frozen=True)
class Experts:
    """How many experts pay. counts, values (S,): of each set of experts, and the aggregate of its merge, lower is
    better; law: fitted to them; noise: half of the 95% interval of the largest set's aggregate over validation text;
    refused: how many sets the method refused."""

    counts: np.ndarray
    values: np.ndarray
    law: ExpertLaw
    noise: float
    refused: int

    @property
    def most(self) -> int:
        """The largest number of experts measured."""
        return int(self.counts.max())

    @property
    def measured_all(self) -> bool:
        """Whether every set of experts was tried."""
        return len(self.counts) + self.refused == 2**self.most - 1

    @property
    def enough(self) -> int:
        """The fewest experts that all others together improve by less than the noise, even at the upper end of the
        law's interval; all of them where each still pays."""
        counts = np.arange(1, self.most + 1)
        _, _, high = self.law.left(counts, self.most)
        return int(counts[high <= self.noise][0])


def experts_of(found: dict[str, Any], aggregate: Aggregate) -> Experts:
    """How many experts pay, by one way to count metrics. found: of MergeAblated. Raises Problem if a law cannot be
    fitted."""
    values = np.array([aggregate.of(np.array(one["losses"], float)) for one in found["subsets"]])
    counts = np.array([len(one["experts"]) for one in found["subsets"]])
    errors = [aggregate.error_of([np.array(one["losses_se"], float)]) for one in found["subsets"]]
    fine = np.isfinite(values)
    if not fine.any():
        raise Problem("Cannot tell how many experts pay: no merge of fewer experts has the metrics that count.")
    last = int(np.flatnonzero(fine & (counts == counts[fine].max()))[0])
    law = fitted(counts[fine], values[fine])
    return Experts(counts[fine], values[fine], law, float(ci_half_width(errors[last])), int((~fine).sum()))


@dataclass(frozen=True)
class Module:
    """A module whose change was taken out of a merge. rise: how much higher the mean loss is then, in bits per byte;
    half: half of its interval, where the intervals of all modules hold together 95% of the time; domains: each rise."""

    name: str
    rise: float
    half: float
    domains: dict[str, float]

    @property
    def reading(self) -> str:
        """What its change does to the merge."""
        if abs(self.rise) <= self.half:
            return "cannot tell"
        return "helps" if self.rise > 0 else "harms"


def modules_of(found: dict[str, Any], domains: list[str], priorities: dict[str, float]) -> list[Module]:
    """Every module, from the bottom up. The mean is over the domains' losses, by the priorities of those that count
    (all alike where none does); intervals are wide enough for as many modules at once (Bonferroni)."""
    weights = np.array([max(0.0, priorities.get(name, 0.0)) for name in domains])
    weights = weights / weights.sum() if weights.any() else np.full(len(domains), 1 / len(domains))
    deviations = NormalDist().inv_cdf(1 - 0.025 / max(1, len(found["modules"])))
    return [
        Module(
            one["module"],
            float(weights @ one["rise"]),
            deviations * math.sqrt(float(np.square(weights * one["rise_se"]).sum())),
            dict(zip(domains, one["rise"], strict=True)),
        )
        for one in found["modules"]
    ]


def ablations(store: Store, study: studies.Study) -> list[dict[str, Any]]:
    """What ablations of a study's merges found, latest first, by the study's own priorities."""
    found = results.merge_ablations(store, study.id)
    if not found:
        return []
    aggregate = moment_of(store, study).aggregate
    return [_told(study, one, aggregate) for one in found]


def _told(study: studies.Study, result: dict[str, Any], aggregate: Aggregate) -> dict[str, Any]:
    """A result as commands tell it."""
    own, settings = experts_of(result["found"], aggregate), result["settings"]
    counts = np.arange(1, own.most + 1)
    value, low, high = own.law.at(counts)
    ends = np.sort(np.array([low, high]) * aggregate.sign, axis=0)
    return {
        "job": result["job"],
        "merge": settings["label"],
        "at": dict(zip(study.coordinates, settings["at"], strict=True)),
        "total": settings["total"],
        "unit": aggregate.unit,
        "experts": [
            {
                "experts": int(k),
                "sets": int((own.counts == k).sum()),
                "expected": float(aggregate.sign * value[i]),
                "low": float(ends[0, i]),
                "high": float(ends[1, i]),
            }
            for i, k in enumerate(counts)
        ],
        "enough": own.enough,
        "noise": own.noise,
        "refused": own.refused,
        "modules": [
            {"module": one.name, "rise": one.rise, "half": one.half, "reading": one.reading}
            for one in modules_of(result["found"], list(study.corpus["domains"]), aggregate.priorities)
        ],
        "t": result["t"],
    }
