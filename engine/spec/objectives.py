"""Objectives: a study's metrics, their directions and priorities, and how they are combined into one number.

A study's metrics need not be its domains: they are losses of domains, scores of tasks, or both. One surrogate is
fitted per metric, and their predictions are combined here, so priorities can be changed after the runs are done.
R runs, M metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.checks import check_fields, is_number
from engine.core.errors import Problem
from engine.spec.statistics import first_lowest, weighted_sum

BITS = "bits per byte"
TOKEN_NATS = "nats per token"  # of losses on text whose tokenizer is unknown
RELATIVE = "of the natural mixture's loss"  # the unit of a mean of losses that were divided by those
SCORE = "score"  # the unit of a metric whose name tells no other
DEVIATIONS = "standard deviations"  # the unit of an aggregate over metrics of different units or directions


@dataclass(frozen=True)
class Objective:
    """One metric of a study.

    metric: its name, as the runs' file has it; domain: whose loss it is, for a domain's loss; priority: how much
    it counts, at least 0; task: whose score it is, chance: what guessing scores there, items: of how many items;
    reference: what it is compared with (engine/spec/flips.py), where chance is what an equal run would have.
    """

    metric: str
    unit: str = BITS
    higher_is_better: bool = False
    domain: str | None = None
    priority: float = 1.0
    task: str | None = None
    chance: float | None = None
    items: int | None = None
    reference: str | None = None

    @property
    def usual(self) -> float:
        """How much it counts where nobody says: 1; 0 for a task's score, which may be only noise, and for a comparison,
        which is there to be limited."""
        return 1.0 if self.task is None and self.reference is None else 0.0

    @property
    def is_score(self) -> bool:
        """Whether it is a score of answers, measured here or brought along, and no loss of a text: only repeats tell
        whether such a one is more than noise."""
        if self.task is not None:
            return True
        told = self.higher_is_better or self.chance is not None or self.items is not None or self.unit == SCORE
        return self.domain is None and self.reference is None and told


@dataclass(frozen=True)
class Aggregate:
    """The signed weighted mean of metrics: `of(values)` is better when lower, whatever its metrics are.

    weights (M,): signed, negative where higher is better; they sum to one, without their signs, unless the metrics
    were divided by something, which `note` says. sign: people read `sign * of(values)`: -1 if all that
    counts is better when higher. title and unit name that number; priorities: metric -> what was asked for;
    note: how the number was made, and what is to be known of it, where that is not plain.
    """

    weights: np.ndarray
    sign: int
    title: str
    unit: str
    priorities: dict[str, float]
    note: str | None = None

    def of(self, values: np.ndarray) -> np.ndarray:
        """(...,) of values (..., M); NaN where a metric that counts is missing."""
        return weighted_sum(values, self.weights)

    def error_of(self, errors: list[np.ndarray]) -> float:
        """The standard error of the sum or difference of some aggregates, from those of their metrics, (M,) each,
        assumed independent; NaN if one that counts is unknown."""
        counted = self.weights != 0
        return float(np.sqrt(sum(np.sum((self.weights * one)[counted] ** 2) for one in errors)))

    def best(self, values: np.ndarray) -> int | None:
        """The row of values (R, M) with the lowest aggregate, the first of tied ones; None where none has all metrics
        that count."""
        found = self.of(values)
        return int(first_lowest(found)) if np.isfinite(found).any() else None

    @property
    def better(self) -> str:
        """Which way is better, as people read it."""
        return "higher" if self.sign < 0 else "lower"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "weights": self.weights.tolist(),
            "sign": self.sign,
            "title": self.title,
            "unit": self.unit,
            "priorities": self.priorities,
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Aggregate":
        """The inverse of `to_dict`. Raises Problem for a field that is missing or unknown."""
        check_fields(value, ("weights", "sign", "title", "unit", "priorities"), ("note",), "the aggregate")
        unit = value["unit"]
        if value.get("note") and unit == "spreads":  # as versions before 0.3 called them
            unit = DEVIATIONS
        return cls(**{**value, "unit": unit, "weights": np.array(value["weights"], float)})


def domain_losses(domains: list[str]) -> list[Objective]:
    """The objectives of a study that trains its own proxies: the loss of every domain, in bits per byte."""
    return [Objective(domain, domain=domain) for domain in domains]


def aggregate(
    objectives: list[Objective],
    values: np.ndarray,
    priorities: dict[str, float] | None = None,
    reference: np.ndarray | None = None,
    note: str | None = None,
) -> Aggregate:
    """Combine metrics by priority: a plain weighted mean if all that count share one unit and direction.

    Otherwise each is first divided by its standard deviation over the runs' values (R, M). priorities:
    metric -> weight, `usual` where absent; by default the objectives' own. reference (M,): losses by which others are
    divided first, where all that count are losses of bytes: a byte of one script or alphabet says more than one of
    another, so that a plain mean would be mostly that of one. note: what is to be known of a mean of losses. Raises
    Problem if none counts, a metric is unknown, or a priority is not a number of at least 0.
    """
    values = np.reshape(np.asarray(values, float), (-1, len(objectives)))
    own = {one.metric: one.priority for one in objectives}
    if priorities is not None:
        check_weighed(objectives, priorities)
        own = {one.metric: priorities.get(one.metric, one.usual) for one in objectives}
    count = np.array(list(own.values()), float)
    if not count.any():
        raise Problem("Cannot weigh the metrics: every priority is 0. Give at least one a priority above 0.")
    metric_weights = count / count.sum() * [-1 if one.higher_is_better else 1 for one in objectives]
    counted = [one for one, weight in zip(objectives, metric_weights, strict=True) if weight]
    units, ways = {one.unit for one in counted}, {one.higher_is_better for one in counted}
    if reference is not None and are_losses(counted):
        scaled = np.where(metric_weights != 0, metric_weights / reference, 0.0)
        return Aggregate(scaled, 1, "mean relative loss", RELATIVE, own, note)
    if len(units) == len(ways) == 1:
        sign, title = (-1, "mean score") if ways == {True} else (1, "mean loss")
        return Aggregate(metric_weights, sign, title, units.pop(), own, note if are_losses(counted) else None)
    divided = (
        "The metrics that count have different units or directions: each was divided by its standard deviation over "
        f"{len(values)} runs, and signed so that lower is better, before the weighted mean."
    )
    return Aggregate(metric_weights / deviations(values), 1, "weighted mean", DEVIATIONS, own, divided)


def are_losses(counted: Sequence[Objective]) -> bool:
    """Whether metrics are all losses of text, of one unit."""
    units, ways = {one.unit for one in counted}, {one.higher_is_better for one in counted}
    return units in ({BITS}, {TOKEN_NATS}) and ways == {False}


def deviations(values: np.ndarray) -> np.ndarray:
    """(M,) standard deviation of each metric over runs (R, M), NaN left out; 1 if it does not vary yet."""
    values = np.asarray(values, float)
    found = np.array([np.std(column[np.isfinite(column)]) if np.isfinite(column).any() else 0 for column in values.T])
    return np.where(found > 0, found, 1.0)


def check_weighed(objectives: list[Objective], priorities: dict[str, float]) -> None:
    """Raise Problem if a metric is unknown or a priority is not a number of at least 0."""
    check_priorities(priorities)
    own = [one.metric for one in objectives]
    if unknown := [name for name in priorities if name not in own]:
        raise Problem(f"Cannot weigh {unknown[0]!r}: the metrics of this study are {', '.join(own)}.")


def check_priorities(priorities: dict[str, float]) -> None:
    """Raise Problem for a priority that is not a number of at least 0."""
    for name, weight in priorities.items():
        if not is_number(weight, 0):
            raise Problem(f"Cannot weigh {name!r} by {weight!r}: a priority is a number of at least 0.")


@dataclass(frozen=True)
class Scale:
    """A common axis for differences of all metrics: factor (M,) times a difference, in `unit`; `better`: its direction.

    One unit and direction: differences unchanged. Several: divided by each metric's standard deviation over the runs,
    and signed so that lower is better.
    """

    factor: np.ndarray
    unit: str
    better: str


def common_scale(objectives: list[Objective], values: np.ndarray) -> Scale:
    """The scale of a study's metrics; values (R, M) of its runs."""
    signs = np.array([-1.0 if one.higher_is_better else 1.0 for one in objectives])
    units = {one.unit for one in objectives}
    if len(units) == 1 and len(set(signs)) == 1:
        return Scale(np.ones(len(objectives)), units.pop(), "higher" if signs[0] < 0 else "lower")
    return Scale(signs / deviations(values), DEVIATIONS, "lower")
