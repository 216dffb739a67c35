"""How near the default answer comes to the best mixture, on synthetic worlds: `python -m benchmarks.target`.

Six published laws, 7, 24 and 64 domains (benchmarks/worlds.py): 300 runs that a study plans by default where it knows
how much text there is of each domain, the budget, and of no cap on epochs; four metrics, noise of 1 to 4% of their
spread. The league chooses its default among the surrogates that are not slow; the default search looks for the mixture.
Left: how much of the way in
true loss from natural to the best mixture is left, in percent, medians over seeds. Beside it what was the default
before (the stack, the average of the best draws) and the plain Gaussian process. Optimism held: how often the true loss
lies in the stated 90% interval around the prediction. Writes benchmarks/results/target.json and .md. D domains, M
metrics.
"""

import argparse
import json
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.worlds import LAWS, METRICS, World, world
from engine.core.files import write_json
from engine.jobs.process_pool import process_pool
from engine.league.optimism import optimism_of, refit
from engine.league.trial import trial_of
from engine.league.validation import judged
from engine.search import search
from engine.search.methods import descend
from engine.space.simplex import Simplex
from engine.spec.fidelity import PRESETS
from engine.spec.frame import frame_of
from engine.spec.repetition import design_centre
from engine.spec.statistics import Z90, ci_half_width, lowest
from engine.spec.study import StudySpec, design_points
from engine.surrogates import SURROGATES, Surrogate
from engine.surrogates.prediction import predict

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.target"
RESULTS = Path(__file__).parent / "results"
RUNS, DRAWS, CANDIDATES = 300, 100_000, 2000
PART = 1e6  # tokens of the smallest domain
NOISE = (0.01, 0.04)
AIMS = {7: 5, 24: 8, 64: 20}  # domains -> percent left, median
QUICK = [name for name, kind in SURROGATES.items() if not kind.slow and name != "lambdarank"] + ["around_law", "stack"]
WEIGHTS = np.full(METRICS, 1 / METRICS)


def space_of(domains: int) -> Simplex:
    return Simplex(tuple(f"d{i}" for i in range(domains)))


def planned(true: World, space: Simplex, seed: int) -> np.ndarray:
    """(RUNS, D) the mixtures that a study of this text and budget plans, with no cap on epochs."""
    text = {name: tokens * PART for name, tokens in zip(space.names, true.pools, strict=True)}
    spec = StudySpec(
        name="target",
        fidelity=next(iter(PRESETS.values())),
        runs=RUNS,
        seed=seed,
        target_tokens=true.tokens * PART,
        available_tokens=text,
        epoch_cap=1e9,
    )
    corpus = {"domains": {name: {"train_tokens": tokens} for name, tokens in text.items()}}
    frame = frame_of(spec, list(space.names), corpus)
    return design_points(spec, frame.design_space, design_centre(spec, frame), RUNS)


def best_of(true: World, space: Simplex, rng: np.random.Generator) -> np.ndarray:
    """The best mixture (D,) by the law itself: descent from the best draws, their average, natural, even shares."""

    def score(points: np.ndarray) -> np.ndarray:
        return true.law(points) @ WEIGHTS

    draws = space.draw(true.natural, 20_000, rng)
    elite = draws[lowest(score(draws), 64)]
    starts = [*elite[:3], elite.mean(axis=0), true.natural, np.full_like(true.natural, 1 / len(true.natural))]
    ends = np.array([descend(score, space, start, 300) for start in starts])
    return ends[score(ends).argmin()]


def fitted(trial, standing) -> Surrogate:
    """A league's surrogate on all runs, calibrated."""
    found = refit(trial, standing, np.ones(len(trial.weights), bool))
    return found.calibrated(standing.scale, standing.correlation)


