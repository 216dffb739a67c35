"""From a worker's event to the browser: 8 jobs at 20 events a second each, the page Jobs open in Chromium.

    python -m benchmarks.latency --out benchmarks/results/latency.md

Each event's note is the time at which it was written. A script in the page looks twenty times a second at what every
job's card says. An event has arrived when its card shows its time or a later one.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from engine.core.workspace import Workspace
from engine.jobs.spool import Spool
from store.database import Store

ROOT = Path(__file__).parents[1]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WRITER = """
import json, sys, time
from pathlib import Path
from engine.jobs.events import JobProgress, JobStarted
from engine.jobs.spool import Job, try_lock
folder, rate, seconds = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
with try_lock(folder):
    job, began, count = Job(folder, folder, {}), time.monotonic(), 0
    job.emit(JobStarted(0, "here"))
    while time.monotonic() - began < seconds:
        job.emit(JobProgress(count, rate * seconds, f"{folder.name} at {time.time():.3f}"))
        count += 1
        time.sleep(max(0.0, began + count / rate - time.monotonic()))
"""
WATCH = """() => { window.seen = {}; setInterval(() => {
    for (const found of document.body.innerText.matchAll(/(live-\\d) at (\\d+\\.\\d{3})/g)) {
        const times = window.seen[found[1]] ??= [];
        if (!times.length || times.at(-1)[0] < Number(found[2])) times.push([Number(found[2]), Date.now() / 1000]);
    }
}, 50); }"""


def prepared(root: Path, jobs: int) -> Spool:
    """A workspace in which so many jobs run."""
    store = Store(Workspace.open(root))
    for n in range(jobs):
        store.submit(f"live-{n}", {"kind": "train"})
        store.spool.move(store.spool.find(f"live-{n}"), "active")
    store.close()
    return Spool(root)


def watched(port: int, seconds: float) -> dict[str, list]:
    """What the page showed, and when: job -> [(time of the event, time when it was seen)]."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        tab = browser.new_page(viewport={"width": 1360, "height": 2400})
        tab.goto(f"http://127.0.0.1:{port}/jobs")
        tab.get_by_text("live-0 at").wait_for(timeout=60_000)
        tab.evaluate(WATCH)
        tab.wait_for_timeout(1000 * seconds)
        seen = tab.evaluate("window.seen")
        browser.close()
        return seen


def latencies(spool: Spool, seen: dict[str, list]) -> np.ndarray:
    """Seconds from each event, written while the page was watched, until it or a later one was seen."""
    found = []
    for job, times in seen.items():
        shown, when = np.array(times).T
        lines = (spool.root / "active" / job / "events.jsonl").read_text().splitlines()
        written = np.array([float(json.loads(line)["note"].split(" at ")[1]) for line in lines if "note" in line])
        written = written[(written > shown[0]) & (written <= shown[-1])]
        found.append(when[np.searchsorted(shown, written)] - written)
    return np.concatenate(found)


def measure(jobs: int, rate: float, seconds: float) -> dict:
    folder = Path(tempfile.mkdtemp(prefix="latency"))
    spool = prepared(folder, jobs)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "MIXDESK_WORKSPACE": str(folder), "PORT": str(port), "MIXDESK_DEMO": "0"}
    page = subprocess.Popen([sys.executable, "-m", "dashboard"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    writers = []
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        for job in spool.folders("active"):
            words = [sys.executable, "-c", WRITER, str(job), str(rate), str(seconds + 60)]
            writers.append(subprocess.Popen(words, cwd=ROOT))
        seen = watched(port, seconds)
        found = latencies(spool, seen)
        quantiles = {f"p{q}, s": float(np.percentile(found, q)) for q in (50, 95, 99)}
        return {"jobs seen": len(seen), "events per second and job": rate, "events": len(found), **quantiles}
    finally:
        for process in (*writers, page):
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--rate", type=float, default=20.0, help="events a second of each job")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, help="write the report there, as Markdown")
    options = parser.parse_args()
    report = measure(options.jobs, options.rate, options.seconds)
    report["load average of the last minute"] = os.getloadavg()[0]
    text = json.dumps({k: round(v, 3) for k, v in report.items()}, indent=1)
    print(text)
    if options.out:
        words = " ".join(sys.argv[1:])
        options.out.write_text(f"# Latency\n\n`python -m benchmarks.latency {words}`\n\n```json\n{text}\n```\n")


if __name__ == "__main__":
    main()
