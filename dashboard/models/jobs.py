"""What the page Jobs shows: jobs that run, the queue and why each waits, and what ended without a result."""

import json
import time
from dataclasses import dataclass

from dashboard.models.progress import Progress, progress_of
from engine.core.short_names import counted
from engine.jobs import logs
from engine.studies.jobs import blocked_on
from store import jobs, studies
from store.database import Store

SHOWN = 200  # jobs of one state: a queue of 10,000 is counted, not listed
MOST_NOTES = 8  # jobs that are done, with what they said
STALE_SECONDS = 30.0

# What to do about a failure whose message does not say so, by what the message contains.
ADVICE = {
    "out of memory": "Train fewer proxies per job (compute.group) or use fewer slots, then retry.",
    "GPU": "Check `nvidia-smi`, restart the driver or the machine, then retry; or train on the CPU.",
    "showed no progress": "Read its log. If it was only slow, raise its stall_timeout; then retry.",
    "waits for job": "",
    "no result": "Find the cause in its log, fix it, then retry.",
    "exited with code": "Find the cause in its log, fix it, then retry.",
}


@dataclass(frozen=True)
class Running:
    """A running job. progress: 0 to 1, None while unknown; left: in seconds; resources: those it uses, in words."""

    row: jobs.JobRow
    progress: float | None
    left: float | None
    resources: str


@dataclass(frozen=True)
class Overview:
    """Everything that is going on. failed, cancelled: jobs that ended without a result; remarked: those that are done
    and said something; report: what the worker last reported of its devices, {} if nothing recent."""

    counts: dict[str, int]
    working: bool
    report: dict
    running: list[Running]
    waiting: list[tuple[jobs.JobRow, str]]
    failed: list[jobs.JobRow]
    cancelled: list[jobs.JobRow]
    remarked: list[jobs.JobRow]
    studies: list[tuple[studies.Study, Progress]]


def overview_of(store: Store) -> Overview:
    """The jobs of all studies."""
    report = worker_report(store)
    leases = {lease["job"]: lease for lease in report.get("leases", ())}
    now = time.time()
    running = [
        Running(row, progress_of_job(row), seconds_left(row, now), resources_of(leases.get(row.id), row, report))
        for row in jobs.in_state(store, ("running",), SHOWN)
    ]
    waiting = jobs.in_state(store, ("queued", "paused"), SHOWN)
    found = [study for study in studies.all_studies(store) if study.state in ("active", "paused")]
    busy = {row.study for row in (*waiting, *(job.row for job in running))}
    unfinished = [(study, progress_of(store, study)) for study in found if study.id in busy or study.state == "paused"]
    reasons = [(row, blocked_on(store, row)) for row in waiting]
    working = store.workspace.is_held("worker")
    ended = [jobs.in_state(store, (state,), SHOWN) for state in ("failed", "cancelled")]
    notes = jobs.with_words(store, MOST_NOTES)
    return Overview(jobs.counts(store), working, report, running, reasons, *ended, notes, unfinished)


def worker_report(store: Store) -> dict:
    """The worker's last report on its devices; {} if it is stale."""
    try:
        report = json.loads((store.spool.root / "devices.json").read_text())
    except (OSError, ValueError):
        return {}
    return report if abs(time.time() - report["t"]) < STALE_SECONDS else {}


def progress_of_job(row: jobs.JobRow) -> float | None:
    return min(1.0, row.done / row.total) if row.total else None


def seconds_left(row: jobs.JobRow, now: float) -> float | None:
    """Seconds until the job should finish: by its tokens per second, or by its progress since it began."""
    if not row.total or not row.done:
        return None
    if row.kind == "train" and row.tokens_per_second:
        return (row.total - row.done) / row.tokens_per_second
    return (now - row.attempt_at) * (row.total - row.done) / row.done if row.attempt_at else None


def resources_of(lease: dict | None, row: jobs.JobRow, report: dict) -> str:
    """Where a job runs and which resources it uses, in words."""
    if lease is None:
        return row.host or ""
    names = {gpu["uuid"]: f"GPU {gpu['index']}" for gpu in report.get("gpus", ())}
    parts = [counted(lease["cpus"], "CPU slot")]
    if lease["gpu"]:
        parts.append(f"{names.get(lease['gpu'], lease['gpu'])}, {lease['gpu_memory_mb'] / 1024:.1f} GB")
    elif lease["gpus"]:
        parts.append(f"{lease['gpus']:g} GPU")
    place = "this machine" if lease["backend"] == "local" else lease["backend"]
    return f"{' + '.join(parts)} on {row.host if lease['backend'] != 'local' and row.host else place}"


def request_of(row: jobs.JobRow) -> str | None:
    """What somebody asked for since the last attempt began, and who; None where nobody did."""
    if row.asked_at is None or row.asked_at < (row.attempt_at or 0.0):
        return None
    return f"{'cancellation' if row.asked == 'cancel' else 'retry'} requested by {row.asked_by}"


def advice(message: str) -> str:
    """What to do about a failure; empty if its message says it."""
    return next((words for part, words in ADVICE.items() if part in message), "")


def log_of(store: Store, job_id: str) -> str:
    folder = store.spool.find(job_id)
    return logs.tail(folder / "log.txt") if folder else ""
