"""Import runs that were trained elsewhere as a study, and predict with it. Uses the store.

Files come from the workspace's `imports/` folder, where the command line and the page put them. Everything that was
read goes into one line of the owner's journal, so an import lands atomically, and a rebuild restores it.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from engine.core.checks import is_number, or_null
from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.people import need
from engine.core.short_names import digest, slug
from engine.core.workspace import Workspace, checked_name
from engine.importing import ImportedRuns, Mapping, Reading, Table, read, read_runs, read_table, refuse_open
from engine.importing.questions import checked_answers
from engine.jobs.decisions import StudyImported, StudyMetric
from engine.jobs.runs import ImportedRun, run_id
from engine.league import FEWEST_RUNS, with_members
from engine.spec.frame import new_frame
from engine.spec.objectives import aggregate
from engine.spec.study import StudySpec
from engine.studies import advance, fits, sizes
from engine.studies.measured import aggregate_of, for_fitting
from engine.studies.reach import places
from engine.surrogates import SURROGATES, Surrogate
from store import jobs, studies
from store.database import Store

SHOWN = 8  # rows of a preview
NOTHING = {  # the preview of tables that cannot be read as runs
    "mapping": Mapping({}, ()).to_dict(),
    "columns_read": [],
    "shares": {"why": "", "others": []},
    "dropped": [],
    "questions": [],
    "notes": [],
    "runs": 0,
    "rows": [],
}


def imported_file(workspace: Workspace, name: str) -> Path:
    """A file of the workspace's imports folder. Raises Problem if it does not exist, or lies outside."""
    folder = (workspace.root / "imports").resolve()
    path = (folder / str(name)).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise Problem(f"Cannot import {str(name)!r}: there is no such file in {folder}. Put it there first.")
    return path


def keep_file(workspace: Workspace, name: str, pieces: Iterable[bytes], folder: str = "uploads") -> str:
    """Save an uploaded file in a folder of the imports folder, atomically; returns its name there."""
    need("operator", "bring files")
    place = workspace.root / "imports" / folder
    place.mkdir(parents=True, exist_ok=True)
    target = place / checked_name(name, "file")
    with replacing(target) as part, open(part, "wb") as file:
        file.writelines(pieces)
    return f"{folder}/{name}"


def tables_of(
    workspace: Workspace, weights: str, metrics: str | None, answers: dict[str, str] | None
) -> tuple[Table, Table | None]:
    """The one or two tables of an import."""
    if not weights:
        raise Problem("Cannot import without a file of shares: name one in `weights`.")
    names = [name for name in (weights, metrics) if name]
    tables = [read_table(imported_file(workspace, name), Path(name).name, answers) for name in names]
    return tables[0], tables[1] if len(tables) > 1 else None


def preview(store: Store, format: str, weights: str, metrics: str | None = None, **given) -> dict:
    """Dry run of an import: what every column is and why, the questions, notes or the refusal, the first rows.

    given: corrections and answers (engine.importing.read). Where a question is open, its first answer is previewed.
    Tables whose shares or metrics are not found are shown too, so that somebody can name them.
    """
    given["answers"] = checked_answers(given.get("answers"))
    tables = tables_of(store.workspace, weights, metrics, given["answers"])
    try:
        reading = read(format, *tables, **given)
    except Problem as problem:
        return {**NOTHING, "columns": [table and list(table.columns) for table in tables], "problem": str(problem)}
    columns = [table and list(table.columns) for table in (reading.weights, reading.metrics)]
    shown = {"mapping": reading.mapping.to_dict(), "columns": columns, **reading.to_dict()}
    try:
        runs = read_runs(reading)
    except Problem as problem:
        return {**shown, "problem": str(problem), "notes": [], "runs": len(reading.weights), "rows": []}
    metrics_read = [one.metric for one in runs.mapping.objectives]
    rows = [
        {
            "key": runs.keys[i],
            "weights": dict(zip(runs.mapping.weights, runs.weights[i].tolist(), strict=True)),
            "metrics": dict(zip(metrics_read, or_null(runs.values[i]), strict=True)),
        }
        for i in range(min(SHOWN, len(runs.weights)))
    ]
    return {**shown, "problem": None, "notes": list(runs.notes), "runs": len(runs.weights), "rows": rows}


