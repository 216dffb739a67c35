"""Processes on this machine: CPU slots, GPUs leased through CUDA_VISIBLE_DEVICES."""

import contextlib
import os
import signal
import subprocess
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from engine.jobs import devices
from engine.jobs.backends import Backend, Status, cause_of, nursery
from engine.jobs.backends.nursery import Nursery
from engine.jobs.devices import Found, Lease
from engine.jobs.spec import JobSpec

LOOK_SECONDS = 5.0  # between calls of nvidia-smi while a card is wanted or leased


class Local(Backend):
    """Each command in a session of its own, so that it outlives the supervisor and ends with all its children.

    Jobs are forked by a nursery where that is safe, as most of a small job's time is its imports.
    """

    name, local = "local", True

    def __init__(self, slots: int):
        self.slots = slots
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.nursery, self.forked = Nursery(), set[str]()
        self.found: Found = devices.find()
        self.looked = time.monotonic()
        self.seen = {gpu.uuid for gpu in self.found.gpus}  # cards listed so far
        self.missing: dict[str, int] = {}  # card -> how many consecutive polls did not list it

    @classmethod
    def from_options(cls, options: Namespace, root: Path) -> Self:
        return cls(options.slots)

    def look(self) -> Found:
        """The cards, as of the last few seconds."""
        if time.monotonic() - self.looked >= LOOK_SECONDS and (self.seen or self.found.trouble):
            self.found, self.looked = devices.find(), time.monotonic()
            there = {gpu.uuid for gpu in self.found.gpus}
            answered = self.found.trouble is None  # no answer at all says nothing about a single card
            gone = self.seen - there if answered else ()
            self.missing = {uuid: self.missing.get(uuid, 0) + 1 for uuid in gone}
        self.seen |= {gpu.uuid for gpu in self.found.gpus}
        return self.found

    def place(self, need: JobSpec, taken: Sequence[Lease]) -> dict[str, Any] | None:
        """A CPU slot for every job, and room on a card for one that wants it."""
        if taken and sum(lease.cpus for lease in taken) + need.cpus > self.slots:
            return None
        if need.device == "cpu" or not (self.look().gpus or self.seen):
            return {"cpus": need.cpus}  # "cuda" without any card ends with a message that says so
        chosen = devices.choose(self.found.gpus, taken, need.gpu_memory_mb)
        if chosen is None:
            return None
        gpu, memory = chosen
        return {"cpus": need.cpus, "gpus": memory / gpu.total_mb, "gpu": gpu.uuid, "gpu_memory_mb": memory}

    def submit(
        self, name: str, argv: Sequence[str], env: dict[str, str], resources: Lease, log: Path, lock: int | None = None
    ) -> str:
        visible = {"CUDA_VISIBLE_DEVICES": resources.gpu or "", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        with open(log, "ab") as output:
            if nursery.SAFE and lock is not None and tuple(argv[:3]) == nursery.COMMAND:
                handle = str(self.nursery.start(argv[3:], {**env, **visible}, output.fileno(), lock))
                self.forked.add(handle)
                return handle
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[] if lock is None else [lock],
                env={**os.environ, **env, **visible},
            )
        self.children[str(child.pid)] = child
        return str(child.pid)

    def status(self, handle: str) -> Status:
        """Only for its own children: those of an earlier supervisor are known by the job's lock."""
        try:
            code = self.nursery.code(int(handle)) if handle in self.forked else self.children[handle].poll()
        except (KeyError, OSError):
            return Status("ended", cause="its process was gone when a worker looked")
        return Status("running") if code is None else Status("ended", code, cause_of(code))

    def cancel(self, handle: str, kill: bool = False) -> None:
        # It may have ended; or its supervisor was killed before it saved the handle.
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.killpg(int(handle), signal.SIGKILL if kill else signal.SIGTERM)

    def logs(self, handle: str, log: Path) -> str:
        return log.read_text(errors="replace") if log.exists() else ""

    def lost(self, lease: Lease) -> str | None:
        if lease.gpu:
            self.look()
        if lease.gpu and self.missing.get(lease.gpu, 0) >= 2:
            return f"its GPU {lease.gpu} vanished: nvidia-smi does not list it any more"
        return None

    def devices(self) -> dict[str, Any]:
        found = self.found  # no call of its own: an idle worker leaves the cards alone
        return {"slots": self.slots, "gpus": [asdict(gpu) for gpu in found.gpus], "trouble": found.trouble}
