"""What each kind of journal event does to the tables. One function a kind; the order of journals does not matter.

Within one journal events apply in their order. Tables that several journals touch are written so that the
result is the same whichever is read first: the owner's journal inserts rows, a job's own journal alone moves
the state of the job and of its runs.
"""

import json
from collections.abc import Sequence
from contextlib import contextmanager

import pyarrow as pa

from store.journal import Chunk


def apply(cursor, chunks: Sequence[Chunk]) -> None:
    """Bring chunks of journals into the tables. Unknown kinds are left alone: a newer worker's."""
    bulk: dict[str, list[tuple[str, dict]]] = {}
    for chunk in chunks:
        for event in chunk.events:
            if event["kind"] in BULK:
                bulk.setdefault(event["kind"], []).append((chunk.name, event))
            elif event["kind"] in EVENTS:
                EVENTS[event["kind"]](cursor, chunk.name, event)
    for kind, events in bulk.items():
        BULK[kind](cursor, events)


# What people and the owner decide ------------------------------------------------------------------------


def study_created(cursor, journal, e):
    values = [e["study"], e["name"], json.dumps(e["spec"]), e["t"]]
    cursor.execute("INSERT INTO studies (id, name, spec, state, created_at) VALUES (?, ?, ?, 'active', ?)", values)


def study_cancelled(cursor, journal, e):
    cursor.execute("UPDATE studies SET state = 'cancelled' WHERE id = ?", [e["study"]])


def study_resumed(cursor, journal, e):
    cursor.execute("UPDATE studies SET state = 'active', message = NULL WHERE id = ?", [e["study"]])


def study_paused(cursor, journal, e):
    cursor.execute("UPDATE studies SET state = 'paused' WHERE id = ?", [e["study"]])


def study_failed(cursor, journal, e):
    cursor.execute("UPDATE studies SET state = 'failed', message = ? WHERE id = ?", [e["message"], e["study"]])


def study_planned(cursor, journal, e):
    """The study's runs, the jobs that will train them, and the corpus they are made for; `carried`: runs of the study
    that this one goes on from, which count here too (engine/changes.py)."""
    metrics = e.get("metrics") and json.dumps(e["metrics"])  # journals of 0.1 have none: each domain's loss
    values = [e["domains"], metrics, json.dumps(e["corpus"]), e["study"]]
    cursor.execute("UPDATE studies SET domains = ?, metrics = ?, corpus = ? WHERE id = ?", values)
    runs_added(cursor, journal, e)
    for run in e.get("carried", ()):
        cursor.execute(
            "INSERT INTO runs (id, study, number, role, label, weights, seed, losses, state) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'done')",
            [run["id"], e["study"], *(run[key] for key in ("number", "role", "label", "weights", "seed", "losses"))],
        )


def runs_added(cursor, journal, e):
    """Runs to be trained, and the jobs that will train them."""
    columns = {name: [run.get(name) for run in e["runs"]] for name in RUN_COLUMNS}
    columns["fidelity"] = [json.dumps(run["fidelity"]) if run.get("fidelity") else None for run in e["runs"]]
    insert(cursor, "runs", columns | {"study": e["study"], "state": "planned"}, RUN_COLUMNS)
    jobs_planned(cursor, e["study"], e["jobs"], e["t"])


# Of a planned run, and their types in Arrow where that cannot tell by itself (all may be None).
RUN_COLUMNS = {
    "id": pa.string(), "number": pa.int64(), "role": pa.string(), "label": pa.string(),
    "weights": pa.list_(pa.float64()), "seed": pa.int64(), "job": pa.string(), "fidelity": pa.string(),
}  # fmt: skip


def study_imported(cursor, journal, e):
    """A study of runs that were trained elsewhere, with all that they measured."""
    values = [e["study"], e["name"], json.dumps(e["spec"]), e["domains"], json.dumps(e["metrics"])]
    values += [e["corpus"] and json.dumps(e["corpus"]), json.dumps(e["imported"]), e["t"]]
    cursor.execute(
        "INSERT INTO studies (id, name, spec, domains, metrics, corpus, imported, state, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'active', ?)",
        values,
    )
    columns = {name: [run[name] for run in e["runs"]] for name in e["runs"][0]}
    columns["study"] = e["study"]
    types = {"label": pa.string(), "tokens": pa.int64(), "parameters": pa.int64(), "losses": pa.list_(pa.float64())}
    types["weights"] = types["losses"]
    insert(cursor, "runs", columns | {"role": "imported", "state": "done"}, types)


def runs_submitted(cursor, journal, e):
    """Finished runs that somebody posted, numbered in the order of their lines; each is one row, however often."""
    last = cursor.execute("SELECT coalesce(max(number), 0) FROM runs WHERE study = ?", [e["study"]]).fetchall()[0][0]
    columns = {name: [run.get(name) for run in e["runs"]] for name in SUBMITTED}
    columns["number"] = list(range(last + 1, last + 1 + len(e["runs"])))
    columns |= {"study": e["study"], "role": "submitted", "state": "done"}
    insert(cursor, "runs", columns, SUBMITTED, "OR IGNORE")


SUBMITTED = {
    "id": pa.string(), "label": pa.string(), "weights": pa.list_(pa.float64()), "losses": pa.list_(pa.float64()),
    "seed": pa.int64(), "parameters": pa.int64(), "tokens": pa.int64(), "seconds": pa.float64(), "device": pa.string(),
}  # fmt: skip


def job_planned(cursor, journal, e):
    jobs_planned(cursor, e.get("study"), [e], e["t"])


