"""Merges of proxies per second, stacked in memory compared with one by one through files; and latency of a fader.

`python -m benchmarks.merges WORKSPACE` on a workspace in which the demo has run. Ratios of one run; the results are in
benchmarks/results/merges.md.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from engine.core.workspace import Workspace
from engine.jobs.supervisor import CHILD_ENVIRONMENT
from engine.merging.config import read_config
from engine.merging.measuring.proxies import ProxyMerges
from engine.merging.merge import merge
from engine.proxies.evaluate import evaluate
from engine.proxies.model import stack
from engine.spec.merge import setting_of
from engine.spec.merge_file import mergekit_yaml
from engine.spec.merge_point import coefficients_of, merge_file, references
from engine.spec.tasks import Merging
from engine.studies.fits import fit_of
from engine.studies.measured import aggregate_of
from engine.studies.merges.live import Live
from engine.studies.merges.questions import merge_spec, task_of
from engine.surrogates.prediction import difference, predict
from store import studies
from store.database import Store

STACKED, APART, BY_COMMAND, MOVES = 128, 24, 3, 40
FEW = 2048  # validation tokens per domain: as proxies are looked at while they train


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.merges", description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--study", default="demo-merge")
    options = parser.parse_args()
    if not CHILD_ENVIRONMENT.items() <= os.environ.items():  # read by the allocator when a process starts
        os.execve(sys.executable, [*sys.orig_argv], os.environ | CHILD_ENVIRONMENT)
    store = Store(Workspace.open(options.workspace))
    study = studies.get(store, options.study)
    task = task_of(study, merge_spec(study))
    points = np.random.default_rng(0).uniform(0, 0.6, (STACKED, len(study.coordinates)))
    whole = study.spec["fidelity"]["eval_tokens"]
    rates = {
        f"{tokens:,} validation tokens per domain": throughput(task, store.workspace.root, points, tokens)
        for tokens in (whole, FEW)
    }
    waits = fader(store, study, task, points[:MOVES])
    print(json.dumps({"study": study.id, "experts": len(task.experts), **rates, **waits}, indent=1))


def throughput(task: Merging, root: Path, points: np.ndarray, tokens: int) -> dict:
    """CPU seconds a merge: in stacked batches; through a file, one by one, in one process; by two commands each."""
    merges = ProxyMerges(task, root, "cpu")
    size = merges.batch_size
    merges.measure(points[:size], tokens)
    began = time.process_time()
    for start in range(0, len(points), size):
        stacked = merges.measure(points[start : start + size], tokens)[0]
    in_batches = (time.process_time() - began) / len(points)
    paths = references(root, task)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        began = time.process_time()
        for k, point in enumerate(points[:APART]):
            apart = through_a_file(merges, paths, point, out / str(k), tokens)
        in_one_process = (time.process_time() - began) / APART
        began = cpu_of_children()
        for k, point in enumerate(points[:BY_COMMAND]):
            by_command(task, root, paths, point, out / f"command-{k}", tokens)
        by_commands = (cpu_of_children() - began) / BY_COMMAND
        began = cpu_of_children()
        for k, point in enumerate(points[:BY_COMMAND]):
            by_command(task, root, paths, point, out / f"mergekit-{k}", tokens, mergekit=True)
        by_mergekit = (cpu_of_children() - began) / BY_COMMAND
    assert np.isfinite(stacked).all() and np.isfinite(apart).all()
    return {
        "cpu_seconds_a_merge": {
            "in memory, stacked": round(in_batches, 4),
            "through a file, one process": round(in_one_process, 4),
            "by commands": round(by_commands, 3),
            "by mergekit's command": round(by_mergekit, 3),
        },
        "files_over_stacked": round(in_one_process / in_batches, 2),
        "commands_over_stacked": round(by_commands / in_batches, 1),
        "mergekit_over_stacked": round(by_mergekit / in_batches, 1),
    }


def cpu_of_children() -> float:
    """CPU seconds of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def through_a_file(merges: ProxyMerges, paths: list[str], point: np.ndarray, out: Path, tokens: int) -> np.ndarray:
    """Merge to disk, load, evaluate, all in this process."""
    config = out.with_suffix(".yml")
    config.write_text(merge_file(merges.merge, merges.experts, merges.names, point, paths))
    merge(read_config(config), out.with_suffix(".safetensors"))
    state = load_file(out.with_suffix(".safetensors"))
    alone = stack(merges.fidelity, merges.corpus.vocabulary, [state])
    return evaluate(alone, merges.corpus, merges.domains, tokens)[0]


