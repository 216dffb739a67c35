"""The GPUs of this machine, found by nvidia-smi (never by torch), and the jobs' leases on them.

A job declares its memory; several small ones share a card, and one that declares none takes a whole card. A job's
lease is written into its folder before it starts, so a new supervisor knows it as well.
"""

import csv
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.records import Record

ASK = ("index", "uuid", "name", "memory.total", "memory.used", "utilization.gpu")
SECONDS = 10.0  # timeout of nvidia-smi: a card that is falling off the bus makes it slow
IDLE_FRACTION = 0.1  # a card with less used by others counts as free: a desktop takes a little


@dataclass(frozen=True)
class Gpu:
    """One card. Memory in MB, use in percent of the last moments."""

    uuid: str
    index: int
    name: str
    total_mb: int
    used_mb: int
    use: int


@dataclass(frozen=True)
class Lease(Record):
    """A running job's resources. gpus: whole cards or a fraction of one; gpu: the card's uuid if we chose it.

    begins: length of the job's journal when this attempt began.
    """

    job: str
    study: str | None = None
    attempt: str = ""
    backend: str = "local"
    handle: str = ""
    begins: int = 0
    cpus: int = 1
    gpus: float = 0.0
    gpu: str | None = None
    gpu_memory_mb: int = 0


@dataclass(frozen=True)
class Found:
    """The cards that respond. trouble: why some may be missing, in words, or None."""

    gpus: tuple[Gpu, ...] = ()
    trouble: str | None = None


def find() -> Found:
    """Query nvidia-smi. A machine without it has no GPUs; a driver that does not respond is reported as trouble."""
    command = ["nvidia-smi", f"--query-gpu={','.join(ASK)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        return Found()
    except (OSError, subprocess.TimeoutExpired) as error:
        return Found(trouble=f"Cannot run nvidia-smi: {error}. Check the GPU's driver.")
    if done.returncode:
        said = (done.stdout + done.stderr).strip().split("\n")[0] or f"exit code {done.returncode}"
        return Found(trouble=f"nvidia-smi does not see the GPUs: {said[:300]} Check the GPU's driver.")
    gpus, unexpected = [], []
    for row in csv.reader(done.stdout.splitlines(), skipinitialspace=True):
        try:
            index, uuid, name, *numbers = row
            total, used, use = (number_of(text) for text in numbers)
            gpus.append(Gpu(uuid, int(index), name, total, used, use))
        except ValueError:
            unexpected.append(",".join(row))
    return Found(tuple(gpus), f"nvidia-smi answered {unexpected[0]!r} for a GPU. Check it." if unexpected else None)


def number_of(text: str) -> int:
    """An integer; 0 if the card does not report it ("[N/A]")."""
    return 0 if text.startswith("[") else int(text)


def choose(gpus: Sequence[Gpu], leases: Sequence[Lease], memory_mb: int) -> tuple[Gpu, int] | None:
    """The card with the most room for a job, and the job's memory on it; None while there is no room.

    memory_mb: 0 for a whole card; more than the largest card has is cut to that (the job adapts to it).
    """
    largest = max((gpu.total_mb for gpu in gpus), default=0)
    wanted, best = min(memory_mb, largest), None
    for gpu in gpus:
        held = [lease.gpu_memory_mb for lease in leases if lease.gpu == gpu.uuid]
        whole = not wanted or wanted == gpu.total_mb
        if whole and (held or gpu.used_mb > IDLE_FRACTION * gpu.total_mb):
            continue
        room = gpu.total_mb if whole else gpu.total_mb - max(sum(held), gpu.used_mb)
        if room >= (wanted or 1) and (best is None or room > best[2]):
            best = gpu, gpu.total_mb if whole else wanted, room
    return best and best[:2]


def machine() -> dict[str, Any]:
    """The machine's utilisation: load of the last minute per core, memory in MB. Empty without /proc."""
    try:
        with open("/proc/meminfo") as file:
            pairs = (line.split(":") for line in file)
            memory = {name: int(value.split()[0]) // 1024 for name, value in pairs}
        return {
            "cores": os.cpu_count() or 1,
            "load": os.getloadavg()[0],
            "memory_mb": memory["MemTotal"],
            "used_mb": memory["MemTotal"] - memory["MemAvailable"],
        }
    except (OSError, LookupError, ValueError):
        return {}
