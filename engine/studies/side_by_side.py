"""Two studies side by side: which of their losses compare, and what each predicts and measured there. Uses the store.

A metric compares where both have it in one unit, on the same validation text, as much of it, for models of one size and
budget. Anything else is named with the reason, and no difference is given.
"""

from dataclasses import dataclass

import numpy as np

from engine.spec.objectives import DEVIATIONS, Aggregate, Objective
from engine.spec.statistics import ci_half_width
from engine.studies.measured import noise_floor
from engine.studies.moments import Moment, moment_of
from engine.studies.points import BEST_PREDICTED, named_points
from engine.surrogates.prediction import predict
from store import corpora, runs, studies
from store.database import Store

WINDOWS = ("context", "eval_tokens")  # of a fidelity: which windows of the validation text are measured
TEXT, UNKNOWN = "other validation text", "it is unknown whether the validation text is the same: it was not read here"


@dataclass(frozen=True)
class Value:
    """A loss or score and the standard deviation of one run's; NaN where that is unknown."""

    value: float
    std: float


@dataclass(frozen=True)
class Gap:
    """The second study's value minus the first's, with half its 95% interval; NaN where the noise is unknown."""

    value: float
    half: float

    @property
    def verdict(self) -> str:
        """Whether the two can be told apart."""
        if not np.isfinite(self.half):
            return "noise unknown"
        return "within noise" if abs(self.value) <= self.half else "beyond noise (95%)"


@dataclass(frozen=True)
class Answer:
    """What a study found by its own priorities. moment: what it rests on; point (D,): what the search in use
    recommends, None before one, or with too few runs; run: the best measured one. predicted (M,) at the point; measured
    (M,) in that run; total: the aggregate of either."""

    moment: Moment
    point: np.ndarray | None
    run: str | None
    predicted: list[Value] | None
    measured: list[Value] | None
    total: tuple[Value | None, Value | None]

    @property
    def aggregate(self) -> Aggregate:
        return self.moment.aggregate


@dataclass(frozen=True)
class Row:
    """A metric of both, or the aggregate. why: it does not compare; "" if it does. predicted, measured: of the two."""

    name: str
    unit: str
    why: str
    predicted: tuple[Value | None, Value | None]
    measured: tuple[Value | None, Value | None]

    def gap(self, pair: tuple[Value | None, Value | None]) -> Gap | None:
        """The difference of two values; None unless both are there and the metric compares."""
        one, other = pair
        if self.why or one is None or other is None:
            return None
        return Gap(other.value - one.value, ci_half_width(float(np.hypot(one.std, other.std))))


@dataclass(frozen=True)
class SideBySide:
    """rows: the aggregate, then each metric of both; alone: the metrics that only the first or the second has."""

    answers: tuple[Answer, Answer]
    rows: list[Row]
    alone: tuple[list[str], list[str]]


def side_by_side(store: Store, one: studies.Study, other: studies.Study) -> SideBySide:
    """Both studies' answers, and their metrics. Raises Problem where one is not planned yet."""
    answers = answer(store, one), answer(store, other)
    places = {objective.metric: place for place, objective in enumerate(other.objectives)}
    rows = []
    for place, objective in enumerate(one.objectives):
        if (there := places.get(objective.metric)) is not None:
            why = barrier(store, one, other, objective, other.objectives[there])
            rows.append(_row(objective.metric, objective.unit, why, answers, (place, there)))
    names = [row.name for row in rows]
    alone = tuple([name for name in study.metrics if name not in names] for study in (one, other))
    return SideBySide(answers, [total(answers, rows, (one, other)), *rows], alone)


