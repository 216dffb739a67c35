"""The cost of the whole leaderboard fit: `OMP_NUM_THREADS=1 python -m benchmarks.league`.

The background job itself, with its two processes, on RegMix's training runs: 512 runs of 17 domains and 13 metrics, and
64 runs of the first 7 domains (their shares made to sum to one) and 7 metrics. Cross-validation, learning curve,
stability and the final fits of every surrogate of the table. Wall seconds depend on what else runs; CPU seconds hardly.
Writes benchmarks/results/league.json and .md.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.regmix import RESULTS, read
from engine.core.errors import Problem
from engine.core.files import write_json
from engine.jobs.journal import read_events
from engine.jobs.spool import Job
from engine.league import League, run
from engine.league.curve import Curve
from engine.spec.kinds.fit import FitTask, LeagueFinished
from engine.surrogates import SURROGATES

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.league"
SIZES = {"64 runs, 7 domains, 7 metrics": (64, 7, 7, 20), "512 runs, 17 domains, 13 metrics": (512, 17, 13, 180)}


def cpu_seconds() -> float:
    """Of this process and of children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(weights: np.ndarray, losses: np.ndarray, folder: Path) -> tuple[dict, League]:
    """Wall and CPU seconds of the job on these runs, and its league."""
    (folder / "job").mkdir(parents=True)
    runs, domains = [str(n) for n in range(len(weights))], [str(n) for n in range(weights.shape[1])]
    task = FitTask(
        study="regmix",
        fingerprint="f",
        domains=domains,
        runs=runs,
        weights=weights.tolist(),
        losses=losses.tolist(),
    )
    job = Job(folder / "job", folder, task.spec())
    wall, cpu = time.perf_counter(), cpu_seconds()
    run(job)
    times = {"wall_seconds": round(time.perf_counter() - wall, 1), "cpu_seconds": round(cpu_seconds() - cpu, 1)}
    (event,) = read_events(job.folder, LeagueFinished)
    kept = sum(path.stat().st_size for path in folder.rglob("*.npz"))
    sizes = {"journal_kb": round(len(json.dumps(event.to_dict())) / 1e3), "files_mb": round(kept / 1e6, 1)}
    return times | sizes | {"load": round(os.getloadavg()[0], 1)}, League.from_dict(event.league)


def main() -> None:
    """Measure both sizes and write the result files."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[2] / "shared" / "data" / "regmix"
    parser.add_argument("--data", type=Path, default=default, help="folder of the four CSV files")
    folder = parser.parse_args().data
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise Problem(f"Cannot measure with several threads a process. Run `{COMMAND}`.")
    weights, losses = read(folder, "train")
    report, pages = {}, []
    for title, (runs, domains, metrics, target) in SIZES.items():
        shares = weights[:, :domains]
        rows = np.flatnonzero(shares.sum(axis=1) > 0.05)[:runs]
        shares = shares[rows] / shares[rows].sum(axis=1, keepdims=True)
        with tempfile.TemporaryDirectory() as workspace:
            times, league = measure(shares, losses[rows, :metrics], Path(workspace))
        report[title] = {**times, "target_wall_seconds": target, "league": league.to_dict()}
        pages += page(title, report[title], league)
        print("\n".join(pages), flush=True)
    head = ["# The league's own cost", "", f"`{COMMAND}`, {date.today().isoformat()}, {os.cpu_count()} cores."]
    write_json(RESULTS / "league.json", {"command": COMMAND, "sizes": report})
    (RESULTS / "league.md").write_text("\n".join([*head, *pages]) + "\n")


def page(title: str, times: dict, league: League) -> list[str]:
    """One size as lines of Markdown."""
    lines = [
        "",
        f"## {title}",
        "",
        f"{times['wall_seconds']} s on the clock (to be under {times['target_wall_seconds']} s), "
        f"{times['cpu_seconds']} CPU s in two processes; load average of the machine at the end {times['load']}. "
        f"Journal {times['journal_kb']} kB, surrogates {times['files_mb']} MB. Default: {league.default}. "
        + Curve(**league.curve).verdict,
        "",
        "| surrogate | Spearman, 95% interval | margin over own share | regret | raw 50 / 80 / 95% | stability, L1 "
        "| repeats | CPU s a fit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in league.fitted:
        margin = "" if one.margin is None else "{:+.3f} ({:+.3f} to {:+.3f})".format(*one.margin)
        inside = " / ".join(f"{value:.0%}" for value in one.coverage.values())
        lines.append(
            f"| {SURROGATES[one.name].title} | {one.mean_spearman:.3f} ({one.interval[0]:.3f} to {one.interval[1]:.3f})"
            f" | {margin} | {one.regret:.3f} | {inside} | {one.stability:.3f} | {one.repeats} "
            f"| {one.seconds / one.repeats / league.folds:.2f} |"
        )
    return lines


if __name__ == "__main__":
    main()
