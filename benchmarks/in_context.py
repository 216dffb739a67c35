"""The in-context surrogate against what it is to beat: `OMP_NUM_THREADS=1 python -m benchmarks.in_context`.

Known answers first: worlds that are linear, where the exact posterior is ridge with the right penalty, and draws of a
Gaussian process whose kernel is known; then held-out worlds of its own prior, by family; then real runs that nothing
was tuned on: RegMix's (random subsets, the paper's 256 unseen runs) and SlimPajama's 60 mixtures at 122M weights. Log
score: minus the mean log density of measured losses, in spreads of the test runs, lower is better; intervals are raw,
as fitted. Paired differences to the Gaussian process are over subsets that overlap, so their errors are too small if
anything. Writes benchmarks/results/in_context.md.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks import regmix, sizes
from engine.core.errors import Problem
from engine.league import rank_correlations
from engine.spec.statistics import ci_half_width
from engine.surrogates import SURROGATES
from engine.surrogates.conditions import Conditions
from engine.surrogates.in_context.forward import WEIGHTS
from engine.surrogates.in_context.prior import FAMILIES, tables

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.in_context"
RESULTS = Path(__file__).parent / "results"
NAMES = ("in_context", "gp_rational", "around_law")
SEEDS = 10
REGMIX = (16, 24, 32, 64)
SLIM = (12, 24)
DOMAINS, ASKED = 7, 200  # of the worlds whose answer is known
KNOWN = (8, 16, 32, 64)
NOISE = 0.05  # of the losses' spread there
LENGTH = 0.5  # of the known process, in root shares
HELD_OUT = 12  # studies of each family
OWN = 24  # runs of these

Row = tuple[float, ...]


def log_score(measured: np.ndarray, mean: np.ndarray, std: np.ndarray) -> float:
    """Mean over points and metrics (N, M), in spreads of what was measured."""
    spread = measured.std(axis=0)
    return float((((measured - mean) / std) ** 2 / 2 + np.log(std / spread) + np.log(2 * np.pi) / 2).mean())


def judged(name: str, train: tuple, test: tuple) -> Row:
    """Spearman x 100 mean of the metrics, log score, percent inside 95%, CPU seconds of a fit."""
    started = time.process_time()
    fitted = SURROGATES[name].fit(*train)
    seconds = time.process_time() - started
    mean, std = fitted.predict(test[0])
    metrics = test[1].shape[1]
    ranks = 100 * rank_correlations(test[1], mean, np.full(metrics, 1 / metrics))
    inside = 100 * (np.abs(test[1] - mean) <= ci_half_width(std)).mean()
    return float(ranks[1]), log_score(test[1], mean, std), float(inside), seconds


def on_regmix(folder: Path, count: int) -> dict[str, list[Row]]:
    train, test = regmix.read(folder, "train"), regmix.read(folder, "test")
    rows = [regmix.subset(count, seed) for seed in range(SEEDS)]
    return {name: [judged(name, (train[0][one], train[1][one]), test) for one in rows] for name in NAMES}


def on_slimpajama(count: int) -> dict[str, list[Row]]:
    runs = sizes.read()
    losses = runs.losses[runs.rows(sizes.SMALL, np.arange(len(runs.mixtures)))]
    orders = [np.random.default_rng(seed).permutation(len(losses)) for seed in range(SEEDS)]
    pairs = [(one[:count], one[count:]) for one in orders]
    return {
        name: [judged(name, *((runs.mixtures[part], losses[part]) for part in pair)) for pair in pairs]
        for name in NAMES
    }


Posterior = tuple[np.ndarray, np.ndarray]


def exact(kernel: Callable, runs: np.ndarray, losses: np.ndarray, asked: np.ndarray, noise: float) -> Posterior:
    """Mean and standard deviation (N, 1) of a run at points asked, where the kernel and the noise are known."""
    among = kernel(runs, runs) + noise**2 * np.eye(len(runs))
    across = kernel(runs, asked)
    solved = np.linalg.solve(among, across)
    variance = np.diag(kernel(asked, asked)) - (across * solved).sum(axis=0) + noise**2
    return (solved.T @ losses), np.sqrt(variance)[:, None]


def linear(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Losses are linear in the shares, slopes from a standard normal: the posterior is that of ridge."""
    return one @ other.T


