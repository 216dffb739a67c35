"""Phases of a study: whether their order matters, what a schedule is predicted to measure, and the best one. Uses the
store.

A schedule is the shares of every phase. What it is predicted to measure is what the surrogate in use predicts of one
mixture with its totals, plus what its order adds. F phases, D domains, M metrics.
"""

from dataclasses import dataclass

import numpy as np

from engine.analysis.phases import FEWEST, LAWS, LEVEL, Contrasts, Order, best_order, order_matters
from engine.core.checks import is_number
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.spec.objectives import Aggregate
from engine.spec.phases import PHASED, PLANNED, fractions_of, order_of, total_of, triples_of
from engine.spec.statistics import SAME_POINT, lowest, weighted_sum
from engine.spec.study import StudySpec
from engine.studies.fits import Fit
from engine.studies.measured import frame_of_study
from engine.studies.moments import Moment, moment_of
from engine.studies.points import BEST_PREDICTED, named_points
from engine.surrogates.prediction import Prediction, predict
from store import phases as of_phases
from store import studies
from store.database import Store

BEST_SCHEDULE = "best schedule"
DRAWS, KEPT = 2048, 32  # mixtures that the best schedule's totals are looked for among, and of which orders are tried
SUM = 1e-3  # tolerance of a phase's sum, as people write shares


@dataclass(frozen=True)
class Phases:
    """What a study's runs say of its phases. order: None until enough runs are measured, and before the first fit;
    pairs: how many comparisons of two orders of one mixture are measured, of `planned`; exact: whether it rests on
    these alone, and on no prediction of one mixture."""

    study: studies.Study
    by: Aggregate
    fit: Fit | None
    fractions: np.ndarray
    order: Order | None
    pairs: int
    planned: int
    exact: bool

    @property
    def verdict(self) -> str:
        """What they say, in a sentence."""
        if self.order is None:
            if self.fit is None and self.pairs >= FEWEST:
                return "Whether order matters is known once the study's surrogates are fitted."
            return (
                f"Not known yet: {self.pairs} of {self.planned} comparisons of two orders of one mixture are measured, "
                f"and it takes {FEWEST}."
            )
        moved = self.moved
        if self.order.pays:
            law, gain = LAWS[self.order.laws[-1]], self.order.gains[-1]
            return (
                f"Order matters for the {self.by.title}: {law[0].lower()}{law[1:]} predicts {gain:.0%} of what it "
                "changes in runs held out."
            )
        also = f" It does change {listed(moved)}." if moved else ""
        return f"Order adds nothing to the {self.by.title} beyond noise: keep one mixture.{also}"

    @property
    def moved(self) -> list[str]:
        """The metrics that order changes beyond noise."""
        if self.order is None:
            return []
        return [self.study.metrics[m] for m in np.flatnonzero(self.order.used[:-1])]


@dataclass(frozen=True)
class Schedule:
    """A schedule and its predictions. phases (F, D); one: of one mixture with its totals; change, change_std (M,), and
    of the aggregate: what its order adds, zeros where that is nothing beyond noise."""

    phases: np.ndarray
    one: Prediction
    change: np.ndarray
    change_std: np.ndarray
    aggregate_change: float
    aggregate_change_std: float

    @property
    def aggregate(self) -> float:
        return self.one.aggregate + self.aggregate_change

    @property
    def aggregate_std(self) -> float:
        """Of one run."""
        return float(np.hypot(self.one.aggregate_std, self.aggregate_change_std))


def phases_of(store: Store, moment: Moment) -> Phases:
    """What is known of a study's phases by a moment's fit and priorities. Raises Problem if it has none."""
    spec = StudySpec.from_dict(moment.study.spec)
    if not spec.phases:
        raise Problem(
            f"Cannot tell what phases do in {moment.study.name!r}: it has none. Start a study with phases, which "
            "trains some mixtures in both orders."
        )
    fit, by = moment.fit, moment.aggregate
    key = ("phases", moment.study.id, fit and (fit.name, fit.fingerprint), by.weights.tobytes())
    return store.remembered(key, lambda: _phases_of(store, moment, spec))