def import_runs(
    store: Store,
    name: str,
    format: str,
    weights: str,
    metrics: str | None = None,
    *,
    available_tokens: dict[str, float] | None = None,
    prior: dict[str, float] | None = None,
    priorities: dict[str, float] | None = None,
    target_tokens: float = 0.0,
    epoch_cap: float = 4.0,
    bounds: dict | None = None,
    groups: list[dict] | None = None,
    surrogates: list[str] | None = None,
    **given,
) -> dict:
    """Import runs as a study, which fits and searches automatically; returns its guesses and notes.

    weights, metrics: files in the imports folder; available_tokens, prior: by domain or column of shares; priorities
    to surrogates: as in engine.spec.study.StudySpec; given: corrections and answers (engine.importing.read). The same
    runs under the same name are one study. Raises Problem, and changes nothing, if any row is invalid, or a question
    is open.
    """
    need("operator", "import runs")
    given["answers"] = checked_answers(given.get("answers"))
    tables = tables_of(store.workspace, weights, metrics, given["answers"])
    reading = read(format, *tables, **given)
    refuse_open(reading.questions, reading.answers)
    mapping, runs = reading.mapping, read_runs(reading)
    settings = {"priorities": priorities or {}, "target_tokens": target_tokens, "epoch_cap": epoch_cap}
    settings |= {"bounds": bounds or {}, "groups": groups or [], "surrogates": surrogates or []}
    about = {"name": name, "corpus": None, "fidelity": None, "runs": len(runs.weights)}
    about |= {"phases": [{"fraction": one} for one in runs.fractions]}
    spec = StudySpec.from_dict(about | settings)
    with_members(list(spec.surrogates))  # raises for unknown ones
    aggregate(list(mapping.objectives), runs.values, spec.priorities)  # raises for priorities of unknown metrics
    files = [table.name for table in tables if table]
    event = _event(spec, reading, runs, files, available_tokens, prior)
    new_frame(spec, event["domains"], event["corpus"], event["imported"])  # raises if the constraints leave no mixture
    study = _named(name, event)
    already = _recorded(store, study, name, event)
    guesses = {"columns": mapping.to_dict(), **reading.to_dict(), "notes": list(runs.notes)}
    return _shown(store, study) | {"already_there": already} | guesses | {"prior": event["imported"]["prior_name"]}


def _recorded(store: Store, study: str, name: str, event: dict) -> bool:
    """Record an import as the study of that id; whether it was there already. Raises Problem if its name is another
    study's."""
    rows = [ImportedRun(id=run_id(study, number), **run) for number, run in enumerate(event["runs"], 1)]
    objectives = [StudyMetric(**one) for one in event["metrics"]]
    with store.alone():  # the same import asked for twice at once is one
        known = {one.name: one.id for one in studies.all_studies(store)}
        if known.get(name) == study:
            return True
        if name in known:
            raise Problem(f"Cannot import as {name!r}: there is a study of that name with other runs. Choose another.")
        store.write(StudyImported(study=study, name=name, **event | {"runs": rows, "metrics": objectives}))
        advance.advance(store)
    return False


def _shown(store: Store, study_id: str) -> dict:
    """What became of an import: the study, how it weighs its metrics, and the jobs that fit and search."""
    study = studies.get(store, study_id)
    return {
        "study": study.id,
        "runs": study.runs,
        "domains": study.domains,
        "aggregate": aggregate_of(store, study).to_dict(),
        "jobs": [job.id for job in jobs.of_study(store, study.id) if job.state in jobs.UNFINISHED],
    }


def _named(name: str, event: dict) -> str:
    """The id of an imported study: its name and a hash of its content."""
    return f"{slug(name)}-{digest([name, event])[:6]}"


