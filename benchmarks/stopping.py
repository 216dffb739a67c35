"""What surrogates lose where hopeless runs are stopped, on SlimPajama's runs: `OMP_NUM_THREADS=1 python -m
benchmarks.stopping`.

60 mixtures of 7 domains, models of 122M and 310M weights. Of 40 mixtures in an order, hopeless ones are stopped as in
`benchmarks.curves`; 20 are held out. A Gaussian process then learns from all 40 trained whole ("none stopped"), from
those that were trained whole ("left out"), from these and the stopped ones' predicted final losses ("as predicted"),
and from as many mixtures trained whole, the first of the order, as the tokens of "left out" buy ("fewer runs"). Told
are the error of a loss on held-out mixtures and on the better half of these (root mean square in percent), the rank
correlation of the mean loss, and how much worse the held-out mixture is that is predicted best than the best, in
percent. Twenty orders; in brackets the standard error over these. Writes benchmarks/results/stopping.md.
"""

from datetime import date

import numpy as np

from benchmarks.curves import STOPS, curves_of, early, trained_and_stopped, upto, with_mean
from benchmarks.sizes import LARGE, RESULTS, RUNS, SMALL, Table, read
from engine.analysis.finals import predicted_finals
from engine.analysis.statistics import rank_correlation
from engine.surrogates.gp import GP

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.stopping"
ORDERS, HELD = 20, 20


def taught(runs: Table, size: float, order: np.ndarray) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], float]:
    """Way -> mixtures (n, D) and losses (n, M) that it learns from; and the part of the tokens that is saved."""
    counts, losses = curves_of(runs, size)
    whole, stopped = trained_and_stopped(runs, counts, losses, order)
    finals = losses[:, -1]
    filled = finals.copy()
    for part in STOPS:
        rows = [run for run, at in stopped.items() if at == part]
        if rows:
            filled[rows] = expected(runs, counts, losses, whole, rows, part)
    saved = sum(1 - counts[upto(counts, part)][-1] / counts[-1] for part in stopped.values()) / len(order)
    both, fewer = [*whole, *stopped], order[: round((1 - saved) * len(order))]
    told = {"none stopped": (order, finals), "left out": (whole, finals), "as predicted": (both, filled)}
    told["fewer runs"] = (fewer, finals)
    return {way: (runs.mixtures[rows], values[rows]) for way, (rows, values) in told.items()}, saved


def expected(
    runs: Table, counts: np.ndarray, losses: np.ndarray, whole: list[int], rows: list[int], part: float
) -> np.ndarray:
    """(k, M) the final losses of stopped runs, from all that were trained whole."""
    seen = losses[:, upto(counts, part)]
    there = [run for run in whole if np.isfinite(seen[run]).all()]
    known, asked = (early(runs.mixtures[own], seen[own]) for own in (there, rows))
    return predicted_finals(known, with_mean(losses[there, -1]), asked).mean[:, :-1]


def judged(runs: Table, size: float, seed: int) -> tuple[dict[str, list[float]], float]:
    """Way -> error %, error % on the better half, rank correlation, lost %; and the part of the tokens saved."""
    finals = curves_of(runs, size)[1][:, -1]
    order = np.random.default_rng(seed).permutation(len(finals))
    held, order = order[:HELD], order[HELD:]
    ways, saved = taught(runs, size, order)
    wanted, best = finals[held], np.argsort(finals[held].mean(axis=1))[: HELD // 2]
    found = {}
    for way, (weights, values) in ways.items():
        mean, _ = GP.fit(weights, values).predict(runs.mixtures[held])
        errors = [100 * np.sqrt(np.mean((mean[own] - wanted[own]) ** 2)) / wanted.mean() for own in (slice(None), best)]
        chosen = wanted.mean(axis=1)[mean.mean(axis=1).argmin()]
        lost = 100 * (chosen / wanted.mean(axis=1).min() - 1)
        found[way] = [*errors, rank_correlation(mean.mean(axis=1), wanted.mean(axis=1)), lost]
    return found, saved


def main() -> None:
    if not RUNS.exists():
        print(f"Skipped: the runs are not here ({RUNS.name}); their licence does not let them be shipped.")
        return
    runs = read()
    lines = ["| size | runs stopped | error % | on the better half | rank correlation | lost % | tokens saved, % |"]
    lines.append("|" + "---|" * 7)
    for size in (SMALL, LARGE):
        all_found = [judged(runs, size, seed) for seed in range(ORDERS)]
        spared = 100 * np.mean([saved for _, saved in all_found])
        for way in all_found[0][0]:
            values = np.array([found[way] for found, _ in all_found])
            errors = values.std(axis=0, ddof=1) / np.sqrt(ORDERS)
            cells = " | ".join(f"{mean:.3f} ({se:.3f})" for mean, se in zip(values.mean(axis=0), errors, strict=True))
            less = 0 if way == "none stopped" else spared
            lines.append(f"| {size / 1e6:.0f}M | {way} | {cells} | {less:.0f} |")
            print(lines[-1], flush=True)
    about = "\n\n".join(" ".join(part.split()) for part in __doc__.split("\n\n")[1:]).split(" Writes")[0]
    head = f"# What surrogates lose where hopeless runs are stopped\n\n`{COMMAND}`, {date.today().isoformat()}."
    (RESULTS / "stopping.md").write_text(f"{head}\n\n{about}\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
