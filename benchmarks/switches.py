"""What each switch of training does on the demo: `OMP_NUM_THREADS=1 python -m benchmarks.switches` (8 CPU minutes).

Proxies of the demo's recipe on the natural mixture of its corpus, with a switch and without, from the same SEEDS seeds:
batches of one domain each, sharpness-aware minimisation, and muP at twice the width, where it differs from the table of
rates. Effect: with minus without, in the mean loss of the domains, junk aside, in bits per byte, with its 95% interval
by Student's t over seeds. Cost: of training with it, in that without. Then experts: a base on the natural mixture, and
from it one expert per domain (half the tokens at half the rate, as merge studies have them), with and without
sharpness-aware minimisation in all of them, and the mean loss of their average. Writes benchmarks/results/switches.json
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
from engine.proxies.model import stack
from engine.proxies.train import Training
from engine.space.baselines import natural
from engine.spec.fidelity import BASE, LEARNING_RATES, PRESETS, Fidelity, sized

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.switches"
RESULTS = Path(__file__).parent / "results"
SEEDS, MERGES = 5, 3  # seeds of each switch, and of the experts
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

    def trained(self, fidelity: Fidelity, shares: list[np.ndarray], seeds: list[int], start=None) -> Training:
        """A stack of runs, one for each of the shares and seeds, trained to its end."""
        runs = [
            TaskRun(id=f"{place}", weights=one.tolist(), seed=seed)
            for place, (one, seed) in enumerate(zip(shares, seeds, strict=True))
        ]
        training = Training(fidelity, self.corpus, self.domains, runs, "cpu")
        if start is not None:
            training.stack.load([start] * len(runs))
        while training.step < fidelity.steps:
            training.advance()
        return training

    def loss(self, models) -> np.ndarray:
        """(G,) the mean loss of the domains that count."""
        found: np.ndarray = evaluate(models, self.corpus, self.domains, DEMO.eval_tokens)[0] @ self.counts
        return found

    def natural(self, fidelity: Fidelity) -> tuple[np.ndarray, float]:
        """(SEEDS,) losses on the natural mixture, and the CPU seconds that they took."""
        began = time.process_time()
        training = self.trained(fidelity, [self.prior] * SEEDS, list(range(SEEDS)))
        return self.loss(training.stack), time.process_time() - began

    def merged(self, fidelity: Fidelity, seed: int) -> tuple[float, float]:
        """The mean loss of the average of a base's experts, and of the experts themselves, each over all domains."""
        base = self.trained(fidelity, [self.prior], [seed]).stack.member(0)
        short = replace(fidelity, tokens=fidelity.tokens // 2, learning_rate=fidelity.learning_rate / 2)
        shares = list(np.eye(len(self.domains)))
        experts = self.trained(short, shares, [seed] * len(shares), base).stack
        states = [experts.member(place) for place in range(experts.members)]
        soup = {name: sum(one[name] for one in states) / len(states) for name in base}
        return float(self.loss(stack(fidelity, self.corpus.vocabulary, [soup]))[0]), float(self.loss(experts).mean())


def effect(without: np.ndarray, with_it: np.ndarray) -> dict:
    """The mean difference and half its 95% interval, of values from the same seeds."""
    gap = with_it - without
    half = float(student.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / len(gap) ** 0.5)
    mean = float(gap.mean())
    return {"without": float(without.mean()), "effect": mean, "half": half, "none": abs(mean) <= half}


def rows(demo: Demo) -> list[dict]:
    """A row for each switch, and for merges of experts."""
    plain: dict[Fidelity, tuple[np.ndarray, float]] = {}
    found = []
    for name, (off, on) in SWITCHES.items():
        if off not in plain:
            plain[off] = demo.natural(off)
        values, seconds = demo.natural(on)
        cost = seconds / plain[off][1]
        found.append({"switch": name, "on": "natural mixture", "cost": cost, **effect(plain[off][0], values)})
    sharp = SWITCHES["sharpness .2"]
    soups = np.array([[demo.merged(one, seed) for seed in range(MERGES)] for one in sharp])  # (2, MERGES, 2)
    for place, on in enumerate(("average of experts", "experts, mean")):
        row = {"switch": "sharpness .2", "on": on, "cost": found[2]["cost"]}
        found.append(row | effect(soups[0, :, place], soups[1, :, place]))
    return found


def page(found: list[dict]) -> str:
    lines = [
        "# Switches of training",
        "",
        f"`{COMMAND}`, {date.today()}, {os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}.",
        "",
        f"Proxies of the demo's recipe, {SEEDS} seeds ({MERGES} for experts): with a switch minus without, in the mean "
        "loss of the domains that count, in bits per byte, with its 95% interval over seeds. Cost: CPU time with it "
        "over that without. An effect whose interval holds 0 is none.",
        "",
        "| switch | measured on | without | effect, 95% | | cost |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        said = "no effect" if one["none"] else "better" if one["effect"] < 0 else "worse"
        lines.append(
            f"| {one['switch']} | {one['on']} | {one['without']:.4f} | {one['effect']:+.4f} ± {one['half']:.4f} | "
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
