"""Phases of a study: whether their order matters, as its runs say. Uses the store. F phases, D domains, M metrics."""

from dataclasses import dataclass

import numpy as np

from engine.analysis.phases import FEWEST, LAWS, LEVEL, Contrasts, Order, order_matters
from engine.core.errors import Problem
from engine.core.short_names import listed
from engine.spec.objectives import Aggregate
from engine.spec.phases import PHASED, fractions_of, order_of, total_of, triples_of
from engine.spec.statistics import SAME_POINT, weighted_sum
from engine.spec.study import StudySpec
from engine.studies.fits import Fit
from engine.studies.moments import Moment
from store import phases as of_phases
from store import studies
from store.database import Store

SUM = 1e-3  # tolerance of the sum of shares as people and journals write them


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


@dataclass(frozen=True)
class Measured:
    """A finished run of phases: its aggregate as measured, as predicted of one mixture with its totals, and with what
    its order adds; better when lower."""

    run: str
    label: str | None
    measured: float
    one: float
    ordered: float


def measured_in_phases(store: Store, found: Phases) -> list[Measured]:
    """The finished runs of phases beside their predictions, the best measured first; none before the first fit. Runs
    of pairs are what the law of order learned from; branches are not."""
    by, fit = found.by, found.fit
    known = [one for one in phased_runs(store, found.study) if np.isfinite(weighted_sum(one.losses, by.weights))]
    if fit is None or not known:
        return []
    measured = weighted_sum(np.array([one.losses for one in known]), by.weights)
    level = weighted_sum(np.array([_of_one_mixture(fit, one) for one in known]), by.weights)
    added = found.order.mean(np.stack([one.phases for one in known]))[:, -1] if found.order else np.zeros(len(known))
    rows = zip(known, measured.tolist(), level.tolist(), (level + added).tolist(), strict=True)
    return sorted((Measured(one.id, one.label, *told) for one, *told in rows), key=lambda one: one.measured)


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