def answer(store: Store, study: studies.Study) -> Answer:
    """What a study recommends, and the best that it measured."""
    moment = moment_of(store, study)
    by, measured, best, fit = moment.aggregate, moment.measured, moment.best, moment.fit
    point = named_points(moment).get(BEST_PREDICTED)
    prediction = None if fit is None or point is None else predict(fit.surrogate, point, by.weights)
    predicted = prediction and [
        Value(*pair) for pair in zip(prediction.mean.tolist(), prediction.std.tolist(), strict=True)
    ]
    totals: list[Value | None] = [prediction and Value(prediction.aggregate, prediction.aggregate_std), None]
    values = run = None
    if best is not None:
        run = measured.ids[best]
        errors = runs.standard_errors(store, study.id, len(study.metrics))[run]
        noise = np.zeros(len(errors)) if study.kind == "merge" else noise_floor(measured)  # a merge has no seeds
        std = np.full(len(errors), np.nan) if noise is None else np.hypot(errors, noise)
        values = [Value(*pair) for pair in zip(measured.losses[best].tolist(), std.tolist(), strict=True)]
        totals[1] = Value(float(by.of(measured.losses[best])), by.error_of([std]))
    return Answer(moment, point, run, predicted, values, (totals[0], totals[1]))


def barrier(store: Store, one: studies.Study, other: studies.Study, mine: Objective, theirs: Objective) -> str:
    """Why a metric of two studies does not compare; "" if it does."""
    if mine.unit != theirs.unit:
        return f"another unit: {mine.unit}, and {theirs.unit}"
    if mine.higher_is_better != theirs.higher_is_better:
        return "another direction: higher is better in one of them only"
    if mine.domain != theirs.domain:
        return "another domain"
    texts = [_text(study, mine.domain) for study in (one, other)]
    if None in texts:
        return UNKNOWN
    if texts[0] != texts[1]:
        return TEXT
    sizes = [study.spec.get("fidelity") or {} for study in (one, other)]
    windows = [[size.get(name) for name in WINDOWS] for size in sizes]
    if windows[0] != windows[1] or _tokenizer(store, one) != _tokenizer(store, other):
        return "other windows of the validation text"
    models = [{name: value for name, value in size.items() if name not in WINDOWS} for size in sizes]
    bases = [(study.spec.get("merge") or {}).get("base", "") for study in (one, other)]
    return "" if models[0] == models[1] and bases[0] == bases[1] else "models of another size or budget"


def total(answers: tuple[Answer, Answer], rows: list[Row], of: tuple[studies.Study, studies.Study]) -> Row:
    """The aggregates of both, which compare where they are of the same metrics with the same weights."""
    by = [one.aggregate for one in answers]
    counted = [
        {name: round(float(weight), 9) for name, weight in zip(study.metrics, one.weights, strict=True) if weight}
        for study, one in zip(of, by, strict=True)
    ]
    whys = {row.name: row.why for row in rows}
    why = next((f"{name}: {whys[name]}" for name in counted[0] if whys.get(name)), "")
    if counted[0].keys() != counted[1].keys():
        why = "it is of other metrics"
    elif counted[0] != counted[1] or DEVIATIONS in (by[0].unit, by[1].unit):
        why = why or "its metrics are weighed otherwise"
    (one, one_measured), (other, other_measured) = answers[0].total, answers[1].total
    return Row(by[0].title, by[0].unit, why, (one, other), (one_measured, other_measured))


def _row(name: str, unit: str, why: str, answers: tuple[Answer, Answer], places: tuple[int, int]) -> Row:
    predicted = [one.predicted and one.predicted[place] for one, place in zip(answers, places, strict=True)]
    measured = [one.measured and one.measured[place] for one, place in zip(answers, places, strict=True)]
    return Row(name, unit, why, (predicted[0], predicted[1]), (measured[0], measured[1]))


def _text(study: studies.Study, domain: str | None) -> str | None:
    """The hash of a domain's validation text; None where it is unknown."""
    facts = (study.corpus or {}).get("domains", {}).get(domain, {})
    return facts.get("sha256", {}).get("valid")


def _tokenizer(store: Store, study: studies.Study) -> dict | None:
    manifest = corpora.manifest(store, study.spec["corpus"])
    return manifest and manifest["tokenizer"]
