"""What each switch of training does on the demo: `OMP_NUM_THREADS=1 python -m benchmarks.switches` (4 CPU minutes).

Proxies of the demo's recipe on the natural mixture of its corpus, with a switch and without, from the same SEEDS seeds:
batches of one domain each, sharpness-aware minimisation, and muP at twice the width, where it differs from the table of
rates. Effect: with minus without, in the mean loss of the domains, junk aside, in bits per byte, with its 95% interval
by Student's t over seeds. Cost: CPU time of training with it, in that without. Writes benchmarks/results/switches.json
and switches.md.
"""

import os
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from engine import corpus as corpora
from engine.core.files import write_json
from engine.corpus import CorpusSpec
from engine.jobs.runs import TaskRun
from engine.proxies.evaluate import evaluate
from engine.proxies.model import Stack
from engine.proxies.train import Training
from engine.space.baselines import natural
from engine.spec.fidelity import BASE, LEARNING_RATES, PRESETS, Fidelity, sized

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.switches"
RESULTS = Path(__file__).parent / "results"
SEEDS = 5
DEMO, JUNK = PRESETS["demo"], "junk"
WIDE = sized(64, tokens=DEMO.tokens, eval_tokens=DEMO.eval_tokens)
SWITCHES = {  # name -> without it, with it
    "unmixed batches": (DEMO, replace(DEMO, batches="unmixed")),
    "sharpness .05": (DEMO, replace(DEMO, sharpness=0.05)),
    "sharpness .2": (DEMO, replace(DEMO, sharpness=0.2)),
    "muP at width 64": (WIDE, replace(WIDE, mup=True, learning_rate=LEARNING_RATES[BASE])),
}


class Demo:
    """The demo's corpus. counts (D,): how much each domain's loss counts."""

    def __init__(self, folder: Path):
        corpora.build(CorpusSpec(), folder / "corpus")
        self.corpus = corpora.load(folder / "corpus")
        self.domains = self.corpus.domains
        tokens = [self.corpus.manifest["domains"][name]["train_tokens"] for name in self.domains]
        self.prior = natural(np.array(tokens))
        counted = np.array([name != JUNK for name in self.domains], float)
        self.counts = counted / counted.sum()

    def trained(self, fidelity: Fidelity) -> Stack:
        """Proxies of the natural mixture, one for each seed."""
        runs = [TaskRun(id=f"{seed}", weights=self.prior.tolist(), seed=seed) for seed in range(SEEDS)]
        training = Training(fidelity, self.corpus, self.domains, runs, "cpu")
        while training.step < fidelity.steps:
            training.advance()
        return training.stack

    def natural(self, fidelity: Fidelity) -> tuple[np.ndarray, float]:
        """(SEEDS,) mean losses of the domains that count, on the natural mixture, and the CPU seconds of it."""
        began = time.process_time()
        found = evaluate(self.trained(fidelity), self.corpus, self.domains, DEMO.eval_tokens)[0] @ self.counts
        return found, time.process_time() - began


def effect(without: np.ndarray, with_it: np.ndarray) -> dict:
    """The mean difference and half its 95% interval, of values from the same seeds."""
    gap = with_it - without
    half = float(student.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / len(gap) ** 0.5)
    mean = float(gap.mean())
    return {"without": float(without.mean()), "effect": mean, "half": half, "none": abs(mean) <= half}


def rows(demo: Demo) -> list[dict]:
    """A row for each switch."""
    plain: dict[Fidelity, tuple[np.ndarray, float]] = {}
    found = []
    for name, (off, on) in SWITCHES.items():
        if off not in plain:
            plain[off] = demo.natural(off)
        values, seconds = demo.natural(on)
        found.append({"switch": name, "cost": seconds / plain[off][1], **effect(plain[off][0], values)})
    return found


def page(found: list[dict]) -> str:
    lines = [
        "# Switches of training",
        "",
        f"`{COMMAND}`, {date.today()}, {os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}.",
        "",
        f"Proxies of the demo's recipe on its natural mixture, {SEEDS} seeds: with a switch minus without, in the mean "
        "loss of the domains that count, in bits per byte, with its 95% interval over seeds. Cost: CPU time with it "
        "over that without. An effect whose interval holds 0 is none.",
        "",
        "| switch | without | effect, 95% | | cost |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        said = "no effect" if one["none"] else "better" if one["effect"] < 0 else "worse"
        lines.append(
            f"| {one['switch']} | {one['without']:.4f} | {one['effect']:+.4f} ± {one['half']:.4f} | "
            f"{said} | {one['cost']:.2f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = rows(Demo(Path(folder)))
    write_json(RESULTS / "switches.json", found)
    (RESULTS / "switches.md").write_text(page(found))


if __name__ == "__main__":
    main()
