"""The demo study as a newcomer meets it: `python -m benchmarks.demo [SEEDS]` (3 by default, about 20 minutes).

Starts the Procfile's two processes on a fresh workspace, as `make run` does once packages are installed, and
measures by the clock: until progress first moves, until the first fit that is good enough, until all is settled.
Repeats the study with other seeds on the same corpus. Then it trains larger proxies on some of the mixtures and
says how well small proxies, and the surrogate fitted on them, rank the large ones. Writes results/demo.json and .md.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from engine.jobs.events import JobFailed, RunFinished
from engine.jobs.journal import read_events
from engine.jobs.runs import TaskRun
from engine.jobs.spool import Spool
from engine.proxies.cpu_matmul import processor
from engine.spec.fidelity import Fidelity, larger
from engine.spec.kinds.train import TrainTask
from engine.spec.statistics import spearman, weighted_sum
from engine.spec.study import DEMO
from engine.surrogates import load

ROOT = Path(__file__).parents[1]
GOOD = 0.95, 0.90  # held-out Spearman asked for: mean over domains, mean loss
FACTOR, LONGER, MIXTURES = 4, 1.5, 8  # times the layers' weights; times the tokens; mixtures trained at that size
PORT = 8599


class Desk:
    """A running Mixdesk on a fresh workspace, and its HTTP API."""

    def __init__(self, workspace: Path):
        self.workspace, self.began = workspace, time.monotonic()
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PORT": str(PORT), "MIXDESK_WORKSPACE": str(workspace)}
        log = open(workspace.parent / "demo.log", "wb")  # noqa: SIM115 (lives as long as the process)
        command = [sys.executable, "-m", "honcho", "start", "--no-prefix"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def call(self, command: str, **arguments):
        """A command's result; None while the server is not up."""
        try:
            server = json.loads((self.workspace / "web.json").read_text())
            request = urllib.request.Request(f"{server['url']}/api/v1/{command}", json.dumps(arguments).encode())
            request.add_header("Authorization", f"Bearer {server['token']}")
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)["result"]
        except OSError:
            return None

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


def watch(desk: Desk, study: str, began: float) -> dict:
    """Follow a study to its end: seconds until progress moved, until the first good fit, until settled."""
    seen: dict = {}
    while True:
        elapsed = round(time.monotonic() - began, 1)
        corpus = next(iter(desk.call("list_corpora") or []), None)
        shown = desk.call("show", name=study) if corpus else None
        if corpus and corpus["job"] and corpus["job"]["done"]:
            seen.setdefault("progress", elapsed)
        if shown and shown["domains"]:
            seen.setdefault("corpus", elapsed)
        if shown and shown["league"]:
            league, standing = shown["league"]["league"], default_of(shown["league"]["league"])
            seen.setdefault("first_fit", elapsed)
            if standing["mean_spearman"] >= GOOD[0] and standing["aggregate_spearman"] >= GOOD[1]:
                seen.setdefault("good_fit", elapsed)
                seen.setdefault("good_fit_runs", league["runs"])
        if shown and shown["settled"]:
            found = desk.call("list_searches", name=study)[0]["found"]
            return {**seen, "settled": elapsed, **summary(shown), "junk_share": found["found"]["shares"][-1]}
        time.sleep(1)


def default_of(league: dict) -> dict:
    return next(standing for standing in league["standings"] if standing["name"] == league["default"])


def summary(shown: dict) -> dict:
    """Held-out figures of the last league."""
    standing = default_of(shown["league"]["league"])
    return {
        "runs": shown["league"]["league"]["runs"],
        "surrogate": standing["name"],
        "spearman_domains": standing["mean_spearman"],
        "spearman_mean_loss": standing["aggregate_spearman"],
        "interval_domains": standing["interval"],
        "coverage": standing["calibrated_coverage"],
    }