def _phases_of(store: Store, moment: Moment, spec: StudySpec) -> Phases:
    study, fit, by, fractions = moment.study, moment.fit, moment.aggregate, fractions_of(spec)
    exact, rest = contrasts_of(store, study, fit, by, fractions)
    pairs, planned = len(exact.values), triples_of(spec) + any(phase.get("shares") for phase in spec.phases)
    used = exact if pairs >= FEWEST else _joined(exact, rest)
    order = None
    if fit is not None and len(used.values) >= FEWEST:
        order = order_matters(used, lambda shares: with_aggregate(fit.surrogate.mean(shares), by), fractions)
    return Phases(study, by, fit, fractions, order, pairs, planned, pairs >= FEWEST)


def with_aggregate(values: np.ndarray, by: Aggregate) -> np.ndarray:
    """(n, M + 1) values (n, M) and their weighted mean, better when lower."""
    return np.concatenate([values, weighted_sum(values, by.weights)[:, None]], axis=1)


def contrasts_of(
    store: Store, study: studies.Study, fit: Fit | None, by: Aggregate, fractions: np.ndarray
) -> tuple[Contrasts, Contrasts]:
    """Runs of one mixture's totals in two orders, and, each once, runs of phases against the fit's prediction of one
    mixture, whose error counts as another run's noise. Runs without all that counts are left out; a metric that any
    other run lacks says nothing."""
    found = [one for one in phased_runs(store, study) if np.isfinite(weighted_sum(one.losses, by.weights))]
    exact, single = [], list(found)
    for one in found:
        other = next((other for other in single if other is not one and _opposite(one, other, fractions)), None)
        if one in single and other is not None:
            exact.append((one.phases, other.phases, one.losses - other.losses))
            single = [left for left in single if left is not one and left is not other]
    rest = []
    for one in single if fit is not None else []:
        tied = np.repeat(one.weights[None], len(fractions), axis=0)
        if np.abs(one.phases - tied).max() > SAME_POINT:
            rest.append((one.phases, tied, one.losses - _of_one_mixture(fit, one)))
    return _contrasts(exact, study, by, fractions), _contrasts(rest, study, by, fractions)


def _of_one_mixture(fit: Fit, run: of_phases.Phased) -> np.ndarray:
    """(M,) what is predicted of one mixture with a run's totals: held out, where the run itself was fitted."""
    if run.id in fit.measured.ids:
        held_out: np.ndarray = fit.held_out[0][fit.measured.ids.index(run.id)]
        return held_out
    return fit.surrogate.mean(run.weights[None])[0]


def _opposite(one: of_phases.Phased, other: of_phases.Phased, fractions: np.ndarray) -> bool:
    """Whether two runs have the same totals, and opposite orders; or the other has none: it is one mixture."""
    if np.abs(one.weights - other.weights).max() > SAME_POINT:
        return False
    first, second = order_of(one.phases, fractions), order_of(other.phases, fractions)
    return bool(min(np.abs(first + second).max(), np.abs(second).max()) < SAME_POINT < np.abs(first).max())


def _contrasts(
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]], study: studies.Study, by: Aggregate, fractions: np.ndarray
) -> Contrasts:
    shape, scale = (0, len(fractions), len(study.coordinates)), np.sqrt(0.5)
    one, other = (np.array([row[side] for row in rows]).reshape(-1, *shape[1:]) for side in (0, 1))
    values = np.array([row[2] for row in rows], float).reshape(-1, len(study.metrics))
    values = with_aggregate(values, by) * scale
    known = np.isfinite(values).all(axis=0)
    return Contrasts(one, other, np.where(known, values, 0.0), np.full(len(values), scale))


