"""Slurm through submitit: one sbatch per job, in the workspace's shared folder.

submitit's executor "local" runs the same path without Slurm: it is for trying out, and the tests use it.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Self

import submitit

from engine.core.errors import Problem
from engine.jobs.backends import Backend, Status, cause_of, fraction_of_card
from engine.jobs.backends.cluster_file import SlurmOptions, read_cluster
from engine.jobs.devices import Lease
from engine.jobs.spec import JobSpec

DEFAULTS = SlurmOptions()
LOOK_SECONDS = 1.0
NOT_FOUND = 127  # the shells' exit code for a missing command
PROC = Path("/proc")
# Slurm's states of a job.
WAITING = ("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "CONFIGURING", "RESV_DEL_HOLD", "SPECIAL_EXIT")
RUNNING = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "RESIZING", "SUSPENDED", "STOPPED")
HELD_UP = ("PREEMPTED", "TIMEOUT", "DEADLINE", "NODE_FAIL", "BOOT_FAIL", "REVOKED")  # not the job's own failure
FORGOTTEN = "nothing of it any more"


def follow(argv: list[str], env: dict[str, str], log: str) -> int:
    """On the node: run the command in a session of its own; its exit code. TERM is passed on, a second one as KILL; and
    what Slurm sends before the job's time is up is passed on as TERM, so that it keeps a checkpoint."""
    signals: list[int] = []
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # Slurm sends it to the command as well, which it would end
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

    for asked in (signal.SIGTERM, signal.SIGUSR2):  # the latter: submitit's own handler would give the job up
        signal.signal(asked, pass_on)
    return child.wait()


