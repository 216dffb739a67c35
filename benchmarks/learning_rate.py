"""Which peak learning rate suits a proxy of each width: `python -m benchmarks.learning_rate CORPUS_FOLDER`.

Natural mixture, two seeds, half-log grid, the sketch's budget. Writes benchmarks/learning_rate.json (its best
column is the table LEARNING_RATES of engine/spec/fidelity.py) and the line-up benchmarks/results/learning_rate.md.
"""

import dataclasses
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from engine import corpus as corpora
from engine.jobs.runs import TaskRun
from engine.proxies.evaluate import evaluate
from engine.proxies.train import Training
from engine.spec.fidelity import HEAD, PRESETS

WIDTHS, RATES, SEEDS = (32, 64, 128), (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), (1, 2)


def measure(corpus, width: int, rate: float) -> list[float | None]:
    """The loss of each seed, bits per byte averaged over domains; None for one that diverged."""
    fidelity = dataclasses.replace(
        PRESETS["sketch"], width=width, heads=width // HEAD, learning_rate=rate, eval_tokens=16_384
    )
    sizes = np.array([len(corpus.train(domain)) for domain in corpus.domains], dtype=float)
    runs = [TaskRun(id=str(seed), weights=(sizes / sizes.sum()).tolist(), seed=seed) for seed in SEEDS]
    training = Training(fidelity, corpus, corpus.domains, runs, "cpu")
    while training.step < fidelity.steps:
        training.advance()
    losses, _ = evaluate(training.stack, corpus, corpus.domains, fidelity.eval_tokens)  # (G, D)
    return [float(loss) if alive else None for loss, alive in zip(losses.mean(1), training.alive, strict=True)]


def markdown(found: dict) -> str:
    """The line-up as a table: one row per width, one column per rate, the mean over seeds."""
    lines = ["# Learning rates of proxies", "", f"`{found['command']}`, {found['date']}, one CPU core.", ""]
    lines += [
        f"Corpus {found['corpus']}: {', '.join(found['domains'])}. Mean bits per byte, {len(SEEDS)} seeds.",
        "",
    ]
    lines += [
        "| width | " + " | ".join(f"{rate:g}" for rate in RATES) + " | best |",
        "|---" * (len(RATES) + 2) + "|",
    ]
    for width, row in found["losses"].items():
        cells = [f"{np.mean(losses):.3f}" if None not in losses else "diverged" for losses in row.values()]
        lines.append(f"| {width} | " + " | ".join(cells) + f" | {found['best'][width]:g} |")
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Sweep, print, write."""
    torch.set_num_threads(1)
    corpus, start = corpora.load(folder), time.process_time()
    losses = {}
    for width in WIDTHS:
        losses[str(width)] = {f"{rate:g}": measure(corpus, width, rate) for rate in RATES}
        print(width, losses[str(width)], flush=True)
    finite = {w: {r: np.mean(v) for r, v in row.items() if None not in v} for w, row in losses.items()}
    found = {
        "command": "python -m benchmarks.learning_rate",
        "date": datetime.now(UTC).date().isoformat(),
        "corpus": corpus.name,
        "domains": list(corpus.domains),
        "cpu_seconds": round(time.process_time() - start, 1),
        "losses": losses,
        "best": {width: float(min(row, key=row.get)) for width, row in finite.items()},
    }
    here = Path(__file__).parent
    (here / "results").mkdir(exist_ok=True)
    (here / "learning_rate.json").write_text(json.dumps(found, indent=1) + "\n")
    (here / "results" / "learning_rate.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
