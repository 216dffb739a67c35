"""Queries about runs whose results come from elsewhere: those that are planned, what was reported of them, and when."""

from dataclasses import dataclass

import numpy as np

from store.database import Store


@dataclass(frozen=True)
class Slot:
    """A planned run, as results of it are held to it. weights (D,); losses, losses_se (M,), None before its end; job:
    that trains it here, None where somebody else does."""

    id: str
    number: int
    state: str
    job: str | None
    weights: np.ndarray
    seed: int
    losses: list[float | None] | None
    losses_se: list[float | None] | None
    tokens: int | None


def slots(store: Store, study: str, ids: list[str]) -> dict[str, Slot]:
    """The runs of a study with these ids that were planned here."""
    rows = store.rows(
        "SELECT id, number, state, job, weights, seed, losses, losses_se, tokens FROM runs WHERE study = ? "
        "AND role NOT IN ('submitted', 'imported', 'carried') AND list_contains(?, id)",
        [study, ids],
    )
    found = {}
    for run, number, state, job, weights, *more in rows:
        found[run] = Slot(run, number, state, job, np.array(weights, float), *more)
    return found


def awaited(store: Store, study: str) -> list[str]:
    """The ids of the runs that an external trainer is to train, or trains, in the order of their numbers."""
    found = store.rows(
        "SELECT id FROM runs WHERE study = ? AND job IS NULL AND state IN ('planned', 'running') ORDER BY number",
        [study],
    )
    return [run for (run,) in found]


def study_of(store: Store, run: str) -> str | None:
    """The study of a run, None where there is no such run."""
    return next((study for (study,) in store.rows("SELECT study FROM runs WHERE id = ?", [run])), None)


def first_and_last(store: Store, study: str) -> tuple[str, str]:
    """The first and the last id of a study's planned runs."""
    asked = "SELECT arg_min(id, number), arg_max(id, number) FROM runs WHERE study = ? AND role != 'submitted'"
    first, last = store.rows(asked, [study])[0]
    return first or "none", last or "none"


def points(store: Store, run: str) -> tuple[dict[int, tuple[int, float | None]], dict[int, list[float]]]:
    """What was reported of a run's training: step -> (tokens, loss), and tokens -> validation losses (D,)."""
    curve = store.rows(
        "SELECT step, arg_max(tokens, t), arg_max(loss, t) FROM curve WHERE run = ? GROUP BY step", [run]
    )
    looks = store.rows("SELECT tokens, arg_max(losses, t) FROM evaluations WHERE run = ? GROUP BY tokens", [run])
    return {step: (tokens, loss) for step, tokens, loss in curve}, dict(looks)


def times(store: Store) -> dict[str, dict[str, float]]:
    """Study -> run -> when its results came from elsewhere (seconds since 1970), of runs that are done."""
    return store.remembered("reported times", lambda: _times(store))


def _times(store: Store) -> dict[str, dict[str, float]]:
    asked = (
        "SELECT study, id, reported_at FROM runs WHERE reported_at IS NOT NULL AND state = 'done' AND role != 'repeat'"
    )
    found: dict[str, dict[str, float]] = {}
    for study, run, t in store.rows(asked):
        found.setdefault(study, {})[run] = t
    return found