def one(_, law: str, domains: int, seed: int) -> dict:
    """Percent left by the default answer and by others, and whether the optimism that was stated holds the truth."""
    started = time.process_time()
    rng, true, space = np.random.default_rng([seed, domains]), world(law, domains, seed), space_of(domains)
    design = planned(true, space, seed)
    losses = true.measured(design, rng.uniform(*NOISE) * true.law(design).std(axis=0), rng)
    candidates = space.draw(true.natural, CANDIDATES, rng)
    trial = trial_of(design, losses, repeats=1, seed=seed, candidates=candidates)
    trial = replace(trial, repeats=true.tokens / true.pools)
    with process_pool(1, trial) as do:
        league, _ = judged(trial, QUICK, do, lambda *_: None)
    best = best_of(true, space, rng)

    def truth(point: np.ndarray) -> float:
        return float(true.law(point[None])[0] @ WEIGHTS)

    gap, left = truth(true.natural) - truth(best), {}
    asked = {"default": (league.default, "optimum"), "stack, simulate": ("stack", "simulate")}
    asked["process, evolve"] = ("gp_rational", "evolve")
    for title, (name, method) in asked.items():
        surrogate = fitted(trial, league[name])
        found, _ = search(surrogate, space, true.natural, WEIGHTS, method=method, n=DRAWS, seed=seed)
        left[title] = 100 * (truth(found.found.shares) - truth(best)) / gap
        if title == "default":
            answer = predict(surrogate, found.found.shares, WEIGHTS)
    stated = optimism_of(trial, league[league.default], space)
    error = truth(answer.shares) - answer.aggregate
    inside = abs(error - stated.bias) <= ci_half_width(np.hypot(stated.spread, answer.aggregate_std), Z90)
    return {
        "law": law,
        "domains": domains,
        "seed": seed,
        "chosen": league.default,
        "left": left,
        "optimism": stated.bias,
        "error": error,
        "inside": bool(inside),
        "date": date.today().isoformat(),
        "seconds": round(time.process_time() - started, 1),
    }


def table(rows: list[dict]) -> str:
    """The report as Markdown."""
    lines = [
        f"| domains | law | {' | '.join(rows[0]['left'])} | chosen | optimism held |",
        "|---|---|---|---|---|---|---|",
    ]
    for domains in sorted({row["domains"] for row in rows}):
        for law in [*LAWS, "all"]:
            some = [row for row in rows if row["domains"] == domains and law in (row["law"], "all")]
            if not some:
                continue
            left = [np.median([row["left"][title] for row in some]) for title in some[0]["left"]]
            names = [row["chosen"] for row in some]
            counted = ", ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(sorted(names)))
            held = f"{sum(row['inside'] for row in some)} of {len(some)}"
            aim = f" (aim {AIMS[domains]})" if law == "all" else ""
            numbers = " | ".join(f"{value:.1f}" for value in left)
            lines.append(f"| {domains} | {law}{aim} | {numbers} | {counted} | {held} |")
    return "\n".join(lines)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--domains", type=int, nargs="+", default=list(AIMS))
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--processes", type=int, default=2)
    asked.add_argument("--resume", action="store_true", help="keep the worlds that the result file has")
    options = asked.parse_args()
    tasks = [(law, d, seed) for seed in range(options.seeds) for d in options.domains for law in LAWS]
    rows = json.loads((RESULTS / "target.json").read_text())["rows"] if options.resume else []
    there = {(row["law"], row["domains"], row["seed"]) for row in rows}
    with process_pool(options.processes, None) as do:
        for _, row in do(one, [task for task in tasks if task not in there], lambda *_: None):
            rows.append(row)
            print(json.dumps(row), flush=True)
            write(rows)


def write(rows: list[dict]) -> None:
    """The two result files."""
    rows = sorted(rows, key=lambda row: (row["domains"], list(LAWS).index(row["law"]), row["seed"]))
    write_json(RESULTS / "target.json", {"command": COMMAND, "rows": rows})
    dates = " to ".join(dict.fromkeys([min(row["date"] for row in rows), max(row["date"] for row in rows)]))
    about = __doc__.split("\n\n")[1].replace("\n", " ").split(" Writes")[0]
    (RESULTS / "target.md").write_text(
        f"# The default answer on synthetic worlds\n\n`{COMMAND}`, {dates}, 2 cores, "
        f"{sum(row['seconds'] for row in rows) / 3600:.1f} CPU hours.\n\n{about}\n\n{table(rows)}\n"
    )


if __name__ == "__main__":
    main()
