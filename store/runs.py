"""Queries about runs: their table, their measured points, their curves."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine.spec.sizes import at_own_size, at_size, facts
from store.database import Store

CORRUPT_SHOWN = 50  # lines that were set aside, at most, on a page


@dataclass(frozen=True)
class Measured:
    """The finished runs of a study. weights: (R, D) shares; losses: (R, M) in the order and
    units of the study's metrics, NaN where missing; beside: ids of dose runs that a fit to these takes too."""

    ids: list[str]
    labels: list[str | None]
    roles: list[str]
    weights: np.ndarray
    losses: np.ndarray
    beside: tuple[str, ...] = ()

    def take(self, rows: list[int]) -> "Measured":
        """Only those rows."""
        ids, labels, roles = [self.ids[i] for i in rows], [self.labels[i] for i in rows], [self.roles[i] for i in rows]
        return Measured(ids, labels, roles, self.weights[rows], self.losses[rows], self.beside)

    @property
    def fingerprint(self) -> str:
        """A hash of the points and their results: names the surrogates fitted on exactly these."""
        digest = hashlib.sha256("\n".join([*self.ids, *self.beside]).encode())
        digest.update(self.weights.tobytes() + self.losses.tobytes())
        return digest.hexdigest()[:16]


def ids(store: Store, study: str) -> list[str]:
    """The ids of all runs of a study, in whatever state."""
    return [run for (run,) in store.rows("SELECT id FROM runs WHERE study = ? ORDER BY number", [study])]


def table(store: Store, study: str) -> pa.Table:
    """One row per run, in the order of their numbers, all columns."""
    return store.arrow("SELECT * FROM runs WHERE study = ? ORDER BY number", [study])


def matrix(table: pa.Table, column: str, width: int) -> np.ndarray:
    """(R, width) a column of lists as numbers, NaN where one is missing."""
    if not len(table):
        return np.empty((0, width))
    lists = table.column(column).combine_chunks()
    found, there = np.full((len(lists), width), np.nan), lists.is_valid().to_numpy(zero_copy_only=False)
    found[there] = lists.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return found


def measured(store: Store, study: str) -> Measured:
    """The finished runs' results of one size, of one mixture throughout and on the study's own text: no confirmations,
    no dose runs, no runs of phases.

    Where the runs of a mixture study are of several sizes, those of the size with the most runs.
    """
    return store.remembered(("measured", study), lambda: _of_one_size(store, study))


def measured_at_all_sizes(store: Store, study: str) -> Measured:
    """The same of all sizes, which do not compare: to find runs by their ids."""
    return _of_all_sizes(store, study)[0]


def own_fidelity(store: Store, study: str) -> np.ndarray:
    """(R, 2) parameters and tokens of the runs of `measured_at_all_sizes`, NaN where one does not tell."""
    return _of_all_sizes(store, study)[1]


def _of_all_sizes(store: Store, study: str) -> tuple[Measured, np.ndarray]:
    """Both by one query: a run that ends between two would be in one of them only."""
    return store.remembered(("measured at all sizes", study), lambda: _measured(store, study))


def _of_one_size(store: Store, study: str) -> Measured:
    found, fidelity = _of_all_sizes(store, study)
    merged = store.rows("SELECT 1 FROM studies WHERE id = ? AND json_extract_string(spec, '$.merge') != ''", [study])
    if merged:  # merges have the size of their base; what their experts saw is another matter
        return found
    size = "SELECT json_extract(spec, '$.size.parameters'), json_extract(spec, '$.size.tokens') FROM studies"
    ((parameters, tokens),) = store.rows(f"{size} WHERE id = ?", [study]) or [(None, None)]
    if parameters is not None:  # an external trainer's study says the size of its runs
        asked = np.array([float(parameters), float(tokens)])
        return found.take(np.flatnonzero(at_size(fidelity, asked)).tolist())
    return found.take(np.flatnonzero(at_own_size(fidelity)).tolist())


def _measured(store: Store, study: str) -> tuple[Measured, np.ndarray]:
    found = store.arrow(
        "SELECT id, label, role, weights, losses, parameters, tokens FROM runs WHERE study = ? AND state = 'done' "
        "AND role NOT IN ('confirm', 'dose', 'phased', 'start') ORDER BY number",
        [study],
    )
    widths = (len(found.column(name)[0]) for name in ("weights", "losses")) if len(found) else shape(store, study)
    numbers = (matrix(found, name, width) for name, width in zip(("weights", "losses"), widths, strict=True))
    parameters, tokens = (found.column(name).to_pylist() for name in ("parameters", "tokens"))
    fidelity = facts(parameters, tokens, len(found))
    return Measured(*(found.column(name).to_pylist() for name in ("id", "label", "role")), *numbers), fidelity


def shape(store: Store, study: str) -> tuple[int, int]:
    """(D, M): how many coordinates and metrics a study has; 0 until it is planned."""
    asked = "SELECT coalesce(len(domains), 0), coalesce(json_array_length(metrics), len(domains), 0) FROM studies"
    return next(iter(store.rows(f"{asked} WHERE id = ?", [study])), (0, 0))


