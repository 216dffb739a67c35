"""Slurm through submitit: one sbatch per job, in the workspace's shared folder.

submitit's executor "local" runs the same path without Slurm: it is for trying out, and the tests use it.
"""

import os
import signal
import subprocess
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

import submitit

from engine.core.errors import Problem
from engine.jobs.backends import Backend, Status, cause_of, fraction_of_card
from engine.jobs.devices import Lease
from engine.jobs.spec import JobSpec

DAY_MINUTES = 24 * 60
NOT_FOUND = 127  # the shells' exit code for a missing command
PROC = Path("/proc")
WAITING = ("PENDING", "REQUEUED", "CONFIGURING", "UNKNOWN")


def follow(argv: list[str], env: dict[str, str], log: str) -> int:
    """On the node: run the command in a session of its own, pass TERM on (a second one as KILL); its exit code."""
    signals: list[int] = []
    with open(log, "ab", buffering=0) as output:
        try:
            child = subprocess.Popen(
                argv,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            output.write(f"Cannot start {argv[0]} on this node: {error}\n".encode())
            return NOT_FOUND

    def pass_on(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        os.killpg(child.pid, signal.SIGTERM if len(signals) == 1 else signal.SIGKILL)

    signal.signal(signal.SIGTERM, pass_on)
    return child.wait()


class Slurm(Backend):
    """Commands as Slurm jobs. Their handles are Slurm's job ids, so that a new supervisor finds them again."""

    name = "slurm"

    def __init__(self, slots: int, folder: Path, settings: Sequence[str] = ()):
        """settings: KEY=VALUE for submitit (slurm_partition=gpu, timeout_min=600), and cluster=local to try it out.

        Raises Problem if there is no Slurm, or submitit lacks a parameter.
        """
        self.slots, self.folder = slots, Path(folder)
        values = dict(entry.partition("=")[::2] for entry in settings)
        self.cluster = values.pop("cluster", "slurm")
        try:
            self.executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
            numbers = {key: number_or_text(value) for key, value in values.items()}
            self.executor.update_parameters(**{"timeout_min": DAY_MINUTES, **numbers})
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            raise Problem(f"Cannot run jobs on Slurm: {error}. Is this a login node? See docs/CLUSTER.md.") from error

    @classmethod
    def from_options(cls, options: Namespace, root: Path) -> Self:
        return cls(options.jobs, root / "jobs" / "slurm", options.slurm)

    def place(self, need: JobSpec, taken: Sequence[Lease]) -> dict[str, Any] | None:
        """Slurm queues what has no room yet, and gives whole cards; `slots` bounds how many jobs it has."""
        if sum(lease.backend == self.name for lease in taken) >= self.slots:
            return None
        return {"cpus": need.cpus, "gpus": float(fraction_of_card(need, 0) > 0)}

    def submit(
        self, name: str, argv: Sequence[str], env: dict[str, str], resources: Lease, log: Path, lock: int | None = None
    ) -> str:
        try:
            self.executor.update_parameters(name=name, cpus_per_task=resources.cpus, gpus_per_node=int(resources.gpus))
            return self.executor.submit(follow, list(argv), dict(env), str(log)).job_id
        except (submitit.core.utils.FailedJobError, RuntimeError) as error:
            raise Problem(f"Cannot submit a job to Slurm: {str(error)[:300]}") from error

    def job(self, handle: str) -> Any:
        kind = submitit.LocalJob if self.cluster == "local" else submitit.SlurmJob
        return kind(self.folder, handle)

    def status(self, handle: str) -> Status:
        job = self.job(handle)
        alive = self.cluster == "local" and is_controller(handle)  # checked first: it writes its result before it exits
        if job.paths.result_pickle.exists():
            if error := job.exception():
                return Status("ended", cause=str(error).strip().split("\n")[-1])
            code = job.result()
            return Status("ended", code, cause_of(code))
        if self.cluster == "local":
            return Status("running") if alive else Status("ended", cause="its process was gone")
        state = job.state
        if state in WAITING:
            return Status("waiting")
        return Status("running") if not job.done() else Status("ended", cause=f"Slurm says {state}")

    def cancel(self, handle: str, kill: bool = False) -> None:
        """scancel sends TERM, and KILL after Slurm's KillWait; with `kill` at once."""
        if self.cluster == "local":
            if is_controller(handle):
                os.kill(int(handle), signal.SIGTERM)
        else:
            subprocess.run(["scancel", *(["--signal=KILL"] if kill else []), handle], check=False)

    def logs(self, handle: str, log: Path) -> str:
        return log.read_text(errors="replace") if log.exists() else ""

    def devices(self) -> dict[str, Any]:
        return {"slots": self.slots, "gpus": [], "trouble": None}


def is_controller(handle: str) -> bool:
    """Whether submitit's local controller of that id lives. A zombie of ours has ended; one that has just been
    started may have no command line yet."""
    state, words = state_and_words(handle)
    return state not in ("", "Z") and (not words or b"submitit" in words)


def state_and_words(handle: str) -> tuple[str, bytes]:
    """A process's state ("" if it is gone) and its command line, by /proc, or by ps where there is none (macOS)."""
    if not PROC.exists():
        said = subprocess.run(["ps", "-o", "stat=,command=", "-p", handle], capture_output=True, check=False)
        state, _, words = said.stdout.strip().partition(b" ")
        return state[:1].decode(), words
    try:
        words = (PROC / handle / "cmdline").read_bytes()
        return (PROC / handle / "stat").read_text().rpartition(")")[2].split()[0], words
    except OSError:
        return "", b""


def number_or_text(value: str) -> int | str:
    return int(value) if value.lstrip("-").isdecimal() else value
