"""Check a workspace after chaos: has every job ended, is every event in the database exactly once, and
does a rebuild give the same tables?"""

import json
from collections import Counter
from pathlib import Path

from engine.core.workspace import Workspace
from engine.jobs.events import OUTCOMES, JobFailed, JobFinished
from engine.jobs.journal import last_event, parse, read_events
from engine.jobs.spool import PLACES, Spool
from store.database import Store
from store.from_journals import rebuild

ENDS = {"job.finished": "done", "job.failed": "failed", "job.cancelled": "cancelled"}


def examine(root: Path, acknowledged: set[str], halves: list[str], garbage: list[str]) -> dict:
    """Counts, and under "wrong" everything that should not be, in words.

    acknowledged: jobs that the page accepted; halves: jobs with half a spec; garbage: beginnings of corrupt lines.
    """
    workspace, wrong = Workspace.open(root), []
    store = Store(workspace)
    store.ingest()
    others = {name for (name,) in store.rows("SELECT id FROM jobs")} - acknowledged - set(halves)
    asked = {"submitted and accepted": acknowledged, "half-written specs": set(halves), "queued for studies": others}
    ends = {origin: outcomes_of(store.spool, jobs, wrong) for origin, jobs in asked.items()}
    for half in halves:
        if not isinstance(outcome_of(store.spool, half), JobFailed):
            wrong.append(f"{half} has half a spec and did not fail")
    events = every_event_once(store, wrong)
    states = states_agree(store, acknowledged, wrong)
    found = [text for (text,) in store.rows("SELECT text FROM corrupt_lines")]
    times = {text: sum(text in line for line in found) for text in garbage}
    wrong += [f"corrupt line {text!r} set aside {n} times" for text, n in times.items() if n != 1]
    wrong += [f"unexpected corrupt line: {f[:80]!r}" for f in found if "chaos-" not in f]
    causes = store.rows("SELECT message FROM jobs WHERE state = 'failed'")
    live = tables(store)
    store.close()
    fresh = root / "again.duckdb"
    rebuild(workspace, fresh)
    again = Store(workspace, fresh)
    wrong += [f"the rebuilt table {name} differs" for name, rows in tables(again).items() if rows != live[name]]
    again.close()
    why = Counter(cause[:160] for (cause,) in causes)
    if sum((Counter(one) for one in ends.values()), Counter()) != states:
        wrong.append(f"jobs ended as {ends}, and the database says {states}")
    counts = {"jobs": ends, "causes of failures": dict(why), "states in the database": states}
    counts |= {"events in journals": events, "rows of curves": len(live["curve"])}
    return counts | {"corrupt lines set aside": len(found), "wrong": wrong}


def outcome_of(spool: Spool, job_id: str):
    """The event that ended a job, or None."""
    folder = spool.find(job_id)
    return folder and last_event(folder, *OUTCOMES)


def outcomes_of(spool: Spool, jobs: set[str], wrong: list[str]) -> dict[str, int]:
    """How the jobs ended, by their state. Each must have ended, and a failure must say why."""
    outcomes = Counter()
    for job_id in sorted(jobs):
        outcome = outcome_of(spool, job_id)
        outcomes[ENDS[outcome.kind] if outcome else "lost"] += 1
        if outcome is None:
            wrong.append(f"{job_id} did not end")
        elif isinstance(outcome, JobFailed) and not outcome.message:
            wrong.append(f"{job_id} failed without a cause")
        if outcome and len(read_events(spool.find(job_id), JobFinished)) > 1:
            wrong.append(f"{job_id} finished twice")
    return dict(outcomes)


def every_event_once(store: Store, wrong: list[str]) -> int:
    """Count the journals' events; compare offsets with sizes, and curves with the lines that they come from."""
    read_to = dict(store.rows("SELECT name, read_to FROM journals"))
    folders = [folder for place in PLACES for folder in store.spool.folders(place)]
    count, lines, starts = 0, Counter(), Counter()
    for folder in [store.journal.folder, *folders]:
        journal = folder / "events.jsonl"
        data = journal.read_bytes() if journal.exists() else b""
        key = folder.name if folder == store.journal.folder else f"job/{folder.name}"
        if read_to.get(key, 0) != data.rfind(b"\n") + 1:
            wrong.append(f"{folder.name} was read to {read_to.get(key)} of {len(data)}")
        for event in filter(None, map(parse, data.split(b"\n"))):
            count += 1
            starts[folder.name] += event["kind"] == "job.started"
            if event["kind"] == "runs.progress":
                lines.update((run, event["step"], event["t"]) for run in event["runs"])
    rows = Counter(store.rows("SELECT run, step, t FROM curve"))
    if rows != lines:
        wrong.append(f"curves have {sum(rows.values())} rows of {sum(lines.values())} lines")
    for name, attempts in store.rows("SELECT id, attempts FROM jobs"):
        if attempts != starts[name]:
            wrong.append(f"{name} counts {attempts} attempts and began {starts[name]} times")
    return count


def states_agree(store: Store, acknowledged: set[str], wrong: list[str]) -> dict[str, int]:
    """The jobs' states in the database, which must be those of their journals."""
    states = dict(store.rows("SELECT id, state FROM jobs"))
    wrong += [f"{job_id} was acknowledged and is not in the database" for job_id in acknowledged - states.keys()]
    for job_id, state in states.items():
        outcome = outcome_of(store.spool, job_id)
        if outcome is None or ENDS[outcome.kind] != state:
            wrong.append(f"{job_id} is {state!r} in the database and {outcome} in its journal")
    return dict(Counter(states.values()))


def tables(store: Store) -> dict[str, list[str]]:
    """Every table's rows, sorted."""
    names = [name for (name,) in store.rows("SELECT table_name FROM information_schema.tables ORDER BY 1")]
    return {name: sorted(json.dumps(row, default=str) for row in store.rows(f"SELECT * FROM {name}")) for name in names}
