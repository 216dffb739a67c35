"""What tasks cost beside training: `OMP_NUM_THREADS=1 python -m benchmarks.task_cost`.

A stack of 8 proxies of the preset *demo*, as jobs train it on a CPU, is trained to its end, and then answers 500 items
of each kind. The figures are CPU seconds of one thread for 64 proxies, which are 8 such stacks. Generated answers take
up to 32 tokens and end at a new line, best of n draws 8 of them. Writes benchmarks/results/task_cost.json and .md.
"""

import json
import random
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch

from benchmarks.kinds import KINDS, build, prose
from engine import corpus as corpora
from engine.core.files import write_json
from engine.jobs.runs import TaskRun
from engine.metrics import item_metrics, task_values
from engine.proxies.answering import StackModels
from engine.proxies.cpu_matmul import processor
from engine.proxies.train import Training
from engine.spec.fidelity import PRESETS, group_size
from engine.tasks.cut import continuation
from engine.tasks.generated import generate
from engine.tasks.task import EvalTask, Item

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.task_cost"
RESULTS = Path(__file__).parent / "results"
PROXIES, ITEMS, FIDELITY = 64, 500, PRESETS["demo"]
STACK = group_size(FIDELITY.width)


def trained(corpus: corpora.Corpus) -> tuple[Training, float]:
    """A stack on random mixtures, and its CPU seconds."""
    rng, names = random.Random(1), list(corpus.domains)
    drawn = [[rng.expovariate(1) for _ in names] for _ in range(STACK)]
    runs = [TaskRun(id=str(g), weights=[x / sum(own) for x in own], seed=1) for g, own in enumerate(drawn)]
    began, training = time.process_time(), Training(FIDELITY, corpus, names, runs, "cpu")
    for _ in range(FIDELITY.steps):
        training.advance()
    return training, time.process_time() - began


def tasks() -> dict[str, EvalTask]:
    """500 items of each kind of answer."""
    rng, draws = random.Random(2), np.random.default_rng(2)
    pairs = [(rng.randrange(10, 100), rng.randrange(10, 100)) for _ in range(ITEMS)]
    sums = [Item(f"{a} + {b} = ?", answers=[f" {a + b}."]) for a, b in pairs]
    return {
        "choices of a few letters": EvalTask("task", ["accuracy"], generate("arithmetic", "s", ITEMS, 2).items, "sums"),
        "choices of 60 letters": EvalTask(
            "task", ["accuracy"], continuation("\n".join(prose()), draws, ITEMS), "prose"
        ),
        "exact match": EvalTask("task", ["exact_match"], sums, "sums"),
        "best of 8": EvalTask("task", ["best_of_n"], sums, "sums"),
    }


def measured() -> dict:
    """CPU seconds of training and of each task, for all proxies."""
    times = PROXIES / STACK
    with tempfile.TemporaryDirectory() as folder:
        corpus, _ = build(next(kind for kind in KINDS if kind.name == "mathematics"), Path(folder))
        training, seconds = trained(corpus)
        rows, models = [], StackModels(training.stack, corpus)
        for name, task in tasks().items():
            began = time.process_time()
            task_values(models, [(task, item_metrics(task))], Path(folder))
            rows.append({"task": name, "items": len(task.items), "cpu": times * (time.process_time() - began)})
    return {"training": times * seconds, "rows": rows}


def written(found: dict) -> str:
    lines = ["| of 64 proxies | items | CPU seconds | of training |", "|---|---|---|---|"]
    lines.append(f"| training, {FIDELITY.tokens:,} tokens each | | {found['training']:,.0f} | 1 |")
    for row in found["rows"]:
        part = row["cpu"] / found["training"]
        lines.append(f"| {row['task']} | {row['items']} | {row['cpu']:,.0f} | {part:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.set_num_threads(1)
    found = measured()
    write_json(
        RESULTS / "task_cost.json",
        {"command": COMMAND, "machine": processor(), "date": date.today().isoformat(), **found},
    )
    about = __doc__.split("\n\n")[1].replace("\n", " ").split(" Writes")[0]
    text = written(found)
    (RESULTS / "task_cost.md").write_text(
        f"# What tasks cost\n\n`{COMMAND}`, {date.today().isoformat()}.\n\n{about}\n\n{text}"
    )
    print(json.dumps(found), text, sep="\n")


if __name__ == "__main__":
    main()
