"""What starting costs: `python -m benchmarks.starts`, under a minute.

CPU and wall seconds of `mixdesk --help`, of `mixdesk list` on a workspace with one small study (owned by the command
itself, and through a page that serves it), of a worker's `--help`, and of a page until it answers; each beside
`python -c "import argparse, json"`, which any command line of Python has to pay. Medians of REPEATS, in turn, so that
whatever else runs meets all alike. Writes results/starts.json and .md.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from benchmarks.commands import engine
from benchmarks.pages import answers, cpu_seconds
from engine.core.files import write_json
from engine.proxies.cpu_matmul import processor

ROOT, RESULTS = Path(__file__).parents[1], Path(__file__).parent / "results"
COMMAND, REPEATS = "python -m benchmarks.starts", 9
PORT = 8979
PEER = "python -c 'import argparse, json'"
RUNS = "run,share/web,share/code,metric/loss\na,0.5,0.5,3\nb,0.8,0.2,2\nc,0.3,0.7,1\n"


def once(words: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of a process, from its start to its end."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)} failed: the reason is above.")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


@contextmanager
def page(workspace: Path) -> Iterator[tuple[float, float]]:
    """CPU and wall seconds until a page answers, which it does while the block lasts."""
    environment = os.environ | {"MIXDESK_WORKSPACE": str(workspace), "PORT": str(PORT), "MIXDESK_DEMO": "0"}
    began, quiet = time.perf_counter(), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-m", "dashboard"], cwd=ROOT, env=environment, **quiet) as process:
        try:
            while not answers(PORT):
                if process.poll() is not None:
                    sys.exit("The page did not start.")
                time.sleep(0.01)
            yield cpu_seconds(process.pid), time.perf_counter() - began
        finally:
            process.terminate()


def measured(workspace: Path) -> dict[str, dict[str, float]]:
    """What is started -> its medians of CPU and wall seconds, and its CPU seconds over the peer's."""
    listing = ["-m", "engine", "--workspace", str(workspace), "list"]
    starts = {
        PEER: ["-c", "import argparse, json"],
        "mixdesk --help": ["-m", "engine", "--help"],
        "mixdesk list, by itself": listing,
        "python -m engine.worker --help": ["-m", "engine.worker", "--help"],
    }
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(REPEATS):
        for name, words in starts.items():
            found[name].append(once(words))
        with page(workspace) as seconds:
            found["mixdesk list, through a page"].append(once(listing))
            found["python -m dashboard, until it answers"].append(seconds)
    medians = {name: [statistics.median(side) for side in zip(*pairs, strict=True)] for name, pairs in found.items()}
    return {name: {"cpu": cpu, "wall": wall, "ratio": cpu / medians[PEER][0]} for name, (cpu, wall) in medians.items()}


def text(rows: dict[str, dict[str, float]]) -> str:
    lines = [
        "# What starting costs",
        "",
        f"`{COMMAND}`, {date.today()}, {processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians "
        f"of {REPEATS} starts in turn.",
        "",
        "| start | CPU seconds | wall seconds | CPU, over the first row's |",
        "|---|---|---|---|",
    ]
    lines += [f"| {name} | {one['cpu']:.3f} | {one['wall']:.3f} | {one['ratio']:.1f} |" for name, one in rows.items()]
    return "\n".join([*lines, ""])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace, runs = Path(folder) / "workspace", Path(folder) / "runs.csv"
        runs.write_text(RUNS)
        engine(workspace, "import", "--study", "Small", "--format", "flat", "--weights", str(runs))
        rows = measured(workspace)
    facts = {"command": COMMAND, "date": f"{date.today()}", "machine": processor(), "load": os.getloadavg()[0]}
    write_json(RESULTS / "starts.json", {**facts, "rows": rows})
    (RESULTS / "starts.md").write_text(text(rows))
    print(text(rows))


if __name__ == "__main__":
    main()
