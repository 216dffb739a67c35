"""Apply decisions of people and the owner: one function per kind of event, one table of them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import fields

import pyarrow as pa

from engine.jobs.api import RequestBegun, RequestEnded, SignInEnded, TokenCreated, TokenRevoked, TokenUsed
from engine.jobs.decisions import (
    CandidatePut,
    CorpusPlanned,
    InboxRead,
    JobCancelAsked,
    JobPlanned,
    JobPrioritised,
    JobRetryAsked,
    NoticeRaised,
    NoticeTold,
    PlannedJob,
    ReviewAdded,
    RunsAdded,
    RunsSubmitted,
    StudyCancelled,
    StudyCreated,
    StudyFailed,
    StudyImported,
    StudyMeanChosen,
    StudyMetric,
    StudyPaused,
    StudyPlanned,
    StudyResumed,
    StudyTextGiven,
)
from engine.jobs.events import Event
from engine.jobs.ledger import PredictionsRegistered, RunPrediction, SourcePrice, SourcePriced
from engine.jobs.spec import JobSpec
from store.events.bulk import Columns, Cursor, Handler, Origin, insert
from store.events.reported import give_up_all, plan_again


def study_created(cursor: Cursor, origin: Origin, e: StudyCreated) -> None:
    values = [e.study, e.name, json.dumps(e.spec), origin.t]
    cursor.execute("INSERT INTO studies (id, name, spec, state, created_at) VALUES (?, ?, ?, 'active', ?)", values)


def study_text_given(cursor: Cursor, origin: Origin, e: StudyTextGiven) -> None:
    """Counts of text replace those that the study was planned with; its proxies stay as they were trained."""
    found = cursor.execute("SELECT spec, corpus FROM studies WHERE id = ?", [e.study]).fetchall()
    for spec, corpus in found:
        settings = {"available_tokens": e.available_tokens, "target_tokens": e.target_tokens}
        spec = {**json.loads(spec), **settings, "simulated_epoching": False}
        corpus = {**(json.loads(corpus) if corpus else {"domains": {}}), "pools": e.pools, "revision": e.revision}
        values = [json.dumps(spec), json.dumps(corpus), e.study]
        cursor.execute("UPDATE studies SET spec = ?, corpus = ? WHERE id = ?", values)


def study_mean_chosen(cursor: Cursor, origin: Origin, e: StudyMeanChosen) -> None:
    for (spec,) in cursor.execute("SELECT spec FROM studies WHERE id = ?", [e.study]).fetchall():
        values = [json.dumps({**json.loads(spec), "relative": e.relative}), e.study]
        cursor.execute("UPDATE studies SET spec = ? WHERE id = ?", values)


def study_cancelled(cursor: Cursor, origin: Origin, e: StudyCancelled) -> None:
    cursor.execute("UPDATE studies SET state = 'cancelled' WHERE id = ?", [e.study])
    give_up_all(cursor, e.study)


def study_resumed(cursor: Cursor, origin: Origin, e: StudyResumed) -> None:
    cursor.execute("UPDATE studies SET state = 'active', message = NULL WHERE id = ?", [e.study])
    plan_again(cursor, e.study)


def study_paused(cursor: Cursor, origin: Origin, e: StudyPaused) -> None:
    cursor.execute("UPDATE studies SET state = 'paused' WHERE id = ?", [e.study])


def study_failed(cursor: Cursor, origin: Origin, e: StudyFailed) -> None:
    cursor.execute("UPDATE studies SET state = 'failed', message = ? WHERE id = ?", [e.message, e.study])


def study_planned(cursor: Cursor, origin: Origin, e: StudyPlanned) -> None:
    """The study's runs, the jobs that will train them, and the corpus they are made for; `carried`: runs of the study
    that this one continues, which count here too (engine/studies/domain_changes.py)."""
    metrics = e.metrics and metrics_json(e.metrics)  # journals of 0.1 have none: each domain's loss
    values = [e.domains, metrics, json.dumps(e.corpus), e.study]
    cursor.execute("UPDATE studies SET domains = ?, metrics = ?, corpus = ? WHERE id = ?", values)
    runs_added(cursor, origin, e)
    if e.carried:
        carried: Columns = {name: [getattr(run, name) for run in e.carried] for name in CARRIED}
        insert(cursor, "runs", carried | {"study": e.study, "state": "done"}, CARRIED)


def runs_added(cursor: Cursor, origin: Origin, e: RunsAdded | StudyPlanned) -> None:
    """Runs to be trained, and the jobs that will train them."""
    columns = {name: [getattr(run, name) for run in e.runs] for name in RUN_COLUMNS}
    columns["fidelity"] = [json.dumps(run.fidelity) if run.fidelity else None for run in e.runs]
    insert(cursor, "runs", columns | {"study": e.study, "state": "planned"}, RUN_COLUMNS)
    jobs_planned(cursor, e.study, e.jobs, origin.t)


OF_TASKS = ("task", "chance", "items", "reference")  # of a metric, where it is a task's or a comparison


def metrics_json(metrics: Sequence[StudyMetric]) -> str:
    rows = [one.to_dict() for one in metrics]
    known = [{name: value for name, value in row.items() if value is not None or name not in OF_TASKS} for row in rows]
    return json.dumps(known)


# Columns of a planned run, with Arrow types where it cannot infer them (all may be None).
RUN_COLUMNS = {
    "id": pa.string(),
    "number": pa.int64(),
    "role": pa.string(),
    "label": pa.string(),
    "weights": pa.list_(pa.float64()),
    "seed": pa.int64(),
    "job": pa.string(),
    "fidelity": pa.string(),
    "doses": pa.list_(pa.float64()),
    "phases": pa.list_(pa.list_(pa.float64())),
    "trunk": pa.string(),
}


def study_imported(cursor: Cursor, origin: Origin, e: StudyImported) -> None:
    """A study of runs that were trained elsewhere, with their results."""
    corpus = e.corpus and json.dumps(e.corpus)
    values = [
        e.study,
        e.name,
        json.dumps(e.spec),
        e.domains,
        metrics_json(e.metrics),
        corpus,
        json.dumps(e.imported),
        origin.t,
    ]
    cursor.execute(
        "INSERT INTO studies (id, name, spec, domains, metrics, corpus, imported, state, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'active', ?)",
        values,
    )
    columns: Columns = {name: [getattr(run, name) for run in e.runs] for name in IMPORTED}
    insert(cursor, "runs", columns | {"study": e.study, "role": "imported", "state": "done"}, IMPORTED)


NAMED = {"id": pa.string(), "label": pa.string(), "weights": pa.list_(pa.float64()), "losses": pa.list_(pa.float64())}
NAMED |= {
    "losses_se": pa.list_(pa.float64()),
    "seed": pa.int64(),
    "parameters": pa.int64(),
    "tokens": pa.int64(),
}  # of every run that was measured elsewhere
IMPORTED = NAMED | {"number": pa.int64(), "phases": pa.list_(pa.list_(pa.float64()))}
CARRIED = {name: RUN_COLUMNS[name] for name in ("id", "number", "role", "label", "weights", "seed")}
CARRIED |= {"losses": pa.list_(pa.float64())}


def runs_submitted(cursor: Cursor, origin: Origin, e: RunsSubmitted) -> None:
    """Finished runs posted by a client, numbered in the order of their lines; a repeated one stays one row."""
    last = cursor.execute("SELECT coalesce(max(number), 0) FROM runs WHERE study = ?", [e.study]).fetchall()[0][0]
    columns: Columns = {name: [getattr(run, name) for run in e.runs] for name in SUBMITTED}
    columns["number"] = list(range(last + 1, last + 1 + len(e.runs)))
    columns |= {"study": e.study, "role": "submitted", "state": "done", "reported_at": origin.t}
    insert(cursor, "runs", columns, SUBMITTED, "OR IGNORE")


def predictions_registered(cursor: Cursor, origin: Origin, e: PredictionsRegistered) -> None:
    """What was predicted of runs; a repeated prediction stays one row."""
    names = [one.name for one in fields(RunPrediction)]
    columns: Columns = {name: [getattr(one, name) for one in e.predictions] for name in names}
    insert(
        cursor, "predictions", columns | {"study": e.study, "t": origin.t, "by_whom": origin.by}, PREDICTED, "OR IGNORE"
    )


def source_priced(cursor: Cursor, origin: Origin, e: SourcePriced) -> None:
    """What was predicted of a new source; a repeated price stays one row."""
    columns: Columns = {one.name: [getattr(e.price, one.name)] for one in fields(SourcePrice)}
    types = {"mixture": pa.list_(pa.float64()), "weights": pa.list_(pa.float64()), "by_whom": pa.string()}
    insert(
        cursor, "source_prices", columns | {"study": e.study, "t": origin.t, "by_whom": origin.by}, types, "OR IGNORE"
    )


# Columns of a prediction whose type Arrow cannot infer where all are null or empty.
PREDICTED = {name: pa.list_(pa.float64()) for name in ("weights", "mean", "std", "reference")}
PREDICTED |= {name: pa.float64() for name in ("gap", "gap_std", "distance", "predicted_at")}
PREDICTED |= {name: pa.string() for name in ("place", "candidate", "predicted_by", "by_whom")}

SUBMITTED = NAMED | {"seconds": pa.float64(), "device": pa.string()}


def job_planned(cursor: Cursor, origin: Origin, e: JobPlanned) -> None:
    jobs_planned(cursor, e.study, [e], origin.t)


def jobs_planned(cursor: Cursor, study: str | None, jobs: Sequence[PlannedJob | JobPlanned], t: float) -> None:
    """Jobs to spool, whose settings fitting.py has read; a repeated one stays one row."""
    columns = {
        "id": [job.job for job in jobs],
        "kind": [job.spec["kind"] for job in jobs],
        "spec": [json.dumps(job.spec) for job in jobs],
        "priority": [job.spec.get("priority", JobSpec.priority) for job in jobs],
        "study": study,
        "state": "queued",
        "planned_at": t,
    }
    insert(cursor, "jobs", columns, {"study": pa.string(), "priority": pa.float64()}, "OR IGNORE")


def job_prioritised(cursor: Cursor, origin: Origin, e: JobPrioritised) -> None:
    cursor.execute("UPDATE jobs SET priority = ? WHERE id = ?", [e.priority, e.job])


def job_asked(what: str) -> Callable[[Cursor, Origin, JobCancelAsked | JobRetryAsked], None]:
    """A request about a job; its own journal has the outcome."""

    def change(cursor: Cursor, origin: Origin, e: JobCancelAsked | JobRetryAsked) -> None:
        values = [what, origin.by, origin.t, e.job]
        cursor.execute("UPDATE jobs SET asked = ?, asked_by = ?, asked_at = ? WHERE id = ?", values)

    return change


def corpus_planned(cursor: Cursor, origin: Origin, e: CorpusPlanned) -> None:
    values = [e.corpus, json.dumps(e.spec), origin.t]
    cursor.execute(
        "INSERT INTO corpora (name, spec, created_at) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET spec = excluded.spec, created_at = excluded.created_at",
        values,
    )


def notice_raised(cursor: Cursor, origin: Origin, e: NoticeRaised) -> None:
    values = [e.notice, e.study, e.outcome, e.text, origin.t]
    cursor.execute("INSERT OR IGNORE INTO notices (id, study, outcome, text, t) VALUES (?, ?, ?, ?, ?)", values)


def notice_told(cursor: Cursor, origin: Origin, e: NoticeTold) -> None:
    """It was delivered to the webhook, or given up: `trouble` says why."""
    values = [origin.t, e.trouble, e.notice]
    cursor.execute("UPDATE notices SET told_at = ?, trouble = ? WHERE id = ?", values)


def token_created(cursor: Cursor, origin: Origin, e: TokenCreated) -> None:
    cursor.execute(
        "INSERT OR IGNORE INTO api_tokens (id, person, local, role, label, hash, created_at, expires_at, groups) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [e.token, e.person, e.local, e.role, e.label, e.hash, origin.t, e.expires_at, e.groups],
    )


def token_revoked(cursor: Cursor, origin: Origin, e: TokenRevoked) -> None:
    cursor.execute("UPDATE api_tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?", [origin.t, e.token])


def token_used(cursor: Cursor, origin: Origin, e: TokenUsed) -> None:
    cursor.execute("UPDATE api_tokens SET used_at = ? WHERE id = ?", [origin.t, e.token])


def sign_in_ended(cursor: Cursor, origin: Origin, e: SignInEnded) -> None:
    cursor.execute("INSERT OR REPLACE INTO ended_sign_ins VALUES (?, ?)", [e.sign_in, origin.t])


def request_begun(cursor: Cursor, origin: Origin, e: RequestBegun) -> None:
    cursor.execute("INSERT INTO requests VALUES (?, ?, NULL, ?)", [e.key, e.asked, origin.t])


def request_ended(cursor: Cursor, origin: Origin, e: RequestEnded) -> None:
    if e.answer is None:
        cursor.execute("DELETE FROM requests WHERE key = ?", [e.key])
    else:
        cursor.execute("UPDATE requests SET answer = ? WHERE key = ?", [e.answer, e.key])


def candidate_put(cursor: Cursor, origin: Origin, e: CandidatePut) -> None:
    """A nominated point."""
    frozen = json.loads(e.frozen)
    values = [e.candidate, e.study, frozen["name"], frozen["author"], e.frozen, origin.t]
    cursor.execute("INSERT INTO candidates VALUES (?, ?, ?, ?, ?, ?)", values)
    review_added(cursor, origin, ReviewAdded(e.study, "put", frozen["author"], {"name": frozen["name"]}, e.candidate))


def review_added(cursor: Cursor, origin: Origin, e: ReviewAdded) -> None:
    """A comment, vote, decision or change of rules: the next line of the history."""
    values = [e.study, e.candidate, e.what, e.author, json.dumps(e.body), origin.t]
    cursor.execute("INSERT INTO reviews SELECT (SELECT coalesce(max(n), 0) + 1 FROM reviews), ?, ?, ?, ?, ?, ?", values)


def inbox_read(cursor: Cursor, origin: Origin, e: InboxRead) -> None:
    """Lines that somebody read; those that were read before stay one row."""
    lines = {"person": e.person, "n": list(dict.fromkeys(e.lines))}
    insert(cursor, "inbox_read", lines, {"n": pa.int64()}, "OR IGNORE")


EVENTS: dict[type[Event], Handler] = {
    StudyCreated: study_created,
    StudyTextGiven: study_text_given,
    StudyMeanChosen: study_mean_chosen,
    StudyCancelled: study_cancelled,
    StudyPaused: study_paused,
    StudyResumed: study_resumed,
    StudyFailed: study_failed,
    StudyPlanned: study_planned,
    RunsAdded: runs_added,
    StudyImported: study_imported,
    RunsSubmitted: runs_submitted,
    PredictionsRegistered: predictions_registered,
    SourcePriced: source_priced,
    JobPlanned: job_planned,
    JobPrioritised: job_prioritised,
    CorpusPlanned: corpus_planned,
    CandidatePut: candidate_put,
    ReviewAdded: review_added,
    InboxRead: inbox_read,
    NoticeRaised: notice_raised,
    NoticeTold: notice_told,
    TokenCreated: token_created,
    TokenRevoked: token_revoked,
    TokenUsed: token_used,
    SignInEnded: sign_in_ended,
    RequestBegun: request_begun,
    RequestEnded: request_ended,
    JobCancelAsked: job_asked("cancel"),
    JobRetryAsked: job_asked("retry"),
}
