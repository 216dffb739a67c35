"""Commands that are killed at any moment: imports, backups, restores, merges. Each is whole afterwards, or not there.

    python -m benchmarks.kills --kills 400 --out benchmarks/results/kills.md

Every command is started, killed (SIGKILL) at a random moment of the time that it takes, and looked at: no study twice
or by halves, no archive or checkpoint that is there and cannot be read, nothing left over once the same command has
gone through. At the end a database rebuilt from the journals equals the live one. The page, the worker and jobs are
killed by `python -m benchmarks.chaos`.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from benchmarks.aftermath import tables
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.service.restore import restore
from store.database import Store
from store.from_journals import rebuild

ROOT = Path(__file__).parents[1]
RUNS = 400  # of an import
SIDE, LAYERS = 256, 12  # of the checkpoints that are merged


def command(root: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "engine", "--workspace", str(root / "workspace"), *words]


def told(root: Path, *words: str) -> subprocess.CompletedProcess:
    """A command that nobody kills."""
    return subprocess.run(command(root, *words), cwd=ROOT, capture_output=True, text=True, check=False)


def killed(root: Path, words: tuple[str, ...], within: float, chance: random.Random) -> bool:
    """Start a command and kill it at a random moment; whether it was still running."""
    process = subprocess.Popen(command(root, *words), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(chance.uniform(0, within))
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def prepare(root: Path) -> None:
    """A table of runs, two checkpoints with a merge file, and a workspace with a study."""
    rows = [f"r{i},{i / RUNS:.6f},{1 - i / RUNS:.6f},{2 + i / 999:.6f}" for i in range(RUNS)]
    (root / "runs.csv").write_text("\n".join(["run,share/web,share/code,loss", *rows]) + "\n")
    torch.manual_seed(0)
    for name in ("base", "one"):
        (root / name).mkdir()
        weights = {f"model.layers.{i}.mlp.up_proj.weight": torch.randn(SIDE, SIDE) for i in range(LAYERS)}
        save_file(weights, root / name / "model.safetensors", {"format": "pt"})
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": LAYERS}
        (root / name / "config.json").write_text(json.dumps({**config, "hidden_size": SIDE}))
    (root / "merge.yml").write_text(
        f"merge_method: linear\nmodels:\n- model: {root / 'base'}\n  parameters: {{weight: 0.5}}\n"
        f"- model: {root / 'one'}\n  parameters: {{weight: 0.5}}\ndtype: float32\n"
    )
    done = told(root, "import", "--study", "First", "--format", "flat", "--weights", str(root / "runs.csv"))
    if done.returncode:
        raise Problem(f"Cannot prepare: {done.stderr}")
    told(root, "backup", str(root / "first.tar.zst"))


def left_over(folder: Path) -> list[str]:
    """Hidden files and folders that a killed writer left."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def imports(root: Path, number: int, kill: Callable, wrong: list[str]) -> None:
    """After the kill the study is there once or not at all; asked again, it is there once and whole."""
    name = f"Import {number}"
    words = ("import", "--study", name, "--format", "flat", "--weights", str(root / "runs.csv"))
    kill(words)
    for again in (False, True):
        if again and (done := told(root, *words)).returncode:
            wrong.append(f"{name}: {done.stderr[-300:]}")
        there = [one for one in json.loads(told(root, "list").stdout) if one["name"] == name]
        if len(there) > 1 or (again and len(there) != 1) or any(one["runs"] != RUNS for one in there):
            wrong.append(f"{name} is there {len(there)} times, with {[one['runs'] for one in there]} runs")


def backups(root: Path, number: int, kill: Callable, wrong: list[str]) -> None:
    """The archive is whole or not there."""
    target = root / "out" / "b.tar.zst"
    kill(("backup", str(target)))
    whole_or_none(root, target, wrong)
    target.unlink(missing_ok=True)
    told(root, "backup", str(target))
    whole_or_none(root, target, wrong)
    if not target.exists() or left_over(root / "out"):
        wrong.append(f"backup {number} left {left_over(root / 'out')}")
    target.unlink(missing_ok=True)


