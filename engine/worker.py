"""The supervisor: `python -m engine.worker` claims jobs from the spool and runs each in its own process.

It never opens the database. Liveness is the job's lock, inherited by the job's process: pid files lie after a
kill, locks do not. A job outlives a killed supervisor, and the next one picks it up by its lock. A supervisor
that is told to stop (Ctrl-C, TERM) stops its jobs at a checkpoint and leaves them queued.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from engine.errors import Problem
from engine.jobs import TERMINAL, Spool, held, mend_journal, read_events, write_event
from engine.run_job import STOPPED
from engine.workspace import Workspace

POLL_SECONDS = 0.25
KILL_AFTER_SECONDS = 5.0  # between TERM and KILL
# Processes side by side have one thread each: two thread pools on two cores spin against each other.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ATTEMPTS = 3  # a job whose process dies without a word is tried this often


class Worker:
    """Claims queued jobs while a slot is free, watches active ones, files away what ended."""

    def __init__(self, workspace: Path, slots: int):
        self.spool, self.slots = Spool(workspace), slots
        self.children: dict[str, subprocess.Popen] = {}
        self.told_to_end: dict[str, float] = {}  # job -> when it was sent TERM (monotonic seconds)
        self.stopping = False

    def run(self) -> None:
        """Work until `stopping` is set; then stop the jobs, leaving them queued."""
        trouble = None
        while not self.stopping:
            try:
                self.step()
                trouble = None
            except OSError as error:  # a full disk, say: running jobs go on; try again
                if str(error) != trouble:
                    trouble = str(error)
                    print(f"worker: {trouble}. Free disk space, or mend what it names; trying again.", flush=True)
            time.sleep(POLL_SECONDS)
        deadline = time.monotonic() + KILL_AFTER_SECONDS + 1
        while self.spool.folders("active") and time.monotonic() < deadline:
            for folder in self.spool.folders("active"):
                self.watch(folder)
            time.sleep(0.1)

    def step(self) -> None:
        """One look at everything: watch the active jobs, then fill the free slots."""
        for folder in self.spool.folders("active"):
            self.watch(folder)
        free = self.slots - len(self.spool.folders("active"))
        if free > 0:
            for folder in sorted(self.spool.folders("queued"), key=urgency)[:free]:
                self.start(folder)

    def start(self, queued: Path) -> None:
        """Claim one job and start its process, which inherits the lock."""
        folder = self.spool.move(queued, "active")
        if folder is None:
            return
        with held(folder) as lock:
            if lock is None:
                return  # its last process still runs; `watch` sees to it
            mend_journal(folder)
            with open(folder / "log.txt", "ab") as log:
                child = subprocess.Popen(
                    [sys.executable, "-m", "engine.run_job", str(folder), str(self.spool.workspace)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock],
                    start_new_session=True,
                    env={**os.environ, **ONE_THREAD, "PYTHONUNBUFFERED": "1"}, cwd=Path(__file__).parents[1],
                )  # fmt: skip
            self.children[folder.name] = child
            (folder / "pid").write_text(str(child.pid))

    def watch(self, folder: Path) -> None:
        """End a job that should end, and file away one that has."""
        with held(folder) as lock:
            if lock is not None:
                child = self.children.pop(folder.name, None)
                self.told_to_end.pop(folder.name, None)
                self.file_away(folder, child.wait() if child else None)
                return
        if self.stopping or (folder / "cancel").exists():
            self.end(folder)

    def end(self, folder: Path) -> None:
        """TERM first, so that the job can keep a checkpoint; KILL after a while, children too."""
        now = time.monotonic()
        since = self.told_to_end.setdefault(folder.name, now)
        try:
            group = int((folder / "pid").read_text())
            if since == now:
                os.killpg(group, signal.SIGTERM)
            elif now - since > KILL_AFTER_SECONDS:
                os.killpg(group, signal.SIGKILL)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            pass  # it ended by itself meanwhile, or has not written its pid yet: the next look tells

    def file_away(self, folder: Path, code: int | None) -> None:
        """Decide what a job whose process is gone has become. Called with its lock held."""
        events = [event["kind"] for event in read_events(folder)]
        since = len(events) - events[::-1].index("job.requeued") if "job.requeued" in events else 0
        attempt = events[since:]
        if any(kind in TERMINAL for kind in attempt):
            self.spool.move(folder, "ended")
        elif (folder / "cancel").exists():
            write_event(folder, "job.cancelled", note="while it ran")
            self.spool.move(folder, "ended")
        elif code == STOPPED or self.stopping:
            write_event(folder, "job.paused")
            self.spool.move(folder, "queued")
        elif attempt.count("job.died") + 1 < ATTEMPTS:
            write_event(folder, "job.died", message=cause_of(code))
            self.spool.move(folder, "queued")
        else:
            message = f"It ended without a word {ATTEMPTS} times, last: {cause_of(code)}. The log may say more."
            write_event(folder, "job.failed", message=message)
            self.spool.move(folder, "ended")


def urgency(folder: Path) -> tuple:
    """Sort key of queued jobs: lower priority number first, then by name."""
    try:
        return float(json.loads((folder / "spec.json").read_text()).get("priority", 0)), folder.name
    except (OSError, ValueError, TypeError, AttributeError):
        return 0.0, folder.name  # a damaged spec runs, fails at once and says why


def cause_of(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "its process was gone when a new worker looked"
    if code == -signal.SIGKILL:
        return "it was killed (out of memory, or by hand)"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"its process exited with code {code}"


def main() -> None:
    """Serve one workspace until told to stop. Exactly one supervisor a workspace: a lock sees to it."""
    parser = argparse.ArgumentParser(prog="python -m engine.worker", description=__doc__)
    parser.add_argument("--workspace", type=Path, help="default: $MIXDESK_WORKSPACE, else ./workspace")
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="jobs at once (default: cores)")
    arguments = parser.parse_args()
    if arguments.slots < 1:
        parser.error(f"--slots must be at least 1, not {arguments.slots}")
    try:
        workspace = Workspace.open(arguments.workspace)
        lock = workspace.lock("worker")
    except Problem as problem:
        sys.exit(f"worker: {problem}")
    worker = Worker(workspace.root, arguments.slots)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: setattr(worker, "stopping", True))
    os.nice(5)  # the page stays quick while proxies train
    print(f"worker: {arguments.slots} jobs at once, workspace {workspace.root}", flush=True)
    worker.run()
    fcntl.flock(lock, fcntl.LOCK_UN)


if __name__ == "__main__":
    main()
