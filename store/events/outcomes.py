"""Apply jobs' states and results: one function per kind of event, one table of them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from engine.jobs.events import (
    Event,
    JobCancelled,
    JobDied,
    JobFailed,
    JobFinished,
    JobNote,
    JobPaused,
    JobProgress,
    JobRequeued,
    JobStarted,
    RunDiverged,
    RunFinished,
    RunRefused,
    RunsCompared,
    RunsEvaluated,
    RunsMeasured,
    RunsProgress,
    RunsStarted,
    RunStopped,
)
from engine.spec.kinds.train import TrainTask
from store.events.bulk import Columns, Cursor, Handler, Origin, insert, update

OVER = "('done', 'diverged', 'refused', 'stopped')"  # final states of runs


def job_started(cursor: Cursor, origin: Origin, e: JobStarted) -> None:
    cursor.execute(
        "UPDATE jobs SET state = 'running', started_at = coalesce(started_at, ?), attempts = attempts + 1, "
        "ended_at = NULL, message = NULL, host = ?, attempt_at = ? WHERE id = ?",
        [origin.t, e.host, origin.t, origin.journal],
    )


def job_waits(state: str) -> Callable[[Cursor, Origin, JobDied | JobPaused | JobRequeued], None]:
    """The job is back in the queue: `state` says why."""

    def change(cursor: Cursor, origin: Origin, e: JobDied | JobPaused | JobRequeued) -> None:
        message = None if isinstance(e, JobRequeued) else e.message
        cursor.execute("UPDATE jobs SET state = ?, message = ? WHERE id = ?", [state, message, origin.journal])
        cursor.execute(
            "UPDATE runs SET state = 'planned', message = NULL WHERE job = ? AND state NOT IN " + OVER,
            [origin.journal],
        )

    return change


def job_ended(state: str, run_state: str) -> Callable[[Cursor, Origin, JobFinished | JobFailed | JobCancelled], None]:
    """The job ended; its unfinished runs end with it. One that is done keeps the last thing that it said."""

    def change(cursor: Cursor, origin: Origin, e: JobFinished | JobFailed | JobCancelled) -> None:
        message = e.message if isinstance(e, JobFailed) else None
        cursor.execute(
            "UPDATE jobs SET state = ?, message = CASE WHEN ? THEN message ELSE ? END, ended_at = ? WHERE id = ?",
            [state, isinstance(e, JobFinished), message, origin.t, origin.journal],
        )
        cursor.execute(
            "UPDATE runs SET state = ?, message = ? WHERE job = ? AND state NOT IN " + OVER,
            [run_state, message, origin.journal],
        )

    return change


def job_progress(cursor: Cursor, events: list[tuple[Origin, JobProgress]]) -> None:
    last = {origin.journal: e for origin, e in events}
    columns = {name: [getattr(e, name) for e in last.values()] for name in ("done", "total", "note")}
    types = {"done": pa.float64(), "total": pa.float64(), "note": pa.string()}
    update(cursor, "jobs", columns | {"id": list(last)}, types)


def job_note(cursor: Cursor, origin: Origin, e: JobNote) -> None:
    cursor.execute("UPDATE jobs SET message = ? WHERE id = ?", [e.text, origin.journal])


# Results of a job -------------------------------------------------------------------------------------


def runs_started(cursor: Cursor, origin: Origin, e: RunsStarted) -> None:
    cursor.execute(
        "UPDATE runs SET state = 'running', device = ?, parameters = ? WHERE list_contains(?, id) "
        "AND state NOT IN " + OVER,
        [e.device, e.parameters, e.runs],
    )


def runs_progress(cursor: Cursor, events: list[tuple[Origin, RunsProgress]]) -> None:
    """Points of training curves, many journals at once, and the speed of their jobs."""
    points = [(origin.t, e, run, loss) for origin, e in events for run, loss in zip(e.runs, e.loss, strict=True)]
    columns = {
        "run": [run for _, _, run, _ in points],
        "loss": [loss for *_, loss in points],
        "t": [t for t, *_ in points],
        **{name: [getattr(e, name) for _, e, _, _ in points] for name in ("step", "tokens", "tokens_per_second")},
    }
    insert(cursor, "curve", columns, {"loss": pa.float64(), "tokens_per_second": pa.float64(), "t": pa.float64()})
    speeds = {origin.journal: e.tokens_per_second for origin, e in events}
    columns = {"id": list(speeds), "tokens_per_second": list(speeds.values())}
    update(cursor, "jobs", columns, {"tokens_per_second": pa.float64()})
    reached = {run: (e.step, e.steps) for _, e, run, _ in points}
    step, steps = zip(*reached.values(), strict=True)
    update(cursor, "runs", {"id": list(reached), "step": step, "steps": steps}, {})


def runs_evaluated(cursor: Cursor, origin: Origin, e: RunsEvaluated) -> None:
    columns: Columns = {"run": e.runs, "losses": e.losses, "tokens": e.tokens, "t": origin.t}
    insert(cursor, "evaluations", columns, {"run": pa.string(), "losses": pa.list_(pa.float64())})


def runs_finished(cursor: Cursor, events: list[tuple[Origin, RunFinished]]) -> None:
    """Results of runs, in one statement: one by one it costs 6 ms per run."""
    finished = {e.run: e for _, e in events}
    there = values_there(cursor, list(finished))
    known = {
        run: e for run, e in finished.items() if run in there
    }  # a folder copied in by hand may have runs of others
    columns = {name: [getattr(e, name) for e in known.values()] for name in MEASURED}
    for name in ("losses", "losses_se"):
        columns[name] = [merged(there[run][name], getattr(e, name)) for run, e in known.items()]
    columns |= {"id": list(known), "message": [e.message for e in known.values()]}
    update(cursor, "runs", columns, MEASURED | {"message": pa.string()}, "state = 'done'")


Values = Mapping[str, float | None]  # of a run's metrics, by name


def values_there(cursor: Cursor, runs: list[str]) -> dict[str, dict[str, Values]]:
    """Of runs that are there {"losses", "losses_se"}: every metric of their study, with what it has so far, or None."""
    found: dict[str, dict[str, Values]] = {}
    for run, domains, metrics, *lists in cursor.execute(
        "SELECT runs.id, studies.domains, studies.metrics, losses, losses_se FROM runs "
        "JOIN studies ON studies.id = runs.study WHERE runs.id IN (SELECT unnest(?))",
        [runs],
    ).fetchall():
        names = [one["metric"] for one in json.loads(metrics)] if metrics else domains
        empty = [None] * len(names)
        found[run] = {
            name: dict(zip(names, values or empty, strict=True))
            for name, values in zip(("losses", "losses_se"), lists, strict=True)
        }
    return found


def merged(there: Values, told: Values) -> list[float | None]:
    """The values of a run's metrics, in their order: what is told, else what was there."""
    return [told.get(metric, value) for metric, value in there.items()]