def _event(spec: StudySpec, reading: Reading, runs: ImportedRuns, files, available_tokens, prior) -> dict:
    """An import's content as in the journal, without the ids."""
    mapping = reading.mapping
    tokens = _by_domain(mapping, available_tokens, "available tokens", lowest=1.0)
    centre = _by_domain(mapping, prior, "prior", lowest=0.0)
    imported = {
        "files": files,
        "columns": mapping.weights,
        "key": mapping.key,
        "notes": list(runs.notes),
        "unseen": list(runs.unseen),
        **_prior(runs, tokens, centre),
    }
    imported |= {"scale": mapping.scale} if mapping.scale else {}
    imported |= {"answers": reading.answers} if reading.answers else {}
    corpus = None
    if tokens is not None:
        counts = zip(mapping.weights, tokens, strict=True)
        corpus = {"domains": {name: {"train_tokens": float(count)} for name, count in counts}}
    return {
        "spec": spec.to_dict(),
        "domains": list(mapping.weights),
        "metrics": [asdict(one) for one in mapping.objectives],
        "corpus": corpus,
        "imported": imported,
        "runs": _rows(runs),
    }


def _prior(runs: ImportedRuns, tokens: np.ndarray | None, centre: np.ndarray | None) -> dict:
    """The mixture that searches start from, and what it is: by token counts, as given, or the mean of the runs."""
    if tokens is not None:
        return {"prior": (tokens / tokens.sum()).tolist(), "prior_name": "natural"}
    if centre is not None:
        return {"prior": (centre / centre.sum()).tolist(), "prior_name": "prior"}
    return {"prior": runs.weights.mean(axis=0).tolist(), "prior_name": "mean of the runs"}


def _rows(runs: ImportedRuns) -> list[dict]:
    """The runs as in the journal, without their ids."""
    count = len(runs.weights)
    errors = [{"losses_se": or_null(row)} for row in runs.errors] if runs.errors is not None else [{}] * count
    facts = {name: getattr(runs, field) or [None] * count for name, field in FACTS.items()}
    return [
        {
            "number": i + 1,
            "label": runs.keys[i] or None,
            "weights": runs.weights[i].tolist(),
            "losses": or_null(runs.values[i]),
            **{name: column[i] for name, column in facts.items()},
            **errors[i],  # absent where no file tells: what was imported before keeps its id
            **({} if runs.phases is None else {"phases": runs.phases[i].tolist()}),
        }
        for i in range(count)
    ]


FACTS = {"seed": "seeds", "parameters": "parameters", "tokens": "tokens"}


def _by_domain(mapping: Mapping, given: dict[str, float] | None, what: str, lowest: float) -> np.ndarray | None:
    """(D,) numbers by domain or by column. Raises Problem if a domain has none, or a value is not a number."""
    if given is None:
        return None
    found = []
    for domain, column in mapping.weights.items():
        value = given.get(domain, given.get(column))
        if not is_number(value, lowest):
            raise Problem(
                f"Cannot use {value!r} as the {what} of {domain!r}: give every domain a number of at least {lowest:g}."
            )
        found.append(float(value))
    names = {*mapping.weights, *mapping.weights.values()}
    if unknown := [name for name in given if name not in names]:
        raise Problem(f"Cannot use the {what} of {unknown[0]!r}: the domains are {', '.join(mapping.weights)}.")
    if sum(found) <= 0:
        raise Problem(f"Cannot use a {what} that is 0 for every domain. Give at least one a number above 0.")
    return np.array(found)