def held_against_larger(desk: Desk, study: str) -> dict:
    """Train some of a study's mixtures larger; rank correlations with intervals by bootstrap over mixtures."""
    shown = desk.call("show", name=study)
    rows = [row for row in desk.call("list_runs", name=study) if row["role"] != "repeat" and row["losses"]]
    chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, MIXTURES).round().astype(int)]
    small_one = Fidelity.from_dict(shown["spec"]["fidelity"])
    domains, fidelity = shown["domains"], replace(larger(small_one, FACTOR), tokens=int(LONGER * small_one.tokens))
    weights = np.array([[row["weights"][d] for d in domains] for row in chosen])
    members = [TaskRun(id=row["id"], weights=list(row["weights"].values()), seed=99) for row in chosen]
    spool = Spool(desk.workspace)
    for half in (0, 1):
        task = TrainTask(corpus="default", domains=domains, runs=members[half::2], fidelity=fidelity.to_dict())
        spool.submit(task.spec(study=study), f"larger-{half}")
    losses: dict[str, list] = {}
    while len(losses) < len(chosen):
        time.sleep(2)
        folders = [spool.find(f"larger-{half}") for half in (0, 1)]
        if failed := [event for folder in folders for event in read_events(folder, JobFailed)]:
            raise SystemExit(failed[0].message)
        finished = [event for folder in folders for event in read_events(folder, RunFinished)]
        losses = {event.run: [event.losses[d] for d in domains] for event in finished}
    large = np.array([losses[row["id"]] for row in chosen])
    small = np.array([[row["losses"][d] for d in domains] for row in chosen])
    name, fingerprint = shown["league"]["league"]["default"], shown["league"]["fingerprint"]
    predicted = load(desk.workspace / "surrogates" / study / fingerprint / f"{name}.npz").mean(weights)
    metric_weights = np.array(shown["aggregate"]["weights"])
    return {
        "mixtures": len(chosen),
        "factor": FACTOR,
        "width": fidelity.width,
        "tokens": fidelity.tokens,
        "small_to_large": ranked(small, large, metric_weights),
        "surrogate_to_large": ranked(predicted, large, metric_weights),
    }


def ranked(one: np.ndarray, other: np.ndarray, metric_weights: np.ndarray) -> dict:
    """Spearman of (N, M) losses: mean over domains, and of the mean loss, with 95% bootstrap intervals."""
    rng, draws = np.random.default_rng(0), []
    for _ in range(2000):
        rows = rng.integers(0, len(one), len(one))
        draws.append(correlations(one[rows], other[rows], metric_weights))
    low, high = np.nanquantile(draws, [0.025, 0.975], axis=0)
    found = correlations(one, other, metric_weights)
    return {
        name: [round(float(x), 3) for x in (found[i], low[i], high[i])]
        for i, name in enumerate(("domains", "mean_loss"))
    }


def correlations(one: np.ndarray, other: np.ndarray, metric_weights: np.ndarray) -> tuple[float, float]:
    each = spearman(one.T, other.T)
    return float(np.mean(each)), float(spearman(weighted_sum(one, metric_weights), weighted_sum(other, metric_weights)))


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace"
        workspace.mkdir()
        desk = Desk(workspace)
        try:
            found = [{"seed": DEMO.seed, **watch(desk, "demo", desk.began)}]
            print(found[-1], flush=True)
            for seed in range(DEMO.seed + 1, DEMO.seed + seeds):
                began = time.monotonic()
                spec = {**DEMO.to_dict(), "name": f"Demo, seed {seed}", "seed": seed}
                study = desk.call("start", spec=spec)["study"]
                found.append({"seed": seed, **watch(desk, study, began)})
                print(found[-1], flush=True)
            scale = held_against_larger(desk, "demo")
        finally:
            desk.stop()
    write(found, scale)


def write(found: list[dict], scale: dict) -> None:
    """results/demo.json, and the table that the docs carry."""
    results = ROOT / "benchmarks" / "results"
    facts = {
        "machine": processor(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }
    (results / "demo.json").write_text(json.dumps({**facts, "studies": found, "scale": scale}, indent=1))
    columns = ("seed", "progress", "corpus", "first_fit", "good_fit", "good_fit_runs", "settled", "surrogate")
    lines = [
        f"# The demo study\n\n`python -m benchmarks.demo {len(found)}`, {facts['date']}, {facts['cores']} cores, load "
        f"at the end {facts['load'][0]:.1f}. Seconds by the clock from the start of both processes (first row, fresh "
        "workspace) or from the study's start (other rows, the corpus is there). A good fit: held-out Spearman of at "
        f"least {GOOD[0]} (mean over domains) and {GOOD[1]} (mean loss, junk not counted).\n",
        "| " + " | ".join((*columns, "Spearman domains", "Spearman mean loss", "junk in the best")) + " |",
        "|" + "---|" * (len(columns) + 3),
    ]
    for row in found:
        cells = [str(row.get(column, "-")) for column in columns]
        cells += [f"{row['spearman_domains']:.3f}", f"{row['spearman_mean_loss']:.3f}", f"{row['junk_share']:.1%}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append(
        f"\nCompared with {scale['mixtures']} proxies with {scale['factor']} x the layers' weights (width "
        f"{scale['width']}) and {LONGER} x the tokens, another seed; Spearman [95% bootstrap]:\n\n"
        "| | mean over domains | mean loss |\n|---|---|---|"
    )
    for key, title in (("small_to_large", "small proxies"), ("surrogate_to_large", "surrogate fitted on them")):
        cells = ("{} [{}, {}]".format(*scale[key][name]) for name in ("domains", "mean_loss"))
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    (results / "demo.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