def whole_or_none(root: Path, target: Path, wrong: list[str]) -> None:
    if target.exists():
        try:
            restore(target, root / "looked", "cancel")
        except Problem as problem:
            wrong.append(f"{target.name}: {problem}")
        shutil.rmtree(root / "looked", ignore_errors=True)


def restores(root: Path, number: int, kill: Callable, wrong: list[str]) -> None:
    """The workspace is whole or not there."""
    target, words = root / "out" / "again", ("restore", str(root / "first.tar.zst"), str(root / "out" / "again"))
    kill((*words, "--jobs", "cancel"))
    if not target.exists() and told(root, *words, "--jobs", "cancel").returncode:
        wrong.append(f"restore {number} could not be repeated")
    store = Store(Workspace.there(target))
    if len(store.rows("SELECT * FROM studies")) != 1 or left_over(root / "out"):
        wrong.append(f"restore {number}: {left_over(root / 'out')}")
    store.close()
    shutil.rmtree(target)


def merges(root: Path, number: int, kill: Callable, wrong: list[str]) -> None:
    """The checkpoint is whole or not there."""
    target, words = root / "out" / "merged", ("merge", str(root / "merge.yml"), str(root / "out" / "merged"))
    kill(words)
    if not target.exists() and told(root, *words).returncode:
        wrong.append(f"merge {number} could not be repeated")
    with safe_open(target / "model.safetensors", "pt") as file:
        if len(file.keys()) != LAYERS or left_over(root / "out"):
            wrong.append(f"merge {number}: {len(file.keys())} tensors, left {left_over(root / 'out')}")
    shutil.rmtree(target)


KINDS = {"imports": imports, "backups": backups, "restores": restores, "merges": merges}


def attack(kills: int, seed: int, root: Path) -> dict:
    """Kill commands, each kind in turn, until so many were killed; what was found."""
    chance, wrong, counts, tried = random.Random(seed), [], Counter(), Counter()
    prepare(root)
    (root / "out").mkdir()
    within = {}
    for kind, words in {
        "imports": ("import", "--study", "Timed", "--format", "flat", "--weights", str(root / "runs.csv")),
        "backups": ("backup", str(root / "timed.tar.zst")),
        "restores": ("restore", str(root / "first.tar.zst"), str(root / "timed"), "--jobs", "cancel"),
        "merges": ("merge", str(root / "merge.yml"), str(root / "timed-merge")),
    }.items():
        began = time.perf_counter()
        told(root, *words)
        within[kind] = time.perf_counter() - began
    while sum(counts.values()) < kills:
        for kind, look in KINDS.items():
            tried[kind] += 1

            def kill(words: tuple[str, ...], kind: str = kind) -> None:
                counts[kind] += killed(root, words, within[kind], chance)

            look(root, tried[kind], kill, wrong)
    workspace = Workspace.there(root / "workspace")
    store = Store(workspace)
    store.ingest()
    live = tables(store)
    store.close()
    events, _ = rebuild(workspace, root / "rebuilt.duckdb")
    fresh = Store(workspace, root / "rebuilt.duckdb")
    if tables(fresh) != live:
        wrong.append("a rebuilt database differs from the live one")
    fresh.close()
    return {"seed": seed, "kills": sum(counts.values()), "killed": dict(counts), "events": events, "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the report there, as Markdown")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        report = attack(options.kills, options.seed, Path(folder))
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        words = " ".join(sys.argv[1:])
        options.out.write_text(f"# Kills of commands\n\n`python -m benchmarks.kills {words}`\n\n```json\n{text}\n```\n")
    sys.exit(bool(report["wrong"]))


if __name__ == "__main__":
    main()
