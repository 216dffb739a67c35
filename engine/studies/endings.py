"""What runs in training are expected to measure at their end, by what finished runs became of the same early losses.

Uses the store. R runs, M metrics, D domains.
"""

from dataclasses import asdict, dataclass

import numpy as np

from engine.analysis.finals import FEWEST, Early, predicted_finals
from engine.core.errors import Problem
from engine.core.short_names import counted
from engine.spec.objectives import BITS, Aggregate
from engine.spec.phases import PHASED
from engine.spec.repetition import DOSE
from engine.spec.starts import START
from engine.studies.measured import check_planned
from engine.studies.phases import with_aggregate
from store import runs, studies
from store.database import Store

APART = (DOSE, PHASED, START)  # their shares do not tell what they read
WORSE, BETTER, OPEN = "worse", "better", "open"
Looks = dict[int, np.ndarray]  # tokens read -> losses (D,) then


@dataclass(frozen=True)
class Ending:
    """A run in training. tokens: what it had read when its losses were last measured, of `whole`; mean, half (M + 1,):
    its final metrics and aggregate (better when lower), NaN where one is not known, and half of their 95% intervals;
    best: the best aggregate of the `taught` finished runs."""

    run: str
    number: int
    tokens: int
    whole: int
    mean: np.ndarray
    half: np.ndarray
    taught: int
    best: float

    @property
    def verdict(self) -> str:
        """How the aggregate will stand to the best finished run: open, unless all of its interval is on one side."""
        low, high = self.mean[-1] - self.half[-1], self.mean[-1] + self.half[-1]
        return WORSE if low > self.best else BETTER if high < self.best else OPEN


@dataclass(frozen=True)
class Judged:
    """How well finished runs are predicted by the others from what they measured after `tokens` of `whole`. error: root
    mean square of what is missed in the aggregate; spread: its standard deviation over the runs, which is missed by who
    knows nothing; inside: the part of them that lies in its 95% interval."""

    tokens: int
    whole: int
    runs: int
    error: float
    spread: float
    inside: float


@dataclass(frozen=True)
class Endings:
    """Of a study: its runs in training by number, how well finished ones are predicted so, and how many runs train
    without a prediction."""

    by: Aggregate
    runs: list[Ending]
    judged: list[Judged]
    waiting: int

    @property
    def note(self) -> str | None:
        """Why runs in training have no prediction."""
        if not self.waiting:
            return None
        return (
            f"{counted(self.waiting, 'run')} in training without a predicted end: that takes losses measured on the "
            f"way, after a quarter and half of the steps, and {FEWEST} finished runs of the same size that have them."
        )


@dataclass(frozen=True)
class OneSize:
    """Runs of one size. finals (R, M + 1): their metrics and aggregate, NaN where one is not known; read: tokens in
    all, None where they are not known; looks: their losses on the way."""

    ids: list[str]
    numbers: list[int]
    states: list[str]
    shares: np.ndarray
    finals: np.ndarray
    read: list[int | None]
    looks: list[Looks]


def endings_of(store: Store, study: studies.Study, by: Aggregate) -> Endings:
    """What a study's runs in training are expected to measure. Raises Problem where none of its runs could tell."""
    check_planned(study)
    if study.imported or study.kind != "mixture":
        why = "its runs were trained elsewhere" if study.imported else "its runs are merges, which are not trained"
        raise Problem(f"Cannot predict the ends of runs of {study.name!r}: {why}.")
    key = ("endings", study.id, by.weights.tobytes())
    return store.remembered(key, lambda: _endings_of(store, study, by))


def _endings_of(store: Store, study: studies.Study, by: Aggregate) -> Endings:
    found, judged, training = [], [], 0
    for size in _by_size(store, study, by):
        ended = _of_one_size(study, by, size)
        found += ended[0]
        judged += ended[1]
        training += size.states.count("running")
    return Endings(by, sorted(found, key=lambda one: one.number), judged, training - len(found))


