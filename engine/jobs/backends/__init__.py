"""Where jobs run: one interface at the level of a command line, one file per backend, one table.

A backend places a job (is there room, and where?), submits a command, polls it, ends it, and shows its output. It knows
nothing of studies, runs or journals: those are in the job's folder, or are posted.
"""

import importlib
import signal
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from engine.core.errors import Problem
from engine.jobs.devices import Lease
from engine.jobs.spec import JobSpec

BACKENDS = {
    "local": "engine.jobs.backends.local:Local",
    "ray": "engine.jobs.backends.ray_jobs:Ray",
    "slurm": "engine.jobs.backends.slurm:Slurm",
}


@dataclass(frozen=True)
class Status:
    """state: waiting | running | ended; code: the exit code where it is known; cause: of a failure, in words; held_up:
    whether the cluster ended it for reasons of its own, so that it is to go on elsewhere."""

    state: str
    code: int | None = None
    cause: str = ""
    held_up: bool = False


class Backend(ABC):
    """What the supervisor needs from a backend."""

    name: str
    local = False  # whether processes are children of this machine and inherit the job's lock

    @classmethod
    @abstractmethod
    def from_options(cls, options: Namespace, root: Path) -> Self:
        """The backend that a worker's options ask for (engine/jobs/serving.py). root: the workspace. Raises Problem."""

    @abstractmethod
    def place(self, need: JobSpec, taken: Sequence[Lease]) -> dict[str, Any] | None:
        """The resources a job would get ({"cpus", "gpus", "gpu", "gpu_memory_mb"}), or None while there is no room."""

    @abstractmethod
    def submit(
        self, name: str, argv: Sequence[str], env: dict[str, str], resources: Lease, log: Path, lock: int | None = None
    ) -> str:
        """Start a command and return a handle that outlives this process. `name` is unique.

        env: added to the environment there; log: where standard output and error go, if that can be chosen;
        lock: a descriptor for the command to keep open. Raises OSError or Problem if it cannot be started.
        """

    @abstractmethod
    def status(self, handle: str) -> Status:
        """The state of a command."""

    @abstractmethod
    def cancel(self, handle: str, kill: bool = False) -> None:
        """Ask a command to end (TERM), or end it and its children (KILL). Harmless if it has ended."""

    @abstractmethod
    def logs(self, handle: str, log: Path) -> str:
        """The command's output, as far as the backend knows it; else empty."""

    def lost(self, lease: Lease) -> str | None:
        """Why a running job's device is lost, in words; None while it is available."""
        return None

    def devices(self) -> dict[str, Any]:
        """The resources that the page shows: {"slots", "gpus": [...], "trouble"}."""
        return {"slots": None, "gpus": [], "trouble": None}


def named(name: str) -> type[Backend]:
    """The class of a backend. Raises Problem if it is unknown or its package is missing."""
    if name not in BACKENDS:
        raise Problem(f"Cannot run jobs on {name!r}: the backends are {', '.join(BACKENDS)}.")
    module, backend = BACKENDS[name].split(":")
    try:
        found: type[Backend] = getattr(importlib.import_module(module), backend)
    except ImportError as error:
        raise Problem(
            f"Cannot run jobs on {name}: the package {error.name} is missing. "
            f"Install it with: pip install -r requirements-{name}.txt"
        ) from error
    return found


def make(name: str, **options: Any) -> Backend:
    """A backend by its name, with the options of its constructor. Raises Problem as `named` does."""
    return named(name)(**options)


def fraction_of_card(need: JobSpec, card_mb: int) -> float:
    """How many cards of a cluster a job takes: 0, a fraction by its declared memory, or 1."""
    if need.device == "cpu":
        return 0.0
    if not need.gpu_memory_mb or not card_mb:
        return 1.0
    return min(1.0, round(need.gpu_memory_mb / card_mb + 0.0005, 3))


def cause_of(code: int) -> str:
    """An exit code in words. Shells add 128 to the signal that ended their command."""
    if 128 < code < 128 + signal.NSIG:
        code = 128 - code
    if code == -signal.SIGKILL:
        return "it was killed (out of memory, or by hand)"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    if code == 127:
        return "its command is not there (is --python right for that node?)"
    if code == 0:
        return "its process ended with code 0 and no result"
    return f"its process exited with code {code}"