class Slurm(Backend):
    """Commands as Slurm jobs. Their handles are Slurm's job ids, so that a new supervisor finds them again."""

    name = "slurm"

    def __init__(
        self,
        slots: int,
        folder: Path,
        settings: Sequence[str] = (),
        options: SlurmOptions = DEFAULTS,
        python: str = sys.executable,
    ):
        """settings: KEY=VALUE for submitit, over the options; cluster=local tries it out without Slurm. python: the
        interpreter of the nodes.

        Raises Problem if there is no Slurm, or if submitit or Slurm do not know an option.
        """
        self.slots, self.folder, self.options = slots, Path(folder), options
        values = dict(entry.partition("=")[::2] for entry in settings)
        self.cluster = values.pop("cluster", "slurm")
        self.known: dict[str, str] = {}  # Slurm's job id -> its state, as of `looked`
        self.looked = 0.0
        self.trouble: str | None = None
        self.has_cards = True  # unless Slurm says otherwise
        own = {} if self.cluster == "local" else {"slurm_python": launcher(options, python)}
        try:
            self.executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster, **own)
            numbers = {key: number_or_text(value) for key, value in values.items()}
            self.executor.update_parameters(**{**parameters(options), **numbers})
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            raise Problem(f"Cannot run jobs on Slurm: {error}. Is this a login node? See docs/CLUSTER.md.") from error
        if self.cluster != "local":
            self.try_options()

    @classmethod
    def from_options(cls, options: Namespace, root: Path) -> Self:
        found = read_cluster(root, options.cluster, "slurm").slurm
        return cls(options.jobs, root / "jobs" / "slurm", options.slurm, found, options.python)

    def try_options(self) -> None:
        """Have Slurm look at the options, without a job, and ask whether it has any cards. Raises Problem with its own
        words."""
        told = subprocess.run(["sinfo", "--noheader", "--format=%G"], capture_output=True, text=True, check=False)
        self.has_cards = told.returncode != 0 or "gpu" in told.stdout
        self.executor.update_parameters(**self.asked(1, int(bool(self.options.gpu))))
        own: Any = self.executor._executor
        text = own._make_submission_file_text("true", "trial")
        found = subprocess.run(["sbatch", "--test-only"], input=text, capture_output=True, text=True, check=False)
        if found.returncode:
            said = [line.removeprefix("sbatch: ") for line in found.stderr.splitlines() if not line.startswith("Try ")]
            raise Problem(f"Cannot run jobs on Slurm with these options. Slurm says: {' '.join(said)[:300]}")

    def asked(self, cpus: int, gpus: int) -> dict[str, Any]:
        """What a job of so many cores and cards asks for, by submitit's names."""
        if self.cluster == "local":
            return {"cpus_per_task": cpus, "gpus_per_node": gpus}
        cards = f"{self.options.gpu}:{gpus}" if self.options.gpu else str(gpus)
        own = {"gpus-per-node": cards} if gpus else {}  # whole each time: submitit keeps what the job before asked for
        return {"cpus_per_task": cpus, "slurm_additional_parameters": {**self.options.options, **own}}

    def place(self, need: JobSpec, taken: Sequence[Lease]) -> dict[str, Any] | None:
        """Slurm queues what has no room yet, and gives whole cards; `slots` bounds how many jobs it has."""
        if sum(lease.backend == self.name for lease in taken) >= self.slots:
            return None
        takes = fraction_of_card(need, 0) > 0 and (need.device != "auto" or self.has_cards)
        return {"cpus": need.cpus, "gpus": float(takes)}

    def submit(
        self, name: str, argv: Sequence[str], env: dict[str, str], resources: Lease, log: Path, lock: int | None = None
    ) -> str:
        try:
            self.executor.update_parameters(name=name, **self.asked(resources.cpus, int(resources.gpus)))
            return self.executor.submit(follow, list(argv), dict(env), str(log)).job_id
        except (submitit.core.utils.FailedJobError, RuntimeError) as error:
            raise Problem(f"Cannot submit a job to Slurm: {str(error)[:300]}") from error

    def job(self, handle: str) -> Any:
        kind = submitit.LocalJob if self.cluster == "local" else submitit.SlurmJob
        return kind(self.folder, handle)

    def status(self, handle: str) -> Status:
        job = self.job(handle)
        if self.cluster == "local":
            alive = is_controller(handle)  # checked first: it writes its result before it exits
            if job.paths.result_pickle.exists():
                return ended(job)
            return Status("running") if alive else Status("ended", cause="its process was gone")
        state = self.state(handle)
        if state in WAITING:  # also where it ran before, and Slurm took its node away
            return Status("waiting")
        if state in RUNNING or state is None:
            return Status("running")
        if job.paths.result_pickle.exists():
            return ended(job)
        return Status("ended", cause=f"Slurm says {state}", held_up=state in HELD_UP)

    def state(self, handle: str) -> str | None:
        """What Slurm says of a job; None where it does not answer: nothing says then that the job has ended.

        All jobs are asked for at once, at most once in a while: `squeue` holds those that ended minutes ago, too, and
        needs no accounting.
        """
        if handle not in self.known or time.monotonic() - self.looked > LOOK_SECONDS:
            asked = ["squeue", "--me", "--states=all", "--noheader", "--format=%i %T"]
            found = subprocess.run(asked, capture_output=True, text=True, check=False)
            if found.returncode:
                self.trouble = f"Slurm does not answer: {found.stderr.strip()[-200:]}"
                return None
            self.known = dict(line.split(None, 1) for line in found.stdout.splitlines() if " " in line.strip())
            self.looked, self.trouble = time.monotonic(), None
        return self.known.get(handle, FORGOTTEN)

    def cancel(self, handle: str, kill: bool = False) -> None:
        """scancel sends TERM, and KILL after Slurm's KillWait; with `kill` at once."""
        if self.cluster == "local":
            if is_controller(handle):
                os.kill(int(handle), signal.SIGTERM)
        else:
            subprocess.run(["scancel", *(["--signal=KILL"] if kill else []), handle], check=False)

    def logs(self, handle: str, log: Path) -> str:
        """The job's own output; before it had any, what sbatch's shell wrote: a setup line that failed, say."""
        if log.exists() and log.stat().st_size:
            return log.read_text(errors="replace")
        own = self.job(handle).paths
        return "".join(one.read_text(errors="replace") for one in (own.stderr, own.stdout) if one.exists())

    def devices(self) -> dict[str, Any]:
        return {"slots": self.slots, "gpus": [], "trouble": self.trouble}


def parameters(options: SlurmOptions) -> dict[str, Any]:
    """The options by submitit's names; without those that are not given."""
    container = options.container
    pyxis = container and container.runtime == "pyxis"
    mounts = [f"--container-mounts={','.join(container.mounts)}"] if container and container.mounts else []
    return {
        "timeout_min": options.time_minutes,
        "slurm_signal_delay_s": options.grace_seconds,
        "slurm_setup": ["set -e", *options.setup] if options.setup else None,
        "slurm_srun_args": [f"--container-image={container.image}", *mounts] if container and pyxis else None,
        "slurm_mem": f"{options.memory_gb * 1024:.0f}M" if options.memory_gb else None,
        **{f"slurm_{name}": getattr(options, name) or None for name in ("partition", "account", "qos", "constraint")},
    }


def launcher(options: SlurmOptions, python: str) -> str:
    """The shell words that start Python on a node: by Apptainer where that is asked for."""
    if options.container is None or options.container.runtime != "apptainer":
        return shlex.quote(python)
    mounts = [word for mount in options.container.mounts for word in ("--bind", mount)]
    return shlex.join(["apptainer", "exec", "--nv", *mounts, options.container.image, python])


def ended(job: Any) -> Status:
    """The state of a job that left a result: its exit code, or why there is none."""
    if error := job.exception():
        return Status("ended", cause=str(error).strip().split("\n")[-1])
    code = job.result()
    return Status("ended", code, cause_of(code))


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
