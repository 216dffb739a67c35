"""What people and the owner decide, as rows: one function per kind of event, one table."""

import json

import pyarrow as pa

from store.events.bulk import insert


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
    that this one goes on from, which count here too (engine/studies/domain_changes.py)."""
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
    "id": pa.string(),
    "number": pa.int64(),
    "role": pa.string(),
    "label": pa.string(),
    "weights": pa.list_(pa.float64()),
    "seed": pa.int64(),
    "job": pa.string(),
    "fidelity": pa.string(),
}


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
    "id": pa.string(),
    "label": pa.string(),
    "weights": pa.list_(pa.float64()),
    "losses": pa.list_(pa.float64()),
    "seed": pa.int64(),
    "parameters": pa.int64(),
    "tokens": pa.int64(),
    "seconds": pa.float64(),
    "device": pa.string(),
}


def job_planned(cursor, journal, e):
    jobs_planned(cursor, e.get("study"), [e], e["t"])


def jobs_planned(cursor, study, jobs, t):
    """Jobs that are to be spooled; each is one row, however often it was planned."""
    specs = [job["spec"] for job in jobs]
    columns = {
        "id": [job["job"] for job in jobs],
        "kind": [spec["kind"] for spec in specs],
        "spec": [json.dumps(spec) for spec in specs],
        "priority": [float(spec.get("priority", 0)) for spec in specs],
        "study": study,
        "state": "queued",
        "planned_at": t,
    }
    insert(cursor, "jobs", columns, {"study": pa.string()}, "OR IGNORE")


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
    """A point that somebody nominated."""
    frozen = json.loads(e["frozen"])
    values = [e["candidate"], e["study"], frozen["name"], frozen["author"], e["frozen"], e["t"]]
    cursor.execute("INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?)", values)
    review_added(cursor, journal, e | {"what": "put", "author": frozen["author"], "body": {"name": frozen["name"]}})


def review_added(cursor, journal, e):
    """Somebody commented, voted, decided or set the rules: the next line of the history."""
    values = [e["study"], e.get("candidate"), e["what"], e["author"], json.dumps(e["body"]), e["t"]]
    cursor.execute("INSERT INTO reviews SELECT (SELECT coalesce(max(n), 0) + 1 FROM reviews), ?, ?, ?, ?, ?, ?", values)


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
}