def smooth(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A Gaussian kernel of root shares."""
    squares = ((np.sqrt(one)[:, None] - np.sqrt(other)[None]) ** 2).sum(axis=2)
    return np.exp(-squares / LENGTH**2 / 2)


def divergence(true: Posterior, found: Posterior) -> float:
    """Mean Kullback-Leibler divergence of a found normal from the exact one."""
    (mean, std), (own, wide) = true, found
    return float((np.log(wide / std) + (std**2 + (mean - own) ** 2) / (2 * wide**2) - 0.5).mean())


def on_known(kernel: Callable, count: int) -> dict[str, list[Row]]:
    """Root mean square error of the mean function in parts of its spread, divergence, percent inside 95%."""
    found: dict[str, list[Row]] = {name: [] for name in ("exact", *NAMES)}
    for seed in range(2 * SEEDS):
        rng = np.random.default_rng([seed, count])
        points = rng.dirichlet(np.ones(DOMAINS), count + ASKED)
        truth = np.linalg.cholesky(kernel(points, points) + 1e-8 * np.eye(len(points))) @ rng.standard_normal(
            len(points)
        )
        noise = NOISE * truth.std()
        measured = (truth + noise * rng.standard_normal(len(truth)))[:, None]
        runs, asked = points[:count], points[count:]
        best = exact(kernel, runs, measured[:count], asked, noise)
        for name in found:
            own = best if name == "exact" else SURROGATES[name].fit(runs, measured[:count]).predict(asked)
            error = np.sqrt(np.mean((own[0][:, 0] - truth[count:]) ** 2)) / truth.std()
            inside = 100 * (np.abs(measured[count:] - own[0]) <= ci_half_width(own[1])).mean()
            found[name].append((float(error), divergence(best, own), float(inside)))
    return found


def on_own(family: str) -> dict[str, list[Row]]:
    """Log score and percent inside 95% on held-out worlds of a family, half of it at the far side."""
    found: dict[str, list[Row]] = {name: [] for name in NAMES}
    for seed in range(HELD_OUT):
        rng = np.random.default_rng([2**32, seed, list(FAMILIES).index(family)])
        one = tables(1, OWN, int(rng.integers(3, 20)), family, rng)
        given = one.shares[0], one.losses.T, 0, Conditions(one.repeats[0], np.ones_like(one.shares[0]))
        for name in NAMES:
            mean, std = SURROGATES[name].fit(*given).predict(one.asked[0])
            off = np.abs(one.answers.T - mean)
            density = log_score(one.answers.T, mean, std)
            found[name].append((min(density, 20.0), float(100 * (off <= ci_half_width(std)).mean())))
    return found


def speed(train: tuple) -> dict[str, float]:
    """CPU seconds of a fit on 64 runs x 13 metrics, of 512 mixtures with intervals, and of one."""
    rows = regmix.subset(64, 0)
    points = np.random.default_rng(0).dirichlet(np.ones(train[0].shape[1]), 512)
    started = time.process_time()
    fitted = SURROGATES["in_context"].fit(train[0][rows], train[1][rows])
    times = [time.process_time() - started]
    for count in (512, 1):
        fitted.predict(points[:2])
        started = time.process_time()
        fitted.predict(points[:count])
        times.append(time.process_time() - started)
    return dict(zip(("fit of 64 runs", "512 mixtures", "one mixture"), times, strict=True))


def table(title: str, head: tuple[str, ...], found: dict[str, list[Row]]) -> list[str]:
    """Means over subsets, and the paired difference to the Gaussian process with its standard error."""
    lines = ["", f"## {title}", "", "| surrogate | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    rival = np.array(found["gp_rational"])
    for name, rows in found.items():
        each = np.array(rows)
        gaps = each - rival
        error = gaps.std(axis=0, ddof=1) / np.sqrt(len(each))
        cells = [
            f"{mean:.2f}" + ("" if name == "gp_rational" else f" ({gap:+.2f} ± {ci_half_width(wide):.2f})")
            for mean, gap, wide in zip(each.mean(axis=0), gaps.mean(axis=0), error, strict=True)
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Measure everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[2] / "shared" / "data" / "regmix"
    parser.add_argument("--data", type=Path, default=default, help="folder of RegMix's four CSV files")
    folder = parser.parse_args().data
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise Problem(f"Cannot compare CPU seconds of several threads. Run `{COMMAND}`.")
    history = json.loads(WEIGHTS.with_suffix(".json").read_text())
    lines = ["# The in-context surrogate", "", f"`{COMMAND}`, {date.today().isoformat()}. " + __doc__.split("\n\n")[1]]
    lines[2] = lines[2].replace("\n", " ").replace(" Writes benchmarks/results/in_context.md.", "").strip()
    lines += [
        "",
        f"Weights: {history['steps']} steps in {history['seconds']} seconds by the clock. In brackets: the "
        "paired difference to `gp_rational`, ± its 95% interval.",
    ]
    known = ("error, of the spread", "divergence from the exact posterior", "inside 95%, %")
    for kernel, what in ((linear, "Linear worlds"), (smooth, "Draws of a known Gaussian process")):
        for count in KNOWN:
            lines += table(f"{what}, {count} runs of {DOMAINS} domains", known, on_known(kernel, count))
            print("\n".join(lines[-8:]), flush=True)
    for family in FAMILIES:
        lines += table(f"Held-out worlds: {family}, {OWN} runs", ("log score", "inside 95%, %"), on_own(family))
        print("\n".join(lines[-7:]), flush=True)
    real = ("Spearman x 100", "log score", "inside 95%, %", "fit, CPU s")
    for count in REGMIX:
        lines += table(f"RegMix, {count} runs", real, on_regmix(folder, count))
        print("\n".join(lines[-7:]), flush=True)
    for count in SLIM:
        lines += table(f"SlimPajama, {count} of 60 mixtures", real, on_slimpajama(count))
        print("\n".join(lines[-7:]), flush=True)
    times = ", ".join(f"{what} {1e3 * one:.1f} ms" for what, one in speed(regmix.read(folder, "train")).items())
    lines += ["", "## Speed", "", f"CPU time of one core, 13 metrics of 17 domains: {times}."]
    (RESULTS / "in_context.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