def jobs_planned(cursor, study, jobs, t):
    """Jobs that are to be spooled; each is one row, however often it was planned."""
    specs = [job["spec"] for job in jobs]
    columns = {
        "id": [job["job"] for job in jobs], "kind": [spec["kind"] for spec in specs],
        "spec": [json.dumps(spec) for spec in specs], "priority": [float(spec.get("priority", 0)) for spec in specs],
        "study": study, "state": "queued", "planned_at": t,
    }  # fmt: skip
    insert(cursor, "jobs", columns, {"study": pa.string()}, "OR IGNORE")


def insert(cursor, table, columns, types, how=""):
    """Insert many rows at once, a thousand times faster than one by one. columns: lists, or one value for all rows."""
    count = max(len(values) for values in columns.values() if isinstance(values, list))
    lists = {name: values if isinstance(values, list) else [values] * count for name, values in columns.items()}
    with new_rows(cursor, lists, types):
        cursor.execute(f"INSERT {how} INTO {table} BY NAME SELECT * FROM new_rows")


def update(cursor, table, columns, types, also=""):
    """Update many rows at once, by their id; `also`: what is set in all of them."""
    with new_rows(cursor, columns, types):
        sets = [f"{name} = new_rows.{name}" for name in columns if name != "id"] + [also] * bool(also)
        cursor.execute(f"UPDATE {table} SET {', '.join(sets)} FROM new_rows WHERE {table}.id = new_rows.id")


@contextmanager
def new_rows(cursor, columns, types):
    """Columns as a table `new_rows` inside the block."""
    cursor.register("new_rows", pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()}))
    yield
    cursor.unregister("new_rows")  # where the block failed, the cursor is rolled back and thrown away


def job_prioritised(cursor, journal, e):
    cursor.execute("UPDATE jobs SET priority = ? WHERE id = ?", [e["priority"], e["job"]])


def corpus_planned(cursor, journal, e):
    values = [e["corpus"], json.dumps(e["spec"]), e["t"]]
    cursor.execute(
        "INSERT INTO corpora (name, spec, created_at) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET spec = excluded.spec, created_at = excluded.created_at",
        values,
    )


def notice_raised(cursor, journal, e):
    values = [e["notice"], e["study"], e["outcome"], e["text"], e["t"]]
    cursor.execute("INSERT OR IGNORE INTO notices (id, study, outcome, text, t) VALUES (?, ?, ?, ?, ?)", values)


def notice_told(cursor, journal, e):
    """The webhook took it, or never will: `trouble` says why."""
    values = [e["t"], e.get("trouble"), e["notice"]]
    cursor.execute("UPDATE notices SET told_at = ?, trouble = ? WHERE id = ?", values)


def token_created(cursor, journal, e):
    names = ("token", "person", "local", "role", "label", "hash", "t", "expires_at")
    cursor.execute(
        "INSERT OR IGNORE INTO api_tokens (id, person, local, role, label, hash, created_at, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [e.get(name) for name in names],
    )


def token_revoked(cursor, journal, e):
    cursor.execute("UPDATE api_tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", [e["t"], e["token"]])


def token_used(cursor, journal, e):
    cursor.execute("UPDATE api_tokens SET used_at = ? WHERE id = ?", [e["t"], e["token"]])


def candidate_put(cursor, journal, e):
    """A point that somebody put forward."""
    frozen = json.loads(e["frozen"])
    values = [e["candidate"], e["study"], frozen["name"], frozen["author"], e["frozen"], e["t"]]
    cursor.execute("INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?)", values)
    review_added(cursor, journal, e | {"what": "put", "author": frozen["author"], "body": {"name": frozen["name"]}})


def review_added(cursor, journal, e):
    """Somebody commented, voted, decided or set the rules: the next line of the history."""
    values = [e["study"], e.get("candidate"), e["what"], e["author"], json.dumps(e["body"]), e["t"]]
    cursor.execute(
        "INSERT INTO reviews SELECT (SELECT coalesce(max(n), 0) + 1 FROM reviews), ?, ?, ?, ?, ?, ?", values
    )


# What a job becomes --------------------------------------------------------------------------------------


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
        "run": [run for e in lines for run in e["runs"]], "loss": [loss for e in lines for loss in e["loss"]],
        **{name: [e[name] for e in lines for _ in e["runs"]] for name in ("step", "tokens", "tokens_per_second", "t")},
    }  # fmt: skip
    insert(cursor, "curve", columns, {"loss": pa.float64(), "tokens_per_second": pa.float64(), "t": pa.float64()})
    speeds = {journal: e["tokens_per_second"] for journal, e in events}
    update(
        cursor, "jobs", {"id": list(speeds), "tokens_per_second": list(speeds.values())},
        {"tokens_per_second": pa.float64()},
    )  # fmt: skip
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
    "losses": pa.list_(pa.float64()), "losses_se": pa.list_(pa.float64()), "shares": pa.list_(pa.float64()),
    "tokens": pa.int64(), "seconds": pa.float64(), "cpu_seconds": pa.float64(), "device": pa.string(),
    "parameters": pa.int64(),
}  # fmt: skip


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
    "study.created": study_created,
    "study.cancelled": study_cancelled,
    "study.paused": study_paused,
    "study.resumed": study_resumed,
    "study.failed": study_failed,
    "study.planned": study_planned,
    "runs.added": runs_added,
    "study.imported": study_imported,
    "runs.submitted": runs_submitted,
    "job.planned": job_planned,
    "job.prioritised": job_prioritised,
    "corpus.planned": corpus_planned,
    "candidate.put": candidate_put,
    "review.added": review_added,
    "notice.raised": notice_raised,
    "notice.told": notice_told,
    "token.created": token_created,
    "token.revoked": token_revoked,
    "token.used": token_used,
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