def standard_errors(store: Store, study: str, metrics: int) -> dict[str, np.ndarray]:
    """Run -> (M,) standard errors of its losses over windows and of its scores over items, NaN where not known."""
    found = store.arrow("SELECT id, losses_se FROM runs WHERE study = ?", [study])
    return dict(zip(found.column("id").to_pylist(), matrix(found, "losses_se", metrics), strict=True))


@dataclass(frozen=True)
class SizedRun:
    """A run of a study as it stands. weights (D,); known: whether it has a value of the metric that was asked about."""

    id: str
    number: int
    weights: np.ndarray
    role: str
    state: str
    known: bool


def by_size(store: Store, study: str, metric: int) -> dict[str | None, list[SizedRun]]:
    """The runs that a study trained or will train, by their fidelity as JSON (None: the study's own), in the order of
    their numbers; metric: its place among the study's."""
    rows = store.rows(
        "SELECT fidelity, id, number, weights, role, state, losses[?] IS NOT NULL FROM runs "
        "WHERE study = ? AND job IS NOT NULL ORDER BY number",
        [metric + 1, study],
    )
    found: dict[str | None, list[SizedRun]] = {}
    for fidelity, id_, number, weights, *more in rows:
        found.setdefault(fidelity, []).append(SizedRun(id_, number, np.array(weights), *more))
    return found


@dataclass(frozen=True)
class Dosed:
    """A finished dose run. weights, doses (D,): the part of each domain's text that it saw; losses (M,)."""

    id: str
    weights: np.ndarray
    doses: np.ndarray
    losses: np.ndarray


def dosed(store: Store, study: str) -> list[Dosed]:
    """The finished dose runs of a study, in the order of their numbers (engine/spec/repetition.py)."""
    return store.remembered(("dosed", study), lambda: _dosed(store, study))


def _dosed(store: Store, study: str) -> list[Dosed]:
    rows = store.rows(
        "SELECT id, weights, doses, losses FROM runs WHERE study = ? AND role = 'dose' AND state = 'done' "
        "ORDER BY number",
        [study],
    )
    return [Dosed(id_, *(np.array(values, float) for values in arrays)) for id_, *arrays in rows]


def points_of(store: Store, study: str, outside: tuple[str, ...]) -> np.ndarray:
    """(R, D) the points of a study's runs, finished or queued, except those with a role of `outside`."""
    found = store.rows(
        "SELECT weights FROM runs WHERE study = ? AND state NOT IN ('failed', 'cancelled') "
        "AND role NOT IN (SELECT unnest(?))",
        [study, list(outside)],
    )
    return np.array([weights for (weights,) in found], float)


def proposed(store: Store, study: str) -> list[tuple[str, np.ndarray]]:
    """(id, weights (D,)) of the proposed runs of a study, finished or queued, in the order of their numbers."""
    found = store.rows(
        "SELECT id, weights FROM runs WHERE study = ? AND role = 'proposed' AND state NOT IN ('failed', 'cancelled') "
        "ORDER BY number",
        [study],
    )
    return [(run, np.array(weights, float)) for run, weights in found]


