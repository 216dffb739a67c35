"""The supervisor of a workspace: claims jobs from the spool and has each run in a process of its own.

It never opens the database. Liveness is the job's lock, held by the job's process: pid files go stale, locks
do not. A job outlives a killed supervisor, and the next one picks it up by its lock and its lease. A supervisor
stopped by Ctrl-C or TERM stops its jobs at a checkpoint and leaves them queued. Where jobs run is a backend:
this machine, a Ray cluster or Slurm (docs/CLUSTER.md).
"""

import json
import os
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.core.errors import Problem
from engine.core.files import CHECKOUT, write_json, write_text
from engine.jobs import logs
from engine.jobs.attempts import deaths, went_on
from engine.jobs.backends import Backend, Status
from engine.jobs.devices import Lease, machine
from engine.jobs.events import (
    ENDINGS,
    OUTCOMES,
    SHARED,
    JobCancelled,
    JobDied,
    JobFailed,
    JobPaused,
    JobRequeued,
    JobStarted,
)
from engine.jobs.journal import FILE, cut_torn_tail, last_event, read_events, write_event
from engine.jobs.kinds import runs_on_cluster
from engine.jobs.queue import Queue, read_settings
from engine.jobs.spec import JobSpec
from engine.jobs.spool import HEARTBEAT, Spool, try_lock
from engine.jobs.tokens import job_token
from engine.jobs.troubles import Troubles, tell, words

POLL_SECONDS = 0.25
REPORT_SECONDS = 5.0  # between status files for the page
KILL_AFTER_SECONDS = 5.0  # between TERM and KILL
# Processes side by side have one thread each: two thread pools on two cores spin against each other. And glibc keeps
# freed blocks for the next tensor: returning and refetching them page by page costs up to half of an evaluation.
CHILD_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),  # bytes
}
HELD_UP = ("the worker stops", "its study is paused")  # reasons to stop a job that are not its failure


