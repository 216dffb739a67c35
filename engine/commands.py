"""What people can ask for, headless: each command takes the store and plain values and returns plain values.

The page's process serves the same table over HTTP (dashboard/api.py), and `python -m engine` calls it either
there or, where no page runs, in its own process. So a command behaves the same wherever it is given.
"""

from dataclasses import asdict

from engine import adopt, logs, recipe, round_commands, steward
from engine.asking import queue_search
from engine.candidates import point_of, recipe_of
from engine.errors import Problem
from engine.league import FEWEST_RUNS
from engine.measured import aggregate_of
from engine.study import StudySpec
from store import corpora, jobs, runs, searches, studies
from store.database import Store

JOBS = 500  # of one state, listed at once


def list_corpora(store: Store) -> list[dict]:
    """All corpora with their sizes, or how far they are."""
    found = []
    for name in corpora.names(store):
        manifest, job = corpora.manifest(store, name), jobs.find(store, f"corpus-{name}")
        sizes = {d: m["train_tokens"] for d, m in manifest["domains"].items()} if manifest else None
        found.append({"corpus": name, "train_tokens": sizes, "job": job and asdict(job)})
    return found


def build_corpus(store: Store, name: str, spec: dict) -> dict:
    """Queue the building of a corpus."""
    return {"corpus": name, "job": steward.build_corpus(store, name, spec)}


def job(store: Store, job_id: str) -> dict:
    """How far one job is."""
    found = jobs.find(store, job_id)
    if found is None:
        raise Problem(f"Cannot find the job {job_id!r}. `show STUDY` lists the jobs of a study.")
    return asdict(found)


def list_jobs(store: Store, name: str | None = None) -> list[dict]:
    """The jobs of a study, or all that have not ended and the last that failed."""
    if name is not None:
        return [asdict(found) for found in jobs.of_study(store, studies.get(store, name).id)]
    found = jobs.in_state(store, ("running",), JOBS) + jobs.in_state(store, ("queued", "paused"), JOBS)
    return [asdict(row) for row in found + jobs.in_state(store, ("failed",), JOBS)]


def submit_job(store: Store, spec: dict, job_id: str | None = None) -> dict:
    """Queue a job of any kind; `after` in its spec names the jobs that must be done first."""
    return {"job": steward.submit_job(store, spec, job_id)}


def cancel_job(store: Store, job_id: str) -> dict:
    """Stop one job; a running one keeps a checkpoint."""
    steward.cancel_job(store, job_id)
    return job(store, job_id)


def retry_job(store: Store, job_id: str) -> dict:
    """Queue a failed or cancelled job again; it goes on from its checkpoint."""
    steward.known_job(store, job_id)
    steward.retry(store, job_id)
    return job(store, job_id)


def prioritise_job(store: Store, job_id: str, priority: float) -> dict:
    """Move a job that waits in the queue; lower runs sooner."""
    steward.prioritise(store, job_id, priority)
    return job(store, job_id)


def job_log(store: Store, job_id: str) -> dict:
    """The end of what a job printed."""
    folder = store.spool.find(job_id)
    if folder is None:
        raise Problem(f"Cannot show the log of {job_id!r}: there is no such job.")
    return {"job": job_id, "log": logs.tail(folder / "log.txt")}


def list_studies(store: Store) -> list[dict]:
    """All studies, newest first."""
    return [summary(found) for found in studies.all_studies(store)]


def summary(found: studies.Study) -> dict:
    return {
        "study": found.id, "name": found.name, "state": found.state, "message": found.message,
        "corpus": found.spec["corpus"], "domains": found.domains, "metrics": [asdict(one) for one in found.objectives],
        "imported": found.imported, "runs": found.runs, "counts": found.counts,
    }  # fmt: skip


def show(store: Store, name: str) -> dict:
    """One study: its runs, jobs and latest league."""
    found = studies.get(store, name)
    return {
        **summary(found),
        "spec": found.spec,
        "jobs": [asdict(job) for job in jobs.of_study(store, found.id)],
        "league": studies.league(store, found.id),
        "aggregate": aggregate_of(store, found).to_dict() if found.domains else None,
        "settled": steward.is_settled(store, found),
        "corrupt_journal_lines": len(runs.corrupt_lines(store)),
    }