def sizes(store: Store, study: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(weights (R, D), fidelity (R, 2), losses (R, M)) of all finished runs, confirmations too; NaN in fidelity where
    parameters or tokens are not known.

    Without dose runs and runs of phases, whose shares do not tell what they saw.
    """
    return store.remembered(("sizes", study), lambda: _sizes(store, study))


def _sizes(store: Store, study: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = store.rows(
        "SELECT weights, losses, parameters, tokens FROM runs WHERE study = ? AND state = 'done' "
        "AND role NOT IN ('dose', 'phased', 'start') AND NOT (role = 'confirm' AND phases IS NOT NULL) ORDER BY number",
        [study],
    )
    weights, losses = (np.array([row[k] for row in rows], dtype=float) for k in range(2))
    return weights, facts([row[2] for row in rows], [row[3] for row in rows], len(rows)), losses


def spread(store: Store, study: str, most: int) -> list[tuple[str, list[float]]]:
    """(id, weights) of at most `most` runs of a study's own design and baselines, evenly by number."""
    found = store.rows(
        "SELECT id, weights FROM runs WHERE study = ? AND role IN ('design', 'baseline', 'imported') ORDER BY number",
        [study],
    )
    count = min(most, len(found))
    return [found[i * len(found) // count] for i in range(count)]


def posted(store: Store, study: str) -> list[str]:
    """The ids of the runs of a study that clients posted with mixtures of their own."""
    found = store.rows("SELECT id FROM runs WHERE study = ? AND role = 'submitted' ORDER BY number", [study])
    return [run for (run,) in found]


def submitted(store: Store, study: str, ids: list[str]) -> dict[str, dict[str, Any]]:
    """The stored values of posted runs, by their ids: {"weights", "losses", "losses_se", "seed", ...}."""
    rows = store.rows(
        "SELECT id, weights, losses, losses_se, seed, parameters, tokens FROM runs "
        "WHERE study = ? AND list_contains(?, id)",
        [study, ids],
    )
    names = ("weights", "losses", "losses_se", "seed", "parameters", "tokens")
    return {run: dict(zip(names, values, strict=True)) for run, *values in rows}


def without_values(store: Store, study: str) -> dict[int, Counter[str]]:
    """Why finished runs have no value of a metric, where that is known, by its place among the study's: the reasons,
    and how many runs have each."""
    return store.remembered(("without values", study), lambda: _without_values(store, study))


def _without_values(store: Store, study: str) -> dict[int, Counter[str]]:
    asked = (
        "SELECT message, losses FROM runs WHERE study = ? AND state = 'done' AND message IS NOT NULL ORDER BY number"
    )
    found: dict[int, Counter[str]] = {}
    for message, losses in store.rows(asked, [study]):
        for place in (place for place, value in enumerate(losses or ()) if value is None):
            found.setdefault(place, Counter())[message] += 1
    return found


def last_number(store: Store, study: str) -> int:
    """The largest run number of a study, including numbers reserved by searches and learned merges; 0 if none."""
    reserved = (
        "SELECT CAST(json_extract(spec, '$.first') AS BIGINT) - 1 + "
        "coalesce(CAST(json_extract(spec, '$.settings.evaluations') AS BIGINT), 1) FROM jobs "
        "WHERE study = $1 AND kind IN ('merge_search', 'merge_learn')"
    )
    taken = f"SELECT number FROM runs WHERE study = $1 UNION ALL {reserved}"
    return int(store.rows(f"SELECT coalesce(max(number), 0) FROM ({taken})", [study])[0][0])


def curves(store: Store, study: str, points: int = 120, most: int = 200, numbers: list[int] | None = None) -> pa.Table:
    """Training curves of at most about `most` runs (of these numbers), evenly by number, of about `points` per run:
    run, number, step, tokens, loss (bits per byte): the mean over the steps since the point before."""
    return store.arrow(
        """
        WITH chosen AS (
            SELECT id, number FROM runs
            WHERE study = $study AND ($numbers IS NULL OR list_contains($numbers, number))
            QUALIFY row_number() OVER (ORDER BY number) % greatest(1, ceil(count(*) OVER () / $most)::INT) = 0
        ), last AS (
            SELECT run, number, curve.step, arg_max(curve.tokens, t) AS tokens, arg_max(loss, t) AS loss
            FROM curve JOIN chosen ON chosen.id = curve.run GROUP BY ALL
        ), ranked AS (
            SELECT *, step - lag(step, 1, 0) OVER (PARTITION BY run ORDER BY step) AS steps,
                   (row_number() OVER (PARTITION BY run ORDER BY step) - 1)
                       // greatest(1, count(*) OVER (PARTITION BY run) // $points) AS part FROM last
        )
        SELECT run, number, max(step) AS step, max(tokens) AS tokens,
               sum(loss * steps) / sum(steps) FILTER (loss IS NOT NULL) AS loss
        FROM ranked GROUP BY run, number, part ORDER BY number, step
        """,
        {"study": study, "points": points, "most": most, "numbers": numbers},
    )


def evaluations(store: Store, study: str) -> list[tuple[str, int, list[float]]]:
    """Losses measured during training: (run, tokens so far, losses in bits per byte)."""
    return store.rows(
        "SELECT run, evaluations.tokens, arg_max(evaluations.losses, evaluations.t) FROM evaluations "
        "JOIN runs ON runs.id = run WHERE study = ? GROUP BY run, evaluations.tokens ORDER BY run, evaluations.tokens",
        [study],
    )


def speed(store: Store, study: str | None = None) -> dict[tuple[int, str], float]:
    """Measured training speed, tokens per second of one job, by (parameters, device); all studies by default."""
    rows = store.rows(
        "SELECT parameters, device, median(tokens / seconds) FROM runs WHERE state = 'done' AND seconds > 0 "
        "AND (study = $study OR $study IS NULL) GROUP BY ALL",
        {"study": study},
    )
    return {(parameters, device): rate for parameters, device, rate in rows}


def spent(store: Store, study: str) -> tuple[int, float, int]:
    """Count, FLOPs (6 x parameters x tokens) and tokens of the runs whose size and tokens are known."""
    return store.rows(
        "SELECT count(*), coalesce(sum(6.0 * parameters * tokens), 0), coalesce(sum(tokens), 0) FROM runs "
        "WHERE study = ? AND parameters > 0 AND tokens > 0",
        [study],
    )[0]


def corrupt_lines(store: Store) -> list[tuple[str, int, str, str]]:
    """The first journal lines that were set aside: (journal, offset, text, reason). There may be many more."""
    asked = "SELECT journal, read_from, text, coalesce(reason, '') FROM corrupt_lines ORDER BY ALL LIMIT ?"
    return store.rows(asked, [CORRUPT_SHOWN])


def corrupt_count(store: Store) -> int:
    """How many journal lines were set aside."""
    return int(store.rows("SELECT count(*) FROM corrupt_lines")[0][0])


def rounds(store: Store, study: str) -> int:
    """How many rounds of proposed runs were queued in a study: each is one label."""
    own = "SELECT count(DISTINCT label) FROM runs WHERE study = ? AND role = 'proposed'"
    return int(store.rows(own, [study])[0][0])
