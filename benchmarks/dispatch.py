"""The plan for 10,000 proxies on 1,000 GPUs, simulated: what the scheduler costs, and what the page must take in.

    python -m benchmarks.dispatch --out benchmarks/results/dispatch.md

The real supervisor works on a real spool; only the cluster is simulated. Its clock goes on by what each of the
supervisor's looks really took, and by its pause between looks, so a slow scheduler leaves simulated GPUs idle. Proxies
are dispatched one per job, and take about 30 s: far shorter than real ones, which makes it harder.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from engine.core.workspace import Workspace
from engine.jobs.backends import Backend, Status
from engine.jobs.backends.local import Local
from engine.jobs.decisions import PlannedJob, StudyCreated, StudyPlanned
from engine.jobs.devices import Lease
from engine.jobs.events import JobFinished, JobStarted, RunsProgress
from engine.jobs.journal import write_event
from engine.jobs.runs import PlannedRun
from engine.jobs.spec import JobSpec
from engine.jobs.spool import Spool
from engine.jobs.supervisor import POLL_SECONDS, Supervisor
from engine.proxies.reporter import REPORT_SECONDS
from engine.spec.study import StudySpec
from store import runs
from store.database import Store

LONG_SECONDS = 600.0  # of a real proxy, to say what the overhead would be there


class Simulated(Backend):
    """GPUs that train for as long as a draw says, in the time of `now`."""

    name = "simulated"

    def __init__(self, gpus: int, seconds: float, spool: Spool):
        self.gpus, self.seconds, self.spool, self.now = gpus, seconds, spool, 0.0
        self.random = random.Random(0)
        self.ends: dict[str, float] = {}
        self.freed: list[float] = []  # when GPUs became free that wait for a job
        self.idle = self.worked = 0.0  # GPU seconds

    def place(self, need: JobSpec, taken: Sequence[Lease]) -> dict | None:
        return {"gpus": 1.0} if len(taken) < self.gpus else None

    def submit(self, name, argv, env, resources, log, lock=None) -> str:
        if self.freed:
            self.idle += self.now - self.freed.pop()
        seconds = self.seconds * self.random.uniform(0.8, 1.2)
        self.worked += seconds
        self.ends[name] = self.now + seconds
        return name

    def status(self, handle: str) -> Status:
        if self.now < self.ends[handle]:
            return Status("running")
        folder = self.spool.root / "active" / handle.rsplit("-", 1)[0]
        write_event(folder, JobStarted(pid=1, host="simulated"))
        write_event(folder, JobFinished())
        self.freed.append(self.ends.pop(handle))
        return Status("ended", 0)

    def cancel(self, handle: str, kill: bool = False) -> None: ...

    def logs(self, handle: str, log: Path) -> str:
        return "simulated"


def dispatch(workspace: Workspace, proxies: int, gpus: int, seconds: float) -> dict:
    """Dispatch all proxies; what it took."""
    spool = Spool(workspace.root)
    began = time.perf_counter()
    for n in range(proxies):
        fields = {"corpus": "none", "domains": [], "runs": [], "fidelity": {}}
        spool.submit({"kind": "train", "study": "s", "device": "auto", **fields}, f"proxy-{n:05d}")
    spooled = time.perf_counter() - began
    cluster = Simulated(gpus, seconds, spool)
    supervisor = Supervisor(workspace.root, Local(slots=1), cluster)
    looks, cpu = [], time.process_time()
    while len(spool.folders("ended")) < proxies:
        began = time.perf_counter()
        supervisor.step()
        looks.append(time.perf_counter() - began)
        cluster.now += looks[-1] + POLL_SECONDS
    cpu = time.process_time() - cpu
    looks.sort()
    return {
        "proxies": proxies,
        "GPUs": gpus,
        "seconds a proxy": seconds,
        "seconds to spool all": spooled,
        "simulated seconds until all were done": cluster.now,
        "looks of the supervisor": len(looks),
        "median look, ms": 1000 * looks[len(looks) // 2],
        "longest look, s": looks[-1],
        "CPU ms of the supervisor a job": 1000 * cpu / proxies,
        "GPU time idle while jobs waited, %": 100 * cluster.idle / (cluster.worked + cluster.idle),
        f"the same with proxies of {LONG_SECONDS:g} s, %": 100
        * cluster.idle
        / (cluster.worked * LONG_SECONDS / seconds + cluster.idle),
    }


def plan_live(store: Store, gpus: int) -> None:
    """A study with a job of one run for every GPU, all of them running."""
    names = [f"live-{n:04d}" for n in range(gpus)]
    spec = {"kind": "train", "study": "live"}
    planned = [
        PlannedRun(id=f"run-{n}", number=n, role="design", seed=n, job=name, weights=[1.0])
        for n, name in enumerate(names)
    ]
    store.write(StudyCreated("live", "Live", StudySpec.from_dict({"name": "Live"}).to_dict()))
    tasks = [PlannedJob(job=name, spec=dict(spec)) for name in names]
    store.write(StudyPlanned(study="live", domains=["web"], corpus={}, runs=planned, jobs=tasks))
    for name in names:
        store.spool.submit(spec, name)
        store.spool.move(store.spool.find(name), "active")


def ingest(workspace: Workspace, gpus: int, minutes: int) -> dict:
    """What so many GPUs write in some minutes, one journal each, read round by round as the page's process does."""
    store = Store(workspace)
    spool, rates = store.spool, []
    plan_live(store, gpus)
    seconds = 5.0  # between rounds, in the journals' time
    for turn in range(int(60 * minutes / seconds)):
        for n in range(gpus):
            for line in range(int(seconds / REPORT_SECONDS)):
                progress = {"runs": [f"run-{n}"], "step": turn * 5 + line, "steps": 10**4, "tokens": 10**4}
                folder = spool.root / "active" / f"live-{n:04d}"
                write_event(folder, RunsProgress(loss=[2.0], tokens_per_second=1e5, **progress))
        began = time.perf_counter()
        rates.append(store.ingest() / (time.perf_counter() - began))
    assert runs.corrupt_count(store) == 0, "a line that is set aside is not read at the speed of one that is applied"
    store.close()
    needed = gpus / REPORT_SECONDS
    return {"events a second that they write": needed, "events a second that are read": sorted(rates)[len(rates) // 2]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxies", type=int, default=10_000)
    parser.add_argument("--gpus", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="that a proxy takes")
    parser.add_argument("--out", type=Path, help="write the report there, as Markdown")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dispatch"))
    try:
        report = {"dispatch": dispatch(Workspace.open(folder / "a"), options.proxies, options.gpus, options.seconds)}
        print(json.dumps(report), flush=True)
        report["ingest"] = ingest(Workspace.open(folder / "b"), options.gpus, 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rounded = {name: {k: round(v, 3) for k, v in part.items()} for name, part in report.items()}
    text = json.dumps(rounded, indent=1)
    print(text)
    if options.out:
        words = " ".join(sys.argv[1:])
        options.out.write_text(f"# Dispatch\n\n`python -m benchmarks.dispatch {words}`\n\n```json\n{text}\n```\n")


if __name__ == "__main__":
    main()