def runs_compared(cursor: Cursor, origin: Origin, e: RunsCompared) -> None:
    """Values that are added to those of runs, which may be told of before or after: a rebuild reads journals in any
    order."""
    there = values_there(cursor, [run.id for run in e.runs])
    if not (known := [run for run in e.runs if run.id in there]):
        return
    columns: Columns = {
        name: [merged(there[run.id][name], getattr(run, name)) for run in known] for name in ("losses", "losses_se")
    }
    update(cursor, "runs", columns | {"id": [run.id for run in known]}, MEASURED)


def runs_measured(cursor: Cursor, origin: Origin, e: RunsMeasured) -> None:
    """Runs chosen and measured by a search or a learner; those without a measurement say why."""
    names = ("id", "number", "role", "label", "weights", "seed", *CHOSEN, "state")
    columns: Columns = {name: [getattr(run, name) for run in e.runs] for name in names}
    columns["message"] = [run.refused or (NOT_A_NUMBER if run.state == "diverged" else run.missing) for run in e.runs]
    types = CHOSEN | {"label": pa.string(), "weights": pa.list_(pa.float64()), "message": pa.string()}
    insert(cursor, "runs", columns | {"study": e.study, "job": origin.journal}, types)


NOT_A_NUMBER = "The merged model's loss is not a number. Smaller coefficients help."


MEASURED = {
    "losses": pa.list_(pa.float64()),
    "losses_se": pa.list_(pa.float64()),
    "shares": pa.list_(pa.float64()),
    "tokens": pa.int64(),
    "seconds": pa.float64(),
    "cpu_seconds": pa.float64(),
    "device": pa.string(),
    "parameters": pa.int64(),
}
CHOSEN = {name: MEASURED[name] for name in MEASURED if name not in ("shares", "tokens")}  # of a merge


def run_diverged(cursor: Cursor, origin: Origin, e: RunDiverged) -> None:
    """A run whose loss is not a number, with what helps."""
    if e.message:  # before 0.2 refused merges were reported this way
        run_refused(cursor, origin, RunRefused(e.run, e.message))
        return
    trained = cursor.execute("SELECT kind FROM jobs WHERE id = ?", [origin.journal]).fetchall() == [(TrainTask.kind,)]
    message = NOT_A_NUMBER
    if trained:
        message = (
            f"Diverged at step {e.step}: its loss was no longer a number or exploded. A lower learning rate helps."
        )
    cursor.execute("UPDATE runs SET state = 'diverged', message = ? WHERE id = ?", [message, e.run])


def run_refused(cursor: Cursor, origin: Origin, e: RunRefused) -> None:
    cursor.execute("UPDATE runs SET state = 'refused', message = ? WHERE id = ?", [e.message, e.run])


def run_stopped(cursor: Cursor, origin: Origin, e: RunStopped) -> None:
    """A run that ended early keeps its curve, and has no results."""
    cursor.execute(
        "UPDATE runs SET state = 'stopped', step = ?, steps = ?, tokens = ?, seconds = ?, cpu_seconds = ?, message = ? "
        "WHERE id = ?",
        [e.step, e.steps, e.tokens, e.seconds, e.cpu_seconds, e.message, e.run],
    )


EVENTS: dict[type[Event], Handler] = {
    JobStarted: job_started,
    JobDied: job_waits("queued"),
    JobPaused: job_waits("paused"),
    JobRequeued: job_waits("queued"),
    JobFinished: job_ended("done", "failed"),
    JobFailed: job_ended("failed", "failed"),
    JobCancelled: job_ended("cancelled", "cancelled"),
    JobNote: job_note,
    RunsStarted: runs_started,
    RunsEvaluated: runs_evaluated,
    RunDiverged: run_diverged,
    RunRefused: run_refused,
    RunStopped: run_stopped,
    RunsMeasured: runs_measured,
    RunsCompared: runs_compared,
}
# Applied after the others of their chunk: their order relative to other events does not matter.
BULK: dict[type[Event], Callable[[Cursor, list[tuple[Origin, Any]]], None]] = {
    JobProgress: job_progress,
    RunsProgress: runs_progress,
    RunFinished: runs_finished,
}