def fitted(store: Store, name: str, surrogate: str | None = None) -> dict:
    """The file of a study's fitted surrogate, its columns' names and the points of its runs: all that predictions need.

    file: relative to the workspace; None if it is not fitted yet, and then job: the job that will fit it, and
    fit: the spec of a job that would fit `surrogate` alone (engine/league/job.py).
    """
    study = studies.get(store, name)
    columns = study.imported["columns"] if study.imported else {domain: domain for domain in study.domains}
    answer = {"study": study.id, "columns": columns, "metrics": study.metrics, "surrogate": surrogate, "runs": []}
    answer |= dict.fromkeys(("job", "file", "fit", "key", "scale"))
    answer |= {name: study.imported.get(name) for name in ("key", "scale")} if study.imported else {}
    if (fit := fits.fit_of(store, study, surrogate)) is not None:
        file = store.workspace.surrogates(study.id, fit.fingerprint) / f"{fit.name}.npz"
        there = {"file": str(file.relative_to(store.workspace.root)), "runs": fit.measured.weights.tolist()}
        return {**answer, "surrogate": fit.name, **there}
    if surrogate is not None and surrogate not in SURROGATES:
        raise Problem(f"Cannot use the surrogate {surrogate!r}: choose one of {', '.join(SURROGATES)}.")
    measured = for_fitting(store, study.id)
    if len(measured.ids) < FEWEST_RUNS:
        raise Problem(
            f"Cannot predict with {study.name!r}: {len(measured.ids)} of its runs are done and of one size, and "
            f"surrogates need at least {FEWEST_RUNS}. Add runs."
        )
    file = store.workspace.surrogates(study.id, measured.fingerprint) / f"{surrogate}.npz"
    if surrogate is not None:
        there = str(file.relative_to(store.workspace.root)) if file.exists() else None
        answer |= {"file": there, "runs": measured.weights.tolist()}
        return answer | {"fit": fits.fit_task(store, study, measured)}
    fits.queue_fit(store, study)
    waiting = [job.id for job in jobs.of_study(store, study.id) if job.kind == "fit"]
    return {**answer, "job": waiting[-1]}


def predict(
    store: Store,
    name: str,
    weights: list[dict[str, float]],
    surrogate: str | None = None,
    parameters: float | None = None,
    tokens: float | None = None,
) -> list[dict]:
    """Predictions for a few mixtures {domain: share}: {metric: {"mean", "std", "place"}} each; absent domains are 0;
    place: measured, interpolated or extrapolated, as the runs reach (engine/studies/reach.py).

    parameters, tokens: of another size than the study's own, where its runs are of several. Raises Problem before the
    first fit, if shares are not a mixture, and where the runs do not tell of that size.
    """
    study = studies.get(store, name)
    predictor, behind, beyond = _predictor(store, study, surrogate, parameters, tokens)
    points = np.array([[float(row.get(domain, 0.0)) for domain in study.domains] for row in weights])
    for row, point in zip(weights, points, strict=True):
        if set(row) - set(study.domains) or (point < 0).any() or not abs(point.sum() - 1) <= 1e-3:
            raise Problem(f"Cannot predict for {row}: give shares of {', '.join(study.domains)} that sum to 1.")
    points = points / points.sum(axis=1, keepdims=True)
    rows = []
    for *row, place in zip(*predictor.predict(points), places(points, behind, beyond), strict=True):
        by_metric = zip(study.metrics, *row, strict=True)
        rows.append({name: {"mean": float(m), "std": float(s), "place": place} for name, m, s in by_metric})
    return rows


def _predictor(
    store: Store, study: studies.Study, surrogate: str | None, parameters: float | None, tokens: float | None
) -> tuple[Surrogate, np.ndarray, bool]:
    """The surrogate in use or the named one, or the one of a size; the points of its runs (R, D), and whether the size
    is beyond theirs. Raises Problem."""
    if parameters is None and tokens is None:
        if (fit := fits.fit_of(store, study, surrogate)) is None:
            raise Problem(f"Cannot predict with {study.name!r}: no surrogate is fitted yet. {study.way_on}")
        return fit.surrogate, fit.measured.weights, False
    if surrogate is not None:
        fits.fit_of(store, study, surrogate)  # raises if there is none of that name
        raise Problem(
            f"Cannot predict at a size with {surrogate!r}: it knows shares alone, and one process over all sizes "
            "predicts at a size. Leave the surrogate or the size out."
        )
    at_size = sizes.at(store, study, parameters, tokens)
    return at_size, sizes.over_sizes(store, study).mixtures, at_size.beyond