def _by_size(store: Store, study: studies.Study, by: Aggregate) -> list[OneSize]:
    """The study's runs of one mixture throughout on all of its text, the study's own size first."""
    table = runs.table(store, study.id)
    looks: dict[str, Looks] = {}
    for run, tokens, losses in runs.evaluations(store, study.id):
        known = np.array(losses, float)
        if len(known) == len(study.coordinates) and np.isfinite(known).all():
            looks.setdefault(run, {})[tokens] = known
    of_run = {name: table.column(name).to_pylist() for name in ("id", "number", "state", "tokens", "role", "fidelity")}
    shares = runs.matrix(table, "weights", len(study.coordinates))
    finals = with_aggregate(runs.matrix(table, "losses", len(study.metrics)), by)
    found = []
    for size in sorted(set(of_run["fidelity"]), key=lambda one: one or ""):
        chosen = [
            row
            for row, (role, own) in enumerate(zip(of_run["role"], of_run["fidelity"], strict=True))
            if own == size and role not in APART
        ]
        ids, numbers, states, read = ([of_run[name][row] for row in chosen] for name in tuple(of_run)[:4])
        seen = [looks.get(run, {}) for run in ids]
        found.append(OneSize(ids, numbers, states, shares[chosen], finals[chosen], read, seen))
    return found


def _of_one_size(study: studies.Study, by: Aggregate, of: OneSize) -> tuple[list[Ending], list[Judged]]:
    """Predictions of the runs in training, each from its last look; and how those of finished runs hold."""
    rows = range(len(of.ids))
    done = [row for row in rows if of.states[row] == "done" and of.read[row] and np.isfinite(of.finals[row, -1])]
    found, judged = [], []
    for tokens in sorted({one for row in done for one in of.looks[row]}):
        taught = [row for row in done if tokens in of.looks[row]]
        asked = [row for row in rows if of.states[row] == "running" and max(of.looks[row], default=None) == tokens]
        if len(taught) < FEWEST:
            continue
        told = predicted_finals(*_known(study, by, of, (taught, asked), tokens))
        whole, finals = int(np.median([of.read[row] or 0 for row in taught])), of.finals[taught, -1]
        missed = told.missed[:, -1]
        judged.append(
            Judged(tokens, whole, len(taught), float(np.sqrt(np.mean(missed**2))), float(finals.std()), told.inside(-1))
        )
        for row, mean, half in zip(asked, told.mean, told.half, strict=True):
            one = Ending(of.ids[row], of.numbers[row], tokens, whole, mean, half, len(taught), float(finals.min()))
            found.append(one)
    return found, judged


def _known(
    study: studies.Study, by: Aggregate, of: OneSize, groups: tuple[list[int], list[int]], tokens: int
) -> tuple[Early, np.ndarray, Early]:
    """What `predicted_finals` takes, of the rows that teach and of those that are asked about: losses after some
    tokens, how they changed since the look before, where all have one, and the shares."""
    looks = [of.looks[row] for rows in groups for row in rows]
    before = max((one for one in looks[0] if one < tokens), default=None)
    last = np.array([one[tokens] for one in looks])
    parts = [last, of.shares[[row for rows in groups for row in rows]]]
    if before is not None and all(before in one for one in looks):
        parts.append(last - np.array([one[before] for one in looks]))
    own = np.full((len(looks), len(study.objectives)), np.nan)
    for m, one in enumerate(study.objectives):
        if one.domain in study.coordinates and one.unit == BITS and one.task is None and one.reference is None:
            own[:, m] = last[:, study.coordinates.index(one.domain)]
    own, beside, count = with_aggregate(own, by), np.hstack(parts), len(groups[0])
    return Early(own[:count], beside[:count]), of.finals[groups[0]], Early(own[count:], beside[count:])


# As JSON -----------------------------------------------------------------------------------------------------


def as_json(study: studies.Study, found: Endings) -> dict:
    """What runs in training are expected to measure, as plain values; aggregates are better when lower."""
    return {
        "title": found.by.title,
        "unit": found.by.unit,
        "runs": [_ending_json(study, one) for one in found.runs],
        "judged": [asdict(one) for one in found.judged],
        "waiting": found.waiting,
        "note": found.note,
    }


def _ending_json(study: studies.Study, one: Ending) -> dict:
    rows = [
        {"mean": float(mean), "low": float(mean - half), "high": float(mean + half)}
        if np.isfinite([mean, half]).all()
        else None
        for mean, half in zip(one.mean, one.half, strict=True)
    ]
    plain = {name: getattr(one, name) for name in ("run", "number", "tokens", "whole", "taught", "best", "verdict")}
    metrics = [{"metric": name, **row} for name, row in zip(study.metrics, rows[:-1], strict=True) if row is not None]
    return plain | {"aggregate": rows[-1], "metrics": metrics}
