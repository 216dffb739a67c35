"""What jobs become and what they measure, as rows: one function per kind of event, one table."""

import json

import pyarrow as pa

from store.events.bulk import insert, update


def job_started(cursor, journal, e):
    cursor.execute(
        "UPDATE jobs SET state = 'running', started_at = coalesce(started_at, ?), attempts = attempts + 1, "
        "ended_at = NULL, message = NULL, host = ?, attempt_at = ? WHERE id = ?",
        [e["t"], e.get("host"), e["t"], journal],
    )


def job_waits(state):
    """The job is back in the queue: `state` says why."""

    def change(cursor, journal, e):
        cursor.execute("UPDATE jobs SET state = ?, message = ? WHERE id = ?", [state, e.get("message"), journal])
        cursor.execute(
            "UPDATE runs SET state = 'planned', message = NULL WHERE job = ? AND state NOT IN ('done', 'diverged')",
            [journal],
        )

    return change


def job_ended(state, run_state):
    """The job came to its end; runs of it that did not finish share its fate."""

    def change(cursor, journal, e):
        message = e.get("message")
        cursor.execute(
            "UPDATE jobs SET state = ?, message = ?, ended_at = ? WHERE id = ?",
            [state, message, e["t"], journal],
        )
        cursor.execute(
            "UPDATE runs SET state = ?, message = ? WHERE job = ? AND state NOT IN ('done', 'diverged')",
            [run_state, message, journal],
        )

    return change


def job_progress(cursor, events):
    last = dict(events)  # of each journal
    columns = {name: [e[name] for e in last.values()] for name in ("done", "total", "note")}
    types = {"done": pa.float64(), "total": pa.float64(), "note": pa.string()}
    update(cursor, "jobs", columns | {"id": list(last)}, types)


def job_note(cursor, journal, e):
    cursor.execute("UPDATE jobs SET message = ? WHERE id = ?", [e["text"], journal])


# What a job measures -------------------------------------------------------------------------------------


def corpus_built(cursor, journal, e):
    cursor.execute("UPDATE corpora SET manifest = ? WHERE name = ?", [json.dumps(e["manifest"]), e["corpus"]])


def runs_started(cursor, journal, e):
    cursor.execute(
        "UPDATE runs SET state = 'running', device = ?, parameters = ? WHERE list_contains(?, id) "
        "AND state NOT IN ('done', 'diverged')",
        [e["device"], e["parameters"], e["runs"]],
    )


def runs_progress(cursor, events):
    lines = [e for _, e in events]
    columns = {
        "run": [run for e in lines for run in e["runs"]],
        "loss": [loss for e in lines for loss in e["loss"]],
        **{name: [e[name] for e in lines for _ in e["runs"]] for name in ("step", "tokens", "tokens_per_second", "t")},
    }
    insert(cursor, "curve", columns, {"loss": pa.float64(), "tokens_per_second": pa.float64(), "t": pa.float64()})
    speeds = {journal: e["tokens_per_second"] for journal, e in events}
    update(
        cursor,
        "jobs",
        {"id": list(speeds), "tokens_per_second": list(speeds.values())},
        {"tokens_per_second": pa.float64()},
    )
    reached = {run: (e["step"], e["steps"]) for e in lines for run in e["runs"]}
    step, steps = zip(*reached.values(), strict=True)
    update(cursor, "runs", {"id": list(reached), "step": step, "steps": steps}, {})


def runs_evaluated(cursor, journal, e):
    rows = [(run, e["tokens"], losses, e["t"]) for run, losses in zip(e["runs"], e["losses"], strict=True)]
    cursor.executemany("INSERT INTO evaluations VALUES (?, ?, ?, ?)", rows)


def runs_finished(cursor, events):
    """What runs measured, in one statement for all: one by one it costs 6 ms a run."""
    finished = {e["run"]: e for _, e in events}
    order = {
        run: [one["metric"] for one in json.loads(metrics)] if metrics else domains
        for run, domains, metrics in cursor.execute(
            "SELECT runs.id, studies.domains, studies.metrics FROM runs JOIN studies ON studies.id = runs.study "
            "WHERE runs.id IN (SELECT unnest(?))",
            [list(finished)],
        ).fetchall()
    }
    known = {run: e for run, e in finished.items() if run in order}  # a folder copied in by hand has others' runs
    columns = {name: [e[name] for e in known.values()] for name in MEASURED}
    for name in ("losses", "losses_se"):
        columns[name] = [[e[name].get(metric) for metric in order[run]] for run, e in known.items()]
    update(cursor, "runs", columns | {"id": list(known)}, MEASURED, "state = 'done', message = NULL")


def runs_measured(cursor, journal, e):
    """Runs that a search chose and measured by itself."""
    columns = {name: [run[name] for run in e["runs"]] for name in e["runs"][0]}
    floats = pa.list_(pa.float64())
    types = {"losses": floats, "losses_se": floats, "weights": floats, "parameters": pa.int64()}
    insert(cursor, "runs", columns | {"study": e["study"], "job": journal, "state": "done"}, types)


def merge_search_finished(cursor, journal, e):
    values = [journal, e["study"], json.dumps(e["settings"]), json.dumps(e["found"]), e["t"]]
    cursor.execute("INSERT OR REPLACE INTO merge_searches VALUES (?, ?, ?, ?, ?)", values)


def merge_learned(cursor, journal, e):
    values = [journal, e["study"], json.dumps(e["settings"]), json.dumps(e["found"]), e["t"]]
    cursor.execute("INSERT OR REPLACE INTO merge_learned VALUES (?, ?, ?, ?, ?)", values)


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


def run_diverged(cursor, journal, e):
    message = f"Diverged at step {e['step']}: its loss was no longer a number or exploded. A lower learning rate helps."
    cursor.execute("UPDATE runs SET state = 'diverged', message = ? WHERE id = ?", [message, e["run"]])


def league_finished(cursor, journal, e):
    values = [e["study"], e["fingerprint"], e["runs"], json.dumps(e["league"]), e["t"]]
    cursor.execute("INSERT OR REPLACE INTO leagues VALUES (?, ?, ?, ?, ?)", values)


def search_finished(cursor, journal, e):
    values = [journal, e["study"], json.dumps(e["settings"]), json.dumps(e["found"]), e["t"]]
    cursor.execute("INSERT OR REPLACE INTO searches VALUES (?, ?, ?, ?, ?)", values)


def proposal_finished(cursor, journal, e):
    values = [journal, e["study"], json.dumps(e["settings"]), json.dumps(e["found"]), e["t"]]
    cursor.execute("INSERT OR REPLACE INTO proposals VALUES (?, ?, ?, ?, ?)", values)


EVENTS = {
    "job.started": job_started,
    "job.died": job_waits("queued"),
    "job.paused": job_waits("paused"),
    "job.requeued": job_waits("queued"),
    "job.finished": job_ended("done", "failed"),
    "job.failed": job_ended("failed", "failed"),
    "job.cancelled": job_ended("cancelled", "cancelled"),
    "job.note": job_note,
    "corpus.built": corpus_built,
    "runs.started": runs_started,
    "runs.evaluated": runs_evaluated,
    "run.diverged": run_diverged,
    "league.finished": league_finished,
    "search.finished": search_finished,
    "runs.measured": runs_measured,
    "merge_search.finished": merge_search_finished,
    "merge.learned": merge_learned,
    "proposal.finished": proposal_finished,
}
# Applied after the others of their chunk: what comes before or after them in a journal leaves the same.
BULK = {"job.progress": job_progress, "runs.progress": runs_progress, "run.finished": runs_finished}
