"""Ray Jobs on a cluster: the cluster's own scheduler finds the node, and gives small jobs a part of a card.

`--address` is that of the cluster's dashboard. Nodes need this checkout at the same path, and the workspace either
there as well (a shared folder) or its journals posted to the page (docs/CLUSTER.md).
"""

import shlex
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from ray.job_submission import JobStatus, JobSubmissionClient

from engine.core.errors import Problem
from engine.jobs.backends import Backend, Status, cause_of, fraction_of_card
from engine.jobs.backends.cluster_file import RayOptions, read_cluster
from engine.jobs.devices import Lease
from engine.jobs.spec import JobSpec

STATES = {
    JobStatus.PENDING: "waiting",
    JobStatus.RUNNING: "running",
    JobStatus.STOPPED: "ended",
    JobStatus.SUCCEEDED: "ended",
    JobStatus.FAILED: "ended",
}
LOOK_SECONDS = 1.0  # one request for all jobs, at most this often


class Ray(Backend):
    """Commands as Ray jobs. Their submission ids are our names, so that a repeated submit is harmless."""

    name = "ray"

    def __init__(self, slots: int, options: RayOptions):
        """Raises Problem if no cluster answers."""
        self.slots, self.options, self.address = slots, options, options.address
        self.known: dict[str | None, Any] = {}  # submission id -> Ray's JobDetails, as of `looked`
        self.looked = 0.0
        self.trouble: str | None = None
        try:
            self.client = JobSubmissionClient(self.address)
        except Exception as error:  # ConnectionError, RuntimeError and others, depending on the server
            raise Problem(
                f"Cannot reach a Ray cluster at {self.address}: {first_line(error)}. Start one with "
                "`ray start --head`, and give the address of its dashboard as --address."
            ) from error

    @classmethod
    def from_options(cls, options: Namespace, root: Path) -> Self:
        found = read_cluster(root, options.cluster, "ray").ray
        given = {"address": options.address, "card_mb": options.card_mb}  # on the command line: over the file's
        return cls(options.jobs, replace(found, **{name: value for name, value in given.items() if value}))

    def place(self, need: JobSpec, taken: Sequence[Lease]) -> dict[str, Any] | None:
        """Ray queues what has no room yet; `slots` bounds how many jobs it has."""
        if sum(lease.backend == self.name for lease in taken) >= self.slots:
            return None
        return {
            "cpus": need.cpus,
            "gpus": fraction_of_card(need, self.options.card_mb),
            "gpu_memory_mb": need.gpu_memory_mb,
        }

    def submit(
        self, name: str, argv: Sequence[str], env: dict[str, str], resources: Lease, log: Path, lock: int | None = None
    ) -> str:
        try:
            return self.client.submit_job(
                entrypoint=entrypoint(self.options.setup, argv),
                submission_id=name,
                runtime_env={"env_vars": env, **({"image_uri": self.options.image} if self.options.image else {})},
                entrypoint_num_cpus=resources.cpus,
                entrypoint_num_gpus=resources.gpus or None,
                entrypoint_resources=self.options.resources or None,
            )
        except Exception as error:
            if "already exists" in str(error):
                return name
            raise Problem(f"Cannot submit a job to the Ray cluster at {self.address}: {first_line(error)}") from error

    def status(self, handle: str) -> Status:
        """Jobs of a cluster that does not answer count as running: nothing says that they have ended."""
        if handle not in self.known or time.monotonic() - self.looked > LOOK_SECONDS:
            try:
                self.known = {job.submission_id: job for job in self.client.list_jobs()}
                self.looked, self.trouble = time.monotonic(), None
            except Exception as error:
                self.trouble = f"The Ray cluster at {self.address} does not answer: {first_line(error)}"
                return Status("running")
        job = self.known.get(handle)
        if job is None:
            return Status("ended", cause="the Ray cluster no longer knows it (was it restarted?)")
        if (state := STATES[job.status]) != "ended":
            return Status(state)
        code = getattr(job, "driver_exit_code", None)
        if code is None:
            return Status(state, None, f"Ray says: {first_line(job.message or job.status)}")
        return Status(state, code, cause_of(code))

    def cancel(self, handle: str, kill: bool = False) -> None:
        """Ray sends TERM to the command and its children, and KILL some seconds later."""
        try:
            self.client.stop_job(handle)
        except Exception as error:
            self.trouble = f"The Ray cluster at {self.address} did not stop {handle}: {first_line(error)}"

    def logs(self, handle: str, log: Path) -> str:
        """Ray keeps them on the node, which may be gone."""
        try:
            return self.client.get_job_logs(handle)
        except Exception as error:
            return f"[The Ray cluster does not show its output: {first_line(error)}]"

    def devices(self) -> dict[str, Any]:
        return {"slots": self.slots, "gpus": [], "trouble": self.trouble}


def entrypoint(setup: Sequence[str], argv: Sequence[str]) -> str:
    """The shell line that runs a command, after the lines before it."""
    command = shlex.join(argv)
    return shlex.join(["bash", "-c", "\n".join(["set -e", *setup, f"exec {command}"])]) if setup else command


def first_line(error: object) -> str:
    """The first non-empty line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