def list_runs(store: Store, name: str) -> list[dict]:
    """The runs of a study, one row each, with shares by domain and losses by metric."""
    found = studies.get(store, name)
    rows = runs.table(store, found.id).to_pylist()
    for row in rows:
        named = {"weights": found.domains, "losses": found.metrics, "losses_se": found.metrics, "shares": found.domains}
        for column, names in named.items():
            values = row.pop(column)
            row[column] = dict(zip(names, values, strict=True)) if values else None
    return rows


def start(store: Store, spec: dict) -> dict:
    """Create a study from its settings (engine.StudySpec) and start it."""
    return {"study": steward.create(store, StudySpec.from_dict(spec))}


def cancel(store: Store, name: str) -> dict:
    """Stop a study's jobs; its finished runs stay."""
    steward.cancel(store, studies.get(store, name).id)
    return {"study": name, "state": "cancelled"}


def pause(store: Store, name: str) -> dict:
    """Hold a study up: its jobs stop at a checkpoint and wait."""
    steward.pause(store, studies.get(store, name).id)
    return {"study": name, "state": "paused"}


def resume(store: Store, name: str) -> dict:
    """Go on with a paused or cancelled study and retry its failed jobs."""
    steward.resume(store, studies.get(store, name).id)
    return {"study": name, "state": "active"}


def fit(store: Store, name: str) -> dict:
    """Queue the league on the runs that are there now."""
    found = studies.get(store, name)
    if found.done < FEWEST_RUNS:
        raise Problem(
            f"Cannot fit {name!r}: {found.done} of its runs are done, and cross-validation needs {FEWEST_RUNS}. "
            "Wait for more."
        )
    return {"study": found.id, "job": steward.queue_fit(store, found)}


def search(
    store: Store, name: str, surrogate: str | None = None, priorities: dict | None = None, points: int = 1_000_000,
    method: str = "simulate", prices: dict | None = None,
) -> dict:  # fmt: skip
    """Queue a search of a million mixtures (or `points`) on a fitted surrogate."""
    found = studies.get(store, name)
    job = queue_search(store, found, surrogate, priorities, points, method, prices)
    return {"study": found.id, "job": job}


def candidates(store: Store, name: str) -> list[dict]:
    """What the searches of a study found, latest first."""
    return searches.of_study(store, studies.get(store, name).id)


def export(store: Store, name: str, format: str, candidate: str = "best", tokens: float | None = None) -> dict:
    """The files of a mixture in a loader's format: {file name: text}.

    candidate: "best" (the latest search's), a baseline's name, or a run's id.
    """
    found = studies.get(store, name)
    shares = point_of(store, found, candidate)
    return {"files": recipe.export(recipe_of(store, found, shares, candidate, tokens), format)}


def import_runs(store: Store, name: str, format: str, weights: str, metrics: str | None = None, **options) -> dict:
    """Make a study of runs in files of the workspace's imports folder (engine.adopt.adopt has the options)."""
    return adopt.adopt(store, name, format, weights, metrics, **options)


def preview_import(store: Store, format: str, weights: str, metrics: str | None = None, **columns) -> dict:
    """What an import would make of its files, without doing it: guessed columns, notes or the refusal, first rows."""
    return adopt.preview(store, format, weights, metrics, **columns)


def fitted(store: Store, name: str, surrogate: str | None = None) -> dict:
    """Where a study's fitted surrogate lies in the workspace, and what its columns are called."""
    return adopt.fitted(store, name, surrogate)


def predict(store: Store, name: str, weights: list[dict], surrogate: str | None = None) -> list[dict]:
    """Predicted metrics, mean and std, of a few mixtures {domain: share}."""
    return adopt.predict(store, name, weights, surrogate)


COMMANDS = {
    command.__name__: command
    for command in (
        list_corpora, build_corpus, job, list_jobs, submit_job, cancel_job, retry_job, prioritise_job, job_log,
        list_studies, show, list_runs, start, cancel, pause, resume, fit, search, candidates, export, import_runs,
        preview_import, fitted, predict, *round_commands.COMMANDS,
    )
}  # fmt: skip
