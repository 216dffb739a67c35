"""Continuing from a checkpoint, and merges of what was continued: `OMP_NUM_THREADS=1 python -m benchmarks.continued`
(6 CPU minutes).

Proxies of the demo's recipe and corpus, SEEDS seeds. A base is trained on the natural mixture. Then, with the same
tokens again: from it, with the rate risen and fallen once more, on the natural mixture, on an even mixture of TARGETS
that keeps GENERAL of the natural one, and with a third of the tokens on each target alone, at half the rate, which task
arithmetic merges at LAMBDAS; and from random weights. Last, the same experts trained with sharpness-aware minimisation.
All are compared in the mean loss of the targets, and of the other domains that count, in bits per byte, with 95%
intervals by Student's t over seeds. The coefficient of merges is the one that is best on the targets, on average over
seeds. Writes benchmarks/results/continued.json and continued.md.
"""

import os
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch

from benchmarks.switches import DEMO, RESULTS, SEEDS, Demo, effect
from engine.core.files import write_json
from engine.jobs.runs import TaskRun
from engine.proxies.evaluate import evaluate
from engine.proxies.model import Stack
from engine.proxies.train import Training
from engine.spec.fidelity import Fidelity

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.continued"
TARGETS = 3  # the domains with the most text that count
GENERAL = 0.25
RADIUS = 0.05  # of sharpness-aware minimisation
LAMBDAS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
RATE = 0.5  # of experts, in a proxy's: the default of merge studies


class Continued(Demo):
    """The demo, with models that begin with others. A model is a flat buffer (SEEDS, P), one row for each seed."""

    def __init__(self, folder: Path):
        super().__init__(folder)
        order = np.argsort(-self.prior * (self.counts > 0))
        self.targets = order[:TARGETS]
        self.others = np.array([d for d in range(len(self.domains)) if self.counts[d] and d not in self.targets])

    def flat(
        self, fidelity: Fidelity, shares: np.ndarray | None = None, start: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Models of a mixture (D,), by default the natural one, from a start or from random weights."""
        shares = self.prior if shares is None else shares
        runs = [TaskRun(id=f"{seed}", weights=shares.tolist(), seed=seed) for seed in range(SEEDS)]
        training = Training(fidelity, self.corpus, self.domains, runs, "cpu")
        if start is not None:
            with torch.no_grad():
                training.stack.flat.copy_(start)
        while training.step < fidelity.steps:
            training.advance()
        return training.stack.flat.detach().clone()

    def losses(self, flat: torch.Tensor) -> np.ndarray:
        """(SEEDS, D) the validation losses of models."""
        stack = Stack(DEMO, self.corpus.vocabulary, [0] * SEEDS, "cpu")
        with torch.no_grad():
            stack.flat.copy_(flat)
        found: np.ndarray = evaluate(stack, self.corpus, self.domains, DEMO.eval_tokens)[0]
        return found

    def even(self) -> np.ndarray:
        """(D,) an even mixture of the targets that keeps some of the natural one."""
        shares = GENERAL * self.prior
        shares[self.targets] += (1 - GENERAL) / TARGETS
        return shares

    def experts(self, base: torch.Tensor, fidelity: Fidelity) -> list[torch.Tensor]:
        """One model for each target, from the base, with its part of the tokens."""
        own = replace(fidelity, tokens=fidelity.tokens // TARGETS, learning_rate=RATE * fidelity.learning_rate)
        return [self.flat(own, np.eye(len(self.domains))[target], base) for target in self.targets]

    def merged(self, base: torch.Tensor, experts: list[torch.Tensor]) -> tuple[float, np.ndarray]:
        """The coefficient of task arithmetic that is best on the targets, and the losses (SEEDS, D) there."""
        moved = sum(expert - base for expert in experts)
        found = {one: self.losses(base + one * moved) for one in LAMBDAS}
        best = min(found, key=lambda one: found[one][:, self.targets].mean())
        return best, found[best]


def models(demo: Continued) -> dict[str, np.ndarray]:
    """The losses (SEEDS, D) of every way."""
    base = demo.flat(DEMO)
    sharp = replace(DEMO, sharpness=RADIUS)
    found = {
        "the base": demo.losses(base),
        "natural, from the base": demo.losses(demo.flat(DEMO, start=base)),
        "natural, random weights, all tokens": demo.losses(demo.flat(replace(DEMO, tokens=2 * DEMO.tokens))),
        "targets, from the base": demo.losses(demo.flat(DEMO, demo.even(), base)),
        "targets, random weights": demo.losses(demo.flat(DEMO, demo.even())),
    }
    for name, fidelity in (("merge of experts", DEMO), ("merge of experts, sharpness-aware", sharp)):
        weight, losses = demo.merged(base, demo.experts(base, fidelity))
        found[f"{name}, {weight:g}"] = losses
    return found


def rows(demo: Continued, found: dict[str, np.ndarray]) -> list[dict]:
    """Every way beside the base, and the comparisons that are asked about."""
    names = list(found)
    pairs = [(names[0], name) for name in names[1:]]
    pairs += [(names[2], names[1]), (names[4], names[3]), (names[5], names[3]), (names[5], names[6])]
    told = []
    for without, name in pairs:
        own = {
            what: effect(found[without][:, places].mean(axis=1), found[name][:, places].mean(axis=1))
            for what, places in (("targets", demo.targets), ("others", demo.others))
        }
        told.append({"of": name, "minus": without, **own})
    return told


def page(demo: Continued, found: list[dict]) -> str:
    names = ", ".join(demo.domains[target] for target in demo.targets)
    lines = [
        "# Continuing from a checkpoint",
        "",
        f"`{COMMAND}`, {date.today()}, {os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}.",
        "",
        f"Proxies of the demo's recipe, {SEEDS} seeds. The base read {DEMO.tokens:,} tokens of the natural mixture, "
        f"each way from it as many again. Targets: {names}, evenly, with {GENERAL:.0%} of the natural mixture beside "
        "them; experts have a third of the tokens each, on one target alone, at half the rate, and are merged by task "
        "arithmetic at the "
        f"coefficient that is best on the targets, of {', '.join(f'{one:g}' for one in LAMBDAS)}. Differences in the "
        "mean loss in bits per byte, with 95% intervals over seeds; one that holds 0 is none.",
        "",
        "| of | minus | targets | | other domains | |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        cells = [
            f"{one[what]['effect']:+.4f} ± {one[what]['half']:.4f} | {said(one[what])}"
            for what in ("targets", "others")
        ]
        lines.append(f"| {one['of']} | {one['minus']} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def said(one: dict) -> str:
    return "no effect" if one["none"] else "better" if one["effect"] < 0 else "worse"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        demo = Continued(Path(folder))
        found = rows(demo, models(demo))
        write_json(RESULTS / "continued.json", found)
        (RESULTS / "continued.md").write_text(page(demo, found))


if __name__ == "__main__":
    main()
