"""Whether what counts can be steered by the mixture: how reliable each metric is, how well its surrogate ranks held-out
runs, and what to be warned of; of gains that vanish without items in training text, too. Uses the store."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from engine.analysis.readiness import (
    CAN,
    CANNOT,
    FEWEST,
    LIMIT,
    UNKNOWN,
    Components,
    Readiness,
    components,
    readiness,
)
from engine.core.short_names import counted, listed
from engine.spec.objectives import Aggregate, Objective
from engine.spec.statistics import ci_half_width
from engine.spec.study import StudySpec
from engine.studies.fits import fit_of
from engine.studies.measured import points_measured
from engine.studies.overlap import Gain, vanishing
from store import runs, studies
from store.database import Store

NAMED = 6  # metrics in a sentence


@dataclass(frozen=True)
class Steered:
    """A metric of a study. rank: Spearman of the predictions for held-out runs by the surrogate in use (its name), with
    its 95% interval; None before the first fit, and where the metric does not vary."""

    objective: Objective
    readiness: Readiness
    surrogate: str | None
    rank: float | None
    interval: list[float] | None


def steered(store: Store, study: studies.Study, surrogate: str | None = None) -> list[Steered]:
    """Of every metric of a mixture study, in their order. Empty for merges, which measure the same each time."""
    if study.kind == "merge" or not study.objectives:
        return []
    ready = _ready(store, study)
    fit = fit_of(store, study, surrogate)
    standing = fit and fit.standing
    count = len(study.objectives)
    ranks = (standing and standing.spearman) or [None] * count
    ends = (standing and standing.spearman_intervals) or [None] * count
    return [
        Steered(one, found, fit and fit.name, rank, interval)
        for one, found, rank, interval in zip(study.objectives, ready, ranks, ends, strict=True)
    ]


def directions(store: Store, study: studies.Study, places: list[int]) -> Components | None:
    """The first two directions in which metrics (places) move together over runs, better being positive; None where
    too few runs have all of them."""
    values = points_measured(store, study.id).losses[:, places]
    signs = np.array([1.0 if study.objectives[m].higher_is_better else -1.0 for m in places])
    return components(values[np.isfinite(values).all(axis=1)] * signs)


def warnings(store: Store, study: studies.Study, aggregate: Aggregate, limited: Collection[str] = ()) -> list[str]:
    """What is wrong with the metrics that count, or have a limit (by name): a sentence each, none where all is well.

    Losses of which nobody knows are left out: studies without repeats would warn of each. So is whether merges can be
    steered: they measure the same each time.
    """
    ready = _ready(store, study) if study.kind != "merge" and study.objectives else [None] * len(study.objectives)
    by_heart = vanishing(store, study) if any(one.task for one in study.objectives) else {}
    said, unscored, untold = [], runs.without_values(store, study.id), Untold()
    for place, (one, found) in enumerate(zip(study.objectives, ready, strict=True)):
        counts = aggregate.priorities.get(one.metric, 0) > 0
        if not counts and one.metric not in limited:
            continue
        if found is not None and found.verdict == UNKNOWN and one.is_score:
            untold.add(one, found, counts)
        elif found is not None and (words := _warning(one, found, counts)):
            said.append(words)
        if one.metric in by_heart:
            said.append(_by_heart(one, by_heart[one.metric], counts))
        for why, lacking in unscored.get(place, {}).items():
            of = counted(lacking, "finished run")
            said.append(f"{one.metric} {_role(counts)}, and {of} of {study.done} lack it. {why}")
    return [*untold.sentences(), *said]


class Untold:
    """Scores of which nobody knows whether the mixture steers them: those of one role and cure in one sentence."""

    def __init__(self) -> None:
        self.alike: dict[tuple[str, str], list[str]] = {}

    def add(self, one: Objective, found: Readiness, counts: bool) -> None:
        more = "more runs would tell"
        if found.missing:
            more = f"{found.missing} more repeats, of several mixtures, would tell"
        self.alike.setdefault((_role(counts), more), []).append(one.metric)

    def sentences(self) -> list[str]:
        """One for each group."""
        plural = {"counts": "count", "has a limit": "have limits"}
        return [
            f"{listed(names, NAMED)} {role if len(names) == 1 else plural[role]}, and whether the mixture steers "
            f"{'it' if len(names) == 1 else 'them'} is not known: {more}."
            for (role, more), names in self.alike.items()
        ]


def _role(counts: bool) -> str:
    return "counts" if counts else "has a limit"


def _by_heart(one: Objective, gain: Gain, counts: bool) -> str:
    """What to be warned of where the best run's gain is one of items that stand in training text."""
    whole, left = (
        f"{value:.3g} ± {ci_half_width(error):.2g}"
        for value, error in ((gain.whole, gain.error), (gain.left, gain.left_error))
    )
    return (
        f"{one.metric} {_role(counts)}, and the gain of its best run ({gain.run}) over "
        f"{gain.reference} vanishes without the items that stand in training text: {whole} {one.unit} on all "
        f"{gain.items}, {left} on the {gain.left_items} others (95%). It may have learned their answers by heart: "
        "measure a task without them."
    )


def before_it_starts(spec: StudySpec) -> list[str]:
    """What to be warned of before a study is trained, here or elsewhere: scores that are to count, with too few repeats
    to tell whether the mixture steers them."""
    counts = [
        name
        for name, weight in spec.priorities.items()
        if weight > 0 and any(name.startswith(f"{task} ") for task in spec.tasks)
    ]
    named = {name: {"domain": name} for name in spec.domains}
    given = [Objective(**{**named.get(one["metric"], {}), **one}) for one in spec.measures]
    counts += [one.metric for one in given if one.is_score and spec.priorities.get(one.metric, one.usual) > 0]
    if not counts or spec.repeats >= FEWEST or spec.merge is not None:
        return []
    return [
        f"{listed(counts)} will count, and whether the mixture steers that will not be known: it takes {FEWEST} "
        f"repeats, of several mixtures, and {spec.repeats} are planned."
    ]


def _ready(store: Store, study: studies.Study) -> list[Readiness]:
    """The readiness of every metric, worked out once for the same runs."""

    def found() -> list[Readiness]:
        measured = points_measured(store, study.id)
        return readiness(measured.weights, measured.losses)

    return store.remembered(("readiness", study.id), found)


def _warning(one: Objective, found: Readiness, counts: bool) -> str | None:
    """What to be warned of, for a metric that counts or only has a limit."""
    part = (
        "" if found.low is None else f"at least {max(0.0, found.low):.2f} of its variance between runs is the mixture's"
    )
    told = f"{part}, 95%, by {found.repeats} repeats"
    role = _role(counts)
    if found.verdict == CANNOT:
        cure = "Set its priority to 0" if counts else "Lift the limit"
        return f"{one.metric} {role}, but the mixture does not steer it: {told}. {cure}, or measure it on more items."
    if found.verdict == LIMIT and counts:
        return f"{one.metric} counts, but is too noisy for it: {told}. Give it a limit, not a priority."
    return None


def as_json(one: Steered) -> dict:
    """A row of the command that tells of readiness."""
    found = one.readiness
    return {
        "metric": one.objective.metric,
        "task": one.objective.task,
        "priority": one.objective.priority,
        "reliability": found.reliability,
        "at_least": found.low,
        "repeats": found.repeats,
        "mixtures": found.runs,
        "verdict": found.verdict,
        "may_be_objective": found.verdict == CAN,
        "surrogate": one.surrogate,
        "held_out_rank": one.rank,
        "held_out_rank_interval": one.interval,
    }
