"""The worker's command line: `python -m engine.worker` serves one workspace until it is stopped."""

import argparse
import os
import signal
import sys

from engine.core.errors import Problem
from engine.core.files import given_path
from engine.core.system import hold_standard_streams
from engine.core.workspace import Workspace
from engine.jobs import backends
from engine.jobs.backends import Backend
from engine.jobs.backends.cluster_file import DASHBOARD
from engine.jobs.supervisor import Supervisor


def parser() -> argparse.ArgumentParser:
    """The worker's options."""
    made = argparse.ArgumentParser(prog="python -m engine.worker", description=__doc__)
    made.add_argument("--workspace", type=given_path, help="default: $MIXDESK_WORKSPACE, else ./workspace")
    made.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="CPU slots here (default: cores)")
    made.add_argument(
        "--backend", choices=list(backends.BACKENDS), default="local", help="where proxies train (default: %(default)s)"
    )
    made.add_argument(
        "--jobs", type=int, default=1000, help="jobs submitted to the cluster at once (default: %(default)s)"
    )
    made.add_argument(
        "--cluster",
        type=given_path,
        metavar="FILE",
        help="how jobs are asked for (default: the workspace's cluster.toml)",
    )
    made.add_argument("--address", default="", help=f"ray: of its dashboard (default: {DASHBOARD})")
    made.add_argument("--card-mb", type=int, default=0, help="ray: memory of one GPU; lets small jobs share a card")
    made.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="slurm: a parameter of submitit, such as slurm_partition=gpu or timeout_min=600; repeat",
    )
    made.add_argument("--url", default="", help="the cluster's jobs post their journals to the page at this address")
    made.add_argument("--python", default=sys.executable, help="the Python of the cluster's nodes (default: this one)")
    return made


def cluster_of(options: argparse.Namespace, workspace: Workspace) -> Backend | None:
    """The cluster that the options ask for, None for this machine."""
    return None if options.backend == "local" else backends.named(options.backend).from_options(options, workspace.root)


def main() -> None:
    """Serve one workspace until stopped. A lock ensures one supervisor per workspace."""
    hold_standard_streams()
    options = parser().parse_args()
    for name in ("slots", "jobs"):
        if getattr(options, name) < 1:
            parser().error(f"--{name} must be at least 1, not {getattr(options, name)}")
    try:
        workspace = Workspace.open(options.workspace)
        lock = workspace.lock("worker")
        local, cluster = backends.make("local", slots=options.slots), cluster_of(options, workspace)
    except Problem as problem:
        sys.exit(f"worker: {problem}")
    worker = Supervisor(workspace.root, local, cluster, options.url, options.python)
    for end in (signal.SIGTERM, signal.SIGINT):
        signal.signal(end, lambda *_: setattr(worker, "stopping", True))
    os.nice(5)  # the page stays quick while proxies train
    found = local.devices()
    if found["trouble"]:
        print(f"worker: {found['trouble']} Jobs run on the CPU.", flush=True)
    gpus = f"{len(found['gpus'])} GPUs, " if found["gpus"] else ""
    where = f"training on {cluster.name}, " if cluster else ""
    print(f"worker: {options.slots} jobs at once, {gpus}{where}workspace {workspace.root}", flush=True)
    worker.run()
    os.close(lock)