def _joined(one: Contrasts, other: Contrasts) -> Contrasts:
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return Contrasts(*(np.concatenate(pair) for pair in pairs))


# Schedules ---------------------------------------------------------------------------------------------------


def schedule_at(found: Phases, phases: np.ndarray) -> Schedule:
    """What phases (F, D) are predicted to measure. Raises Problem before the first fit."""
    if found.fit is None:
        raise Problem(f"Cannot predict phases in {found.study.name!r}: nothing is fitted yet. Wait for its first fit.")
    one = predict(found.fit.surrogate, total_of(phases, found.fractions), found.by.weights)
    change, std = np.zeros(len(found.study.metrics) + 1), np.zeros(len(found.study.metrics) + 1)
    if found.order is not None:
        (change,), (std,) = found.order.effect(phases[None])
    return Schedule(phases, one, change[:-1], std[:-1], float(change[-1]), float(std[-1]))


def best_schedule(store: Store, moment: Moment, found: Phases) -> np.ndarray:
    """(F, D) the phases with the lowest predicted aggregate, over totals and orders: one mixture, that of the search in
    use or the prior, where order adds nothing. Raises Problem before the first fit."""
    key = ("best schedule", found.study.id, found.fit and found.fit.name, found.by.weights.tobytes())
    return store.remembered(key, lambda: _best_schedule(moment, found))


def _best_schedule(moment: Moment, found: Phases) -> np.ndarray:
    frame = frame_of_study(found.study)
    start = named_points(moment).get(BEST_PREDICTED, frame.prior)
    if found.order is None or found.fit is None or not found.order.pays:
        return np.repeat(start[None], len(found.fractions), axis=0)
    totals = np.concatenate([start[None], frame.space.draw(frame.prior, DRAWS, np.random.default_rng(0))])
    value = weighted_sum(found.fit.surrogate.mean(totals), found.by.weights)
    kept = np.unique([0, *lowest(value, KEPT)])
    tried = np.stack([best_order(found.order, totals[place]) for place in kept])
    best: np.ndarray = tried[lowest(value[kept] + found.order.mean(tried)[:, -1], 1)[0]]
    return best


def named_schedules(store: Store, moment: Moment) -> dict[str, np.ndarray]:
    """The schedules of a study that have a name, (F, D) each: the best one, where order pays, and the planned one."""
    if not moment.study.spec.get("phases"):
        return {}
    found = phases_of(store, moment)
    best = {BEST_SCHEDULE: best_schedule(store, moment, found)} if found.order and found.order.pays else {}
    return best | {one.label: one.phases for one in phased_runs(store, moment.study) if one.label == PLANNED}


def schedule_of(store: Store, study: studies.Study, name: str) -> np.ndarray | None:
    """(F, D) the phases of a schedule's name or of a run's id; None where it is neither. Raises Problem for the best
    schedule where order adds nothing: that is one mixture."""
    if not study.spec.get("phases"):
        return None
    if name in (BEST_SCHEDULE, PLANNED):
        moment = moment_of(store, study)
        named = named_schedules(store, moment)
        if name not in named:
            why = phases_of(store, moment).verdict if name == BEST_SCHEDULE else "No run of it is finished."
            raise Problem(f"Cannot use {name!r} of {study.name!r}. {why}")
        return named[name]
    return next((one.phases for one in phased_runs(store, study) if one.id == name), None)


def fractions_in(study: studies.Study) -> np.ndarray:
    """(F,) the parts of the tokens that a study's phases take."""
    return fractions_of(StudySpec.from_dict(study.spec))


def total_in(study: studies.Study, phases: np.ndarray) -> np.ndarray:
    """(D,) the shares of all tokens of phases (F, D)."""
    return total_of(phases, fractions_in(study))


