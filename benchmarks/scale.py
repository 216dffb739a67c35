"""How large a workspace may become: 20,000 runs and 5 million events; and what an idle worker takes.

    python -m benchmarks.scale --out benchmarks/results/scale.md

Journals are written as jobs write them (one line an event), and read by the store as the page's process does. The page
is then opened by Streamlit's own AppTest: script, queries and figures, without the browser. Takes about 1.5 GB of disk
for some minutes, and removes it. Times are of this machine, with whatever else ran on it.
"""

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from dashboard.server import state
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.service.owner import Owner
from engine.spec.study import StudySpec
from store.database import Store
from store.from_journals import rebuild

ROOT = Path(__file__).parents[1]
DOMAINS = ["docs", "python", "cpp", "javascript", "maths", "junk"]
GROUP = 8  # runs a job
TARGETS = {"ingest": 10_000.0, "page": 1.0, "idle MB": 60.0, "idle %": 1.0}


def write_workspace(workspace: Workspace, runs: int, events: int) -> None:
    """One study with so many finished runs, and the journals of its jobs, as training writes them."""
    store = Store(workspace)
    spec = StudySpec.from_dict({"name": "Large", "corpus": "large", "runs": runs - 3, "repeats": 0})
    store.write(StudyCreated(study="large", name="Large", spec=spec.to_dict()))
    planned = [
        {
            "id": f"large-{n}",
            "number": n,
            "role": "design",
            "seed": n,
            "job": f"large-train-{n // GROUP:05d}",
            "weights": weights_of(n),
        }
        for n in range(runs)
    ]
    tasks = [
        {"job": f"large-train-{n:05d}", "spec": {"kind": "train", "study": "large"}}
        for n in range(math.ceil(runs / GROUP))
    ]
    began = time.perf_counter()
    corpus = {"domains": {name: {"train": {"tokens": 10**7}} for name in DOMAINS}}
    store.write(StudyPlanned(study="large", domains=DOMAINS, corpus=corpus, runs=planned, jobs=tasks))
    print(f"planned {runs:,} runs in {time.perf_counter() - began:.1f} s", flush=True)
    store.close()
    lines = events // runs
    for task in tasks:
        folder = workspace.root / "jobs" / "ended" / task["job"]
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps(task["spec"]))
        own = planned_of(planned, task["job"])
        (folder / "events.jsonl").write_text("".join(journal(own, lines)))


def planned_of(planned: list[dict], job: str) -> list[dict]:
    start = int(job.rsplit("-", 1)[1]) * GROUP
    return planned[start : start + GROUP]


def weights_of(n: int) -> list[float]:
    raw = [1 + (n * (i + 3) * 7919 % 997) / 100 for i in range(len(DOMAINS))]
    return [value / sum(raw) for value in raw]


def journal(runs: list[dict], lines: int):
    """A job's journal: about `lines` events per run."""
    t = 1.7e9
    yield json.dumps({"kind": "job.started", "t": t, "pid": 1, "host": "node"}) + "\n"
    for step in range(lines - 1):
        for run in runs:
            t += 0.01
            loss = 2 + 3 / (1 + step / 10)
            yield (
                f'{{"kind": "runs.progress", "t": {t:.3f}, "runs": ["{run["id"]}"], "step": {step * 8}, "steps": '
                f'{lines * 8}, "tokens": {step * 8192}, "loss": [{loss:.4f}], "tokens_per_second": 151234.5}}\n'
            )
    for run in runs:
        losses = {name: 1.5 + 0.3 * math.sin(run["number"] + i) for i, name in enumerate(DOMAINS)}
        finished = {
            "run": run["id"],
            "losses": losses,
            "losses_se": dict.fromkeys(DOMAINS, 0.01),
            "shares": run["weights"],
            "tokens": lines * 8192,
            "seconds": 60.0,
            "cpu_seconds": 60.0,
            "device": "cpu",
            "parameters": 123456,
        }
        yield json.dumps({"kind": "run.finished", "t": t, **finished}) + "\n"
    yield json.dumps({"kind": "job.finished", "t": t}) + "\n"


def ingest(workspace: Workspace) -> dict:
    """Read all journals as the page's process does."""
    store = Store(workspace)
    began, cpu = time.perf_counter(), time.process_time()
    count = store.ingest()
    seconds = time.perf_counter() - began
    found = {"events": count, "seconds": seconds, "CPU seconds": time.process_time() - cpu, "a second": count / seconds}
    found["database MB"] = (workspace.root / "mixdesk.duckdb").stat().st_size / 1e6
    store.close()
    return found


def page_seconds(workspace: Workspace, page: str) -> dict:
    """Server time of a page of the study: first opening of a process, and the median of five more."""
    owner = Owner(workspace)
    state.use(owner)
    try:
        times = []
        for _ in range(6):
            script = f"from dashboard.views.measure import {page}\n{page}.render('large')"
            app = AppTest.from_string(script, default_timeout=120)
            app.query_params["study"] = "large"
            began, cpu = time.perf_counter(), time.process_time()
            app.run()
            times.append((time.perf_counter() - began, time.process_time() - cpu))
            assert not app.exception, app.exception
        then, cpu = (sorted(values)[2] for values in zip(*times[1:], strict=True))
        return {"first, s": times[0][0], "then, s": then, "then, CPU s": cpu, "peak MB": peak_mb()}
    finally:
        state.use(None)
        owner.close()


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def idle(seconds: float = 30.0) -> dict:
    """Memory and CPU of a worker that has nothing to do."""
    folder = tempfile.mkdtemp(prefix="idle")
    process = subprocess.Popen([sys.executable, "-m", "engine.worker", "--workspace", folder], cwd=ROOT)
    try:
        time.sleep(5)
        before = ticks(process.pid)
        time.sleep(seconds)
        cores = (ticks(process.pid) - before) / os.sysconf("SC_CLK_TCK") / seconds
        status = Path(f"/proc/{process.pid}/status").read_text()
        memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return {"MB": memory / 1024, "% of a core": 100 * cores}
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--out", type=Path, help="write the report there, as Markdown")
    parser.add_argument("--keep", type=Path, help="use this folder, and leave it")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="scale"))
    try:
        workspace = Workspace.open(folder)
        if not (folder / "mixdesk.duckdb").exists():
            write_workspace(workspace, options.runs, options.events)
        report = {"ingest": ingest(workspace)}
        print(json.dumps(report), flush=True)
        for page in ("runs", "jobs"):
            report[f"page {page}"] = page_seconds(workspace, page)
            print(page, report[f"page {page}"], flush=True)
        began = time.perf_counter()
        count, _ = rebuild(workspace, folder / "again.duckdb")
        report["rebuild"] = {"events": count, "seconds": time.perf_counter() - began}
        report["idle worker"] = idle()
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    text = json.dumps(report, indent=1, default=lambda value: round(value, 3))
    print(text)
    if options.out:
        words = " ".join(sys.argv[1:])
        options.out.write_text(f"# Scale\n\n`python -m benchmarks.scale {words}`\n\n```json\n{text}\n```\n")


if __name__ == "__main__":
    main()
