"""Apply what external trainers report of planned runs, and what is given up of them.

A run of theirs has no job: no other journal moves its state.
"""

import pyarrow as pa

from engine.jobs.events import Event
from engine.jobs.reported import ReportedRun, RunsGivenUp, RunsReported
from store.events.bulk import Columns, Cursor, Handler, Origin, insert, update

FACTS = {"parameters": pa.int64(), "tokens": pa.int64(), "seconds": pa.float64(), "device": pa.string()}
ENDED = FACTS | {
    "id": pa.string(),
    "losses": pa.list_(pa.float64()),
    "losses_se": pa.list_(pa.float64()),
    "message": pa.string(),
    "state": pa.string(),
    "reported_at": pa.float64(),
}
WAITING = "('planned', 'running')"
OVER = ("done", "diverged")


def runs_reported(cursor: Cursor, origin: Origin, e: RunsReported) -> None:
    """States, results and curves of planned runs; those of a job, or of another study, stay as they are."""
    asked = "SELECT id, state FROM runs WHERE study = ? AND job IS NULL AND list_contains(?, id)"
    own = dict(cursor.execute(asked, [e.study, [run.id for run in e.runs]]).fetchall())
    there = [run for run in e.runs if run.id in own]
    new = [run for run in there if own[run.id] not in OVER]  # a curve may be completed later; nothing else changes
    training = [run for run in new if run.state == "running"]
    ended = [run for run in new if run.state != "running"]
    if training:
        columns = {"id": [run.id for run in training], "device": [run.device for run in training]}
        update(cursor, "runs", columns, {"device": pa.string()}, "state = 'running', message = NULL")
    if ended:
        columns = {name: [getattr(run, name, None) for run in ended] for name in ENDED}
        columns["reported_at"] = [origin.t] * len(ended)
        update(cursor, "runs", columns, ENDED)
    add_curves(cursor, origin, there)


def add_curves(cursor: Cursor, origin: Origin, runs: list[ReportedRun]) -> None:
    """Their points of training curves and validation losses, and how far each has come."""
    points = [(run.id, one) for run in runs for one in run.curve]
    if points:
        columns: Columns = {"run": [run for run, _ in points], "t": origin.t, "tokens_per_second": None}
        columns |= {name: [getattr(one, name) for _, one in points] for name in ("step", "tokens", "loss")}
        insert(cursor, "curve", columns, {"loss": pa.float64(), "tokens_per_second": pa.float64()})
        last = {run.id: max(one.step for one in run.curve) for run in runs if run.curve}
        update(cursor, "runs", {"id": list(last), "step": list(last.values())}, {})
    looks = [(run.id, one) for run in runs for one in run.evaluations]
    if looks:
        columns = {"run": [run for run, _ in looks], "tokens": [one.tokens for _, one in looks], "t": origin.t}
        columns["losses"] = [one.losses for _, one in looks]
        insert(cursor, "evaluations", columns, {"losses": pa.list_(pa.float64())})


def runs_given_up(cursor: Cursor, origin: Origin, e: RunsGivenUp) -> None:
    cursor.execute(
        f"UPDATE runs SET state = 'cancelled' WHERE study = ? AND job IS NULL AND state IN {WAITING} "
        "AND list_contains(?, id)",
        [e.study, e.runs],
    )


def give_up_all(cursor: Cursor, study: str) -> None:
    """The runs of a cancelled study that an external trainer would train."""
    cursor.execute(
        f"UPDATE runs SET state = 'cancelled' WHERE study = ? AND job IS NULL AND state IN {WAITING}", [study]
    )


def plan_again(cursor: Cursor, study: str) -> None:
    """The runs of a resumed study that were given up, or failed where they were trained."""
    cursor.execute(
        "UPDATE runs SET state = 'planned', message = NULL WHERE study = ? AND job IS NULL "
        "AND state IN ('cancelled', 'failed')",
        [study],
    )


EVENTS: dict[type[Event], Handler] = {RunsReported: runs_reported, RunsGivenUp: runs_given_up}