def phased_runs(store: Store, study: studies.Study) -> list[of_phases.Phased]:
    """The finished runs of phases whose phases are the study's, and make their totals."""
    fractions = fractions_in(study)
    shape = (len(fractions), len(study.coordinates))
    fine = (one for one in of_phases.phased(store, study.id) if one.phases.shape == shape)
    return [one for one in fine if np.abs(total_of(one.phases, fractions) - one.weights).max() < SUM]


def read_phases(study: studies.Study, asked: list[dict[str, float]]) -> np.ndarray:
    """(F, D) the phases that somebody wrote as shares by domain. Raises Problem where they are none of the study's."""
    count = len(study.spec.get("phases") or ())
    if len(asked) != count:
        raise Problem(f"Cannot read {len(asked)} phases: {study.name!r} has {count}. Give the shares of each.")
    for place, one in enumerate(asked, 1):
        if unknown := [name for name in one if name not in study.domains]:
            raise Problem(f"Cannot read phase {place}: it names {unknown[0]!r}; there are {', '.join(study.domains)}.")
        if not all(is_number(share, 0, 1) for share in one.values()) or abs(sum(one.values()) - 1) > SUM:
            raise Problem(f"Cannot read phase {place}, {one}: shares are from 0 to 1, and sum to 1.")
    phases = np.array([[one.get(name, 0.0) for name in study.domains] for one in asked], float)
    shares: np.ndarray = phases / phases.sum(axis=1, keepdims=True)
    return shares


def epochs_by_phase(study: studies.Study, phases: np.ndarray, fractions: np.ndarray) -> np.ndarray | None:
    """(F, D) passes over each domain's text in each phase of the real run, NaN where it is unknown; None without budget
    or counts."""
    frame = frame_of_study(study)
    if frame.pools is None or not frame.budget:
        return None
    passes: np.ndarray = phases * fractions[:, None] * frame.budget / frame.pools.tokens
    return passes


# As JSON -----------------------------------------------------------------------------------------------------


def as_json(found: Phases) -> dict:
    """What is known of the phases, as plain values."""
    order, study = found.order, found.study
    columns = [*study.metrics, found.by.title]
    rows = [] if order is None else list(zip(columns, order.laws, order.gains, order.chance, order.used, strict=True))
    return {
        "fractions": found.fractions.tolist(),
        "runs": {
            "done": study.done if study.imported else study.done_roles.get(PHASED, 0),
            "planned": study.runs if study.imported else study.roles.get(PHASED, 0),
        },
        "comparisons": {"measured": found.pairs, "planned": found.planned, "exact": found.exact},
        "verdict": found.verdict,
        "matters": None if order is None else order.pays,
        "level": LEVEL,
        "laws": [
            {"of": name, "law": law, "predicts": float(gain), "chance": float(chance), "used": bool(used)}
            for name, law, gain, chance, used in rows
        ],
    }


def schedule_json(found: Phases, at: Schedule) -> dict:
    """A schedule and its predictions, as plain values."""
    study, epochs = found.study, epochs_by_phase(found.study, at.phases, found.fractions)
    named = [dict(zip(study.domains, row.tolist(), strict=True)) for row in at.phases]
    passes = (
        None
        if epochs is None
        else [
            {name: None if np.isnan(one) else float(one) for name, one in zip(study.domains, row, strict=True)}
            for row in epochs
        ]
    )
    metrics = zip(study.metrics, at.one.mean, at.one.std, at.change, at.change_std, strict=True)
    return {
        "phases": named,
        "total": dict(zip(study.domains, at.one.shares.tolist(), strict=True)),
        "epochs": passes,
        "aggregate": at.aggregate,
        "aggregate_std": at.aggregate_std,
        "change": at.aggregate_change,
        "change_std": at.aggregate_change_std,
        "metrics": [
            {
                "metric": name,
                "mean": float(mean + change),
                "std": float(np.hypot(std, off)),
                "change": float(change),
                "change_std": float(off),
            }
            for name, mean, std, change, off in metrics
        ],
    }