def by_command(
    task: Merging, root: Path, paths: list[str], point: np.ndarray, out: Path, tokens: int, mergekit: bool = False
) -> None:
    """What a shell does: one command (ours, or mergekit's) merges to disk, another loads and evaluates."""
    merges = ProxyMerges(task, root, "cpu")
    config, file = out.with_suffix(".yml"), out.with_suffix(".safetensors")
    text = merge_file(merges.merge, merges.experts, merges.names, point, paths)
    if mergekit:
        setting = setting_of(merges.merge, merges.experts, merges.names, point)
        text = mergekit_yaml(merges.merge.method, paths[0], paths[1:], coefficients_of(setting, []), setting.knobs)
    config.write_text(text)
    ours = [sys.executable, "-m", "engine", "merge", str(config), str(file)]
    theirs = [str(Path(sys.executable).with_name("mergekit-pytorch")), str(config), str(out)]
    subprocess.run(theirs if mergekit else ours, check=True, capture_output=True)
    if mergekit:
        (file,) = out.glob("*.safetensors")
    code = (
        "import json, sys, pathlib, numpy, torch; from engine.merging.measuring.proxies import ProxyMerges;"
        "from engine.spec.tasks import Merging; torch.set_num_threads(1); "
        "merges = ProxyMerges(Merging(**json.loads(sys.argv[1])), pathlib.Path(sys.argv[2]), 'cpu');"
        "merges.measure(numpy.zeros((1, 1)), int(sys.argv[3]))"
    )
    placed = root / "experts" / "benchmark.safetensors"
    placed.write_bytes(file.read_bytes())
    try:
        own = {"base": "experts/benchmark.safetensors", "experts": {"self": "experts/benchmark.safetensors"}}
        told = json.dumps(task.to_dict() | own | {"names": ["self"]})
        subprocess.run([sys.executable, "-c", code, told, str(root), str(tokens)], check=True, capture_output=True)
    finally:
        placed.unlink()


def fader(store: Store, study: studies.Study, task: Merging, points: np.ndarray) -> dict:
    """Milliseconds until a moved fader's losses are predicted, and until they are measured, as the page asks."""
    fit, whole = fit_of(store, study), aggregate_of(store, study)
    predicted, measured = [], []
    for point in points:
        began = time.perf_counter()
        predict(fit.surrogate, point, whole.weights)
        difference(fit.surrogate, point, points[0], whole.weights)
        predicted.append(1000 * (time.perf_counter() - began))
    live, tokens = Live(store.workspace.root), study.spec["fidelity"]["eval_tokens"]
    try:
        began = time.perf_counter()
        while live.measure(task, points[0], tokens) is None:
            pass
        first = 1000 * (time.perf_counter() - began)
        for point in points[1:]:
            began = time.perf_counter()
            while live.measure(task, point, tokens) is None:
                pass
            measured.append(1000 * (time.perf_counter() - began))
    finally:
        live.close()
    return {
        "surrogate": fit.name,
        "predicted_ms_p50": round(float(np.median(predicted)), 1),
        "predicted_ms_p95": round(float(np.quantile(predicted, 0.95)), 1),
        "measured_ms_p50": round(float(np.median(measured)), 1),
        "measured_ms_p95": round(float(np.quantile(measured, 0.95)), 1),
        "first_measured_ms": round(first, 1),
    }


if __name__ == "__main__":
    main()