class Supervisor:
    """Claims queued jobs while there is room, watches active ones, moves ended ones away.

    cluster: where training runs, if not here; url: of the page's HTTP API, to which the cluster's jobs post their
    journals instead of writing them into a shared folder; python: the interpreter of the cluster's nodes.
    """

    def __init__(
        self,
        workspace: Path,
        local: Backend,
        cluster: Backend | None = None,
        url: str = "",
        python: str = sys.executable,
    ):
        self.spool, self.local, self.cluster, self.url, self.python = Spool(workspace), local, cluster, url, python
        self.backends = {backend.name: backend for backend in (local, cluster) if backend}
        self.queue, self.troubles = Queue(self.spool), Troubles()
        self.leases: dict[str, Lease] = {}  # of the active jobs
        self.specs: dict[str, JobSpec] = {}
        self.ending: dict[str, tuple[float, str]] = {}  # job -> when TERM was sent (monotonic), and why
        self.heartbeats: dict[str, tuple[int, float]] = {}  # job -> its last heartbeat, and when we saw it
        self.loud: dict[str, int] = {}  # job -> its log's length when it was last cut, bytes
        self.reported, self.stopping = -REPORT_SECONDS, False

    def run(self) -> None:
        """Work until `stopping` is set; then stop the jobs, leaving them queued."""
        trouble = None
        while not self.stopping:
            try:
                self.step()
                trouble = None
            except Exception as error:  # e.g. a full disk: running jobs go on; try again
                if (said := words(error)) != trouble:
                    trouble = said
                    tell(f"{trouble}. Free disk space, or fix what it names; trying again", error)
            time.sleep(POLL_SECONDS)
        deadline = time.monotonic() + KILL_AFTER_SECONDS + 1
        while self.spool.folders("active") and time.monotonic() < deadline:
            self.watch_all(self.spool.folders("active"))
            time.sleep(0.1)

    def step(self) -> None:
        """One pass: watch the active jobs, then fill the free room."""
        active = self.spool.folders("active")
        names = {folder.name for folder in active}
        for name in self.leases.keys() - names:
            self.forget(name)  # somebody retried it before it was filed away
        self.watch_all(active)
        self.fill()
        self.troubles.keep(names | self.queue.specs.keys())
        if time.monotonic() - self.reported >= REPORT_SECONDS:
            self.reported = time.monotonic()
            self.report()

    # Starting ------------------------------------------------------------------------------------------------

    def fill(self) -> None:
        """Start jobs in the queue's order. A job without room does not block one that needs less, and one that cannot
        be started only lets its backend rest, after which others come first."""
        refused, full = set[object](), set[str | None]()
        for folder, spec in self.queue.in_order():
            backend = self.cluster if self.cluster and runs_on_cluster(spec.kind) else self.local
            need = (backend.name, spec.cpus, spec.device, spec.gpu_memory_mb)
            if need in refused or spec.study in full or self.troubles.rests(backend.name):
                continue
            if self.troubles.waits(folder.name):
                continue
            taken = list(self.leases.values())
            with self.troubles.of(folder.name):
                outcome, other = self.queue.outcome(spec)
                if outcome == "failed":
                    self.give_up(folder, other)
                if outcome != "done":
                    continue
                if spec.max_parallel and sum(lease.study == spec.study for lease in taken) >= spec.max_parallel:
                    full.add(spec.study)
                    continue
                if (place := backend.place(spec, [lease for lease in taken if lease.backend == backend.name])) is None:
                    refused.add(need)
                else:
                    self.start(folder, spec, backend, place)
            if self.troubles.waits(folder.name):
                self.troubles.rest(backend.name)

    def give_up(self, folder: Path, other: str) -> None:
        """End a job whose dependency failed."""
        with try_lock(folder) as lock:
            if lock is not None:
                message = f"It waits for job {other}, which failed or was cancelled. Retry that one, then this one."
                write_event(folder, JobFailed(message))
                self.spool.move(folder, "ended")

    def start(self, queued: Path, spec: JobSpec, backend: Backend, place: dict[str, Any]) -> None:
        """Claim one job and submit its process, which holds the lock while it lives."""
        folder = self.spool.move(queued, "active")
        if folder is None:
            return
        with try_lock(folder) as lock:
            if lock is None:
                return  # its last process still runs; `watch` handles it
            try:
                cut_torn_tail(folder)
                attempt = uuid.uuid4().hex[:12]
                begins = journal.stat().st_size if (journal := folder / FILE).exists() else 0
                lease = Lease(folder.name, spec.study, attempt, backend.name, begins=begins, **place)
                write_text(folder / "lease.json", json.dumps(lease.to_dict()))  # before the process can read it
                argv, env = self.command(folder, lease)
                handle = backend.submit(f"{folder.name}-{attempt}", argv, env, lease, folder / "log.txt", lock)
            except Exception:
                self.spool.move(folder, "queued")
                raise
            lease = replace(lease, handle=handle)
            self.leases[folder.name], self.specs[folder.name] = lease, spec
            write_text(folder / "lease.json", json.dumps(lease.to_dict()))

    def command(self, folder: Path, lease: Lease) -> tuple[list[str], dict[str, str]]:
        """The command line of a job's process, and its environment."""
        env = {**CHILD_ENVIRONMENT, "PYTHONUNBUFFERED": "1", "PYTHONPATH": search_path()}
        env["MIXDESK_GPU_MEMORY_MB"] = str(lease.gpu_memory_mb or 0)  # always the same names: see the nursery
        workspace = str(self.spool.workspace)
        if lease.backend == "local":
            argv = ["engine.jobs.run", str(folder), workspace, lease.attempt, "--locked"]
            return [sys.executable, "-m", *argv], env
        if self.url:
            env["MIXDESK_JOB_TOKEN"] = job_token(self.spool.workspace, folder.name, lease.attempt)
            argv = ["engine.jobs.remote", self.url, folder.name, lease.attempt, workspace]
        else:
            argv = ["engine.jobs.run", str(folder), workspace, lease.attempt]
        return [self.python, "-m", *argv], env

    # Watching ------------------------------------------------------------------------------------------------

    def watch_all(self, active: list[Path]) -> None:
        """Watch each of these jobs, whatever goes wrong with another."""
        for folder in active:
            with self.troubles.of(folder.name):
                self.watch(folder)

    def watch(self, folder: Path) -> None:
        """Stop a job that should stop, and move an ended one away."""
        lease = self.lease(folder)
        waits = False
        with try_lock(folder) as lock:
            if lock is not None:
                status = self.status(lease)
                if status.state == "ended":
                    self.file_away(folder, lease, status)
                    return
                waits = status.state == "waiting"
        if size := logs.trim(folder / "log.txt"):
            self.loud[folder.name] = size
        if waits:
            self.heartbeats.pop(folder.name, None)  # a job in the cluster's queue has no progress
        if reason := self.reason_to_end(folder, lease):
            self.end(folder, lease, reason)

    def status(self, lease: Lease) -> Status:
        """The state of a job whose lock is free. On this machine it has ended, or is about to."""
        backend = self.backends.get(lease.backend)
        if backend is None:
            return Status("running")  # this worker cannot ask: `report` says which one could
        if not lease.handle:
            return Status("ended", cause="it had not begun when its worker was lost")
        status = backend.status(lease.handle)
        while backend.local and status.state == "running":
            time.sleep(0.01)
            status = backend.status(lease.handle)
        return status

    def lease(self, folder: Path) -> Lease:
        """An active job's resources; after a restart, from its folder."""
        name = folder.name
        if name not in self.specs:
            self.specs[name] = read_settings(folder)
        if name not in self.leases or not self.leases[name].handle:
            try:
                lease = Lease.read(json.loads((folder / "lease.json").read_text()), "the lease")
            except (OSError, ValueError, RecursionError, Problem):
                lease = Lease(name, self.specs[name].study)
            begun = last_event(folder, JobStarted, *ENDINGS, JobRequeued)
            if not lease.handle and lease.backend == "local" and isinstance(begun, JobStarted) and begun.pid:
                lease = replace(lease, handle=str(begun.pid))  # its worker was killed before it saved the handle
            self.leases[name] = lease
        return self.leases[name]

    def reason_to_end(self, folder: Path, lease: Lease) -> str:
        """Why a running job should stop; empty while it may go on."""
        if self.stopping:
            return HELD_UP[0]
        if (folder / "cancel").exists():
            return "it was cancelled"
        if lease.study is not None and (self.spool.root / "paused" / lease.study).exists():
            return HELD_UP[1]
        if folder.name in self.ending:
            return self.ending[folder.name][1]
        backend = self.backends.get(lease.backend)
        return (backend and backend.lost(lease)) or self.stuck(folder) or ""

    def stuck(self, folder: Path) -> str | None:
        """Whether a job's heartbeat has not changed for too long. Only changes count, so clocks may jump."""
        now, limit = time.monotonic(), self.specs[folder.name].stall_timeout
        heartbeat = max(changed(folder / HEARTBEAT), changed(folder / "lease.json"))
        if self.heartbeats.get(folder.name, (None,))[0] != heartbeat:
            self.heartbeats[folder.name] = heartbeat, now
        if now - self.heartbeats[folder.name][1] <= limit:
            return None
        return f"it showed no progress for {limit:g} seconds (its stall_timeout)"

    def end(self, folder: Path, lease: Lease, reason: str) -> None:
        """TERM first, so that the job can save a checkpoint; KILL later, children too."""
        now = time.monotonic()
        since = self.ending.setdefault(folder.name, (now, reason))[0]
        backend = self.backends.get(lease.backend)
        if backend and (since == now or now - since > KILL_AFTER_SECONDS):
            backend.cancel(lease.handle, kill=since != now)

    def file_away(self, folder: Path, lease: Lease, status: Status) -> None:
        """Decide the outcome of a job whose process is gone. Called with its lock held."""
        self.keep_log(folder, lease)
        _, reason = self.ending.get(folder.name, (0.0, ""))
        own = read_events(folder, *SHARED, begins=lease.begins)
        last = own[-1] if own and isinstance(own[-1], ENDINGS) else None
        if isinstance(last, OUTCOMES):
            place = "ended"
        elif (folder / "cancel").exists():
            write_event(folder, JobCancelled("while it ran"))
            place = "ended"
        elif isinstance(last, JobPaused) or reason in HELD_UP or went_on(folder, lease, reason, status):
            if not isinstance(last, JobPaused):
                write_event(folder, JobPaused())
            place = "queued"
        else:
            if not isinstance(last, JobDied):
                write_event(folder, JobDied(reason or status.cause or "its process ended"))
            place = self.after_a_death(folder)
        self.forget(folder.name)
        self.spool.move(folder, place)

    def forget(self, name: str) -> None:
        """Drop what is known of a job that is no longer active; its room is free again."""
        for known in (self.leases, self.specs, self.ending, self.heartbeats, self.loud):
            known.pop(name, None)

    def keep_log(self, folder: Path, lease: Lease) -> None:
        """Fetch the output of a job that died on a cluster before it could write its own log."""
        log, backend = folder / "log.txt", self.backends.get(lease.backend)
        if backend and not backend.local and lease.handle and not (log.exists() and log.stat().st_size):
            log.write_text(backend.logs(lease.handle, log)[-logs.SHOWN :])

    def after_a_death(self, folder: Path) -> str:
        """Retry a job, or give it up; returns the spool folder for it. The reasons are in its journal."""
        died = deaths(folder)
        if len(died) <= self.specs[folder.name].retries:
            return "queued"
        count = f"{len(died)} times, last" if len(died) > 1 else "and may not be retried"
        message = f"It ended without a result {count}: {died[-1]}. Its log may say more."
        write_event(folder, JobFailed(message))
        return "ended"

    # Reporting -------------------------------------------------------------------------------------------------

    def report(self) -> None:
        """Write the status of devices and leases for the page."""
        shown = {name: backend.devices() for name, backend in self.backends.items()}
        troubles = [found["trouble"] for found in shown.values() if found["trouble"]]
        for name in {lease.backend for lease in self.leases.values()} - self.backends.keys():
            troubles.append(f"Jobs run on {name}, and this worker cannot see them: start it with --backend {name}.")
        for name, size in self.loud.items():
            troubles.append(f"Job {name} does not stop printing: its log was cut at {size >> 20:,} MB.")
        troubles += self.troubles.told()
        word = {
            "t": time.time(),
            "slots": {name: found["slots"] for name, found in shown.items()},
            "gpus": shown["local"]["gpus"],
            "troubles": troubles,
            "machine": machine(),
            "leases": [lease.to_dict() for lease in self.leases.values()],
        }
        write_json(self.spool.root / "devices.json", word)


def changed(path: Path) -> int:
    """When a file was last changed, in nanoseconds; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def search_path() -> str:
    """PYTHONPATH of a job: Mixdesk's root before whatever was there."""
    return os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
