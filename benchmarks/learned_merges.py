"""Losses and cost of data-driven merges, next to task arithmetic at 0.3 and the best run.

python benchmarks/learned_merges.py --workspace DIR --study NAME [--quick N]: of a finished merge study; each method in
its own defaults, in this process, on one thread. Nothing is written. Losses are means over domains, bits per byte.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from engine.core.workspace import Workspace
from engine.merging.learning.base import Run
from engine.merging.learning.job import function_of, measured
from engine.spec.merge_learners import LEARNERS, checked_settings
from engine.studies.merges.questions import merge_spec, task_of
from store import runs, studies
from store.database import Store


def family_of(options):
    """The study's family, and the losses of its runs: {label: mean}."""
    store = Store(Workspace.open(options.workspace))
    study = studies.get(store, options.study)
    task = task_of(study, merge_spec(study))
    found = runs.measured(store, study.id)
    store.close()
    if task.fidelity is None:
        from engine.merging.learning.llms import ModelFamily as Family
    else:
        from engine.merging.learning.proxies import ProxyFamily as Family
    return Family(task, Path(options.workspace), "cpu"), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--study", required=True)
    parser.add_argument("--quick", type=int, default=1, help="divide steps and windows by so much")
    parser.add_argument("--only", nargs="*", default=list(LEARNERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    family, found = family_of(options)
    merged = [i for i, role in enumerate(found.roles) if role != "expert"]
    means = {i: float(np.mean(found.losses[i])) for i in merged}
    usual = next(i for i in merged if found.labels[i] == "task arithmetic at 0.3")
    best = min(means, key=means.get)
    size = sum(value.numel() for value in family.base.values())
    print(f"{len(family.experts)} experts of {size:,} weights, {len(merged)} merges measured")
    print(f"{'task arithmetic at 0.3':26} {means[usual]:.4f}\n{'best run':26} {means[best]:.4f}")
    for name in options.only:
        learner, knobs = LEARNERS[name], checked_settings(name, {})
        for key in ("steps", "windows"):
            if key in knobs:
                knobs[key] = max(2, knobs[key] // options.quick)
        usual_weight = 1 / len(family.experts) if learner.large else 1.0
        run = Run(seed=knobs.pop("seed"), weight=(usual_weight,) * len(family.experts))
        began, cpu = time.monotonic(), time.process_time()
        made = function_of(learner)(family, run, **learner.fixed, **knobs)
        learning = time.process_time() - cpu
        losses, errors = measured(family, made, run.progress)
        error = float(np.sqrt(np.sum(errors**2)) / len(errors))
        print(
            f"{name:26} {losses.mean():.4f} ± {error:.4f}  against 0.3: {losses.mean() - means[usual]:+.4f}  "
            f"CPU {learning:.1f} s to learn, {time.process_time() - cpu - learning:.1f} s to measure "
            f"({time.monotonic() - began:.1f} s in all)  {made.note}",
            flush=True,
        )


if __name__ == "__main__":
    main()
