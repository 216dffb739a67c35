"""Runs of two sizes as one study, on SlimPajama's runs: `OMP_NUM_THREADS=1 python -m benchmarks.sizes`.

60 mixtures of 7 domains, models of 122M and 310M weights after 2 to 20 billion tokens. Asked: the losses of the 310M
models after all tokens on 20 mixtures that no size has seen; known: the other 40 at 122M, and 20 of them at 310M too.
Beside it: the Gaussian process on 122M's last losses with a line to 310M's, the process on 310M's own runs, and the
122M models' measured losses at the asked mixtures with that line, which is about the least error that noise leaves.
Then without any run at the asked tokens. Five splits; error: root mean square in percent of the loss, mean over
domains. Writes benchmarks/results/sizes.md.
"""

import csv
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.analysis.sizes import Sizes
from engine.analysis.statistics import rank_correlation
from engine.spec.statistics import ci_half_width
from engine.surrogates.gp import GP

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.sizes"
RUNS = Path(__file__).parents[2] / "shared" / "data" / "slimpajama" / "runs_122M_310M.csv"
RESULTS = Path(__file__).parent / "results"
SPLITS, HELD, LARGE_RUNS = 5, 20, 20
SMALL, LARGE = 122e6, 310e6
LEVELS = 7  # the losses of the training domains; the eighth is of other text


class Table(NamedTuple):
    """mixtures (P, D); place (R,): of each run's mixture; fidelity (R, 2); losses (R, M); last: the most tokens."""

    mixtures: np.ndarray
    place: np.ndarray
    fidelity: np.ndarray
    losses: np.ndarray
    last: float

    def rows(self, parameters: float, places: np.ndarray) -> np.ndarray:
        """The runs of a size after the most tokens, in the order of mixtures."""
        there = (self.fidelity == (parameters, self.last)).all(axis=1)
        return np.array([np.flatnonzero(there & (self.place == one))[0] for one in places])


def read() -> Table:
    """The runs, mixtures in the file's order."""
    with open(RUNS, newline="") as file:
        rows = list(csv.DictReader(file))
    shares = [name for name in rows[0] if name.startswith("weight_")]
    named = [name for name in rows[0] if name.endswith("_loss")][:LEVELS]
    weights = np.array([[float(row[name]) for name in shares] for row in rows])
    losses = np.array([[float(row[name] or "nan") for name in named] for row in rows])
    fidelity = np.array([[float(row["model_size"]), float(row["n_tokens"])] for row in rows])
    keys = {tuple(one): None for one in weights.round(5).tolist()}
    order = {key: number for number, key in enumerate(keys)}
    place = np.array([order[tuple(one)] for one in weights.round(5).tolist()])
    mixtures = np.array(list(keys))
    return Table(mixtures / mixtures.sum(axis=1, keepdims=True), place, fidelity, losses, fidelity[:, 1].max())


Predicted = tuple[np.ndarray, np.ndarray | None]


def over_sizes(runs: Table, known: np.ndarray, large: np.ndarray, asked: np.ndarray, last: float = np.inf) -> Predicted:
    """One process over all sizes, from runs after at most `last` tokens."""
    is_large = runs.fidelity[:, 0] == LARGE
    used = np.where(is_large, np.isin(runs.place, large), np.isin(runs.place, known)) & (runs.fidelity[:, 1] <= last)
    weights = runs.mixtures[runs.place[used]]
    fitted = Sizes.fit(weights, runs.fidelity[used], runs.losses[used], np.ones(LEVELS))
    return fitted.at(LARGE, runs.last).predict(runs.mixtures[asked])


def by_a_line(runs: Table, large: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Losses at 122M moved to 310M by a line for each domain, from the mixtures measured at both."""
    one, other = runs.losses[runs.rows(SMALL, large)], runs.losses[runs.rows(LARGE, large)]
    lines = [np.polyfit(x, y, 1) for x, y in zip(one.T, other.T, strict=True)]
    return np.stack([np.polyval(line, x) for line, x in zip(lines, small.T, strict=True)], axis=1)


def small_and_a_line(runs: Table, known: np.ndarray, large: np.ndarray, asked: np.ndarray) -> Predicted:
    found = GP.fit(runs.mixtures[known], runs.losses[runs.rows(SMALL, known)])
    return by_a_line(runs, large, found.mean(runs.mixtures[asked])), None


def large_alone(runs: Table, known: np.ndarray, large: np.ndarray, asked: np.ndarray) -> Predicted:
    return GP.fit(runs.mixtures[large], runs.losses[runs.rows(LARGE, large)]).predict(runs.mixtures[asked])


def measured_and_a_line(runs: Table, known: np.ndarray, large: np.ndarray, asked: np.ndarray) -> Predicted:
    return by_a_line(runs, large, runs.losses[runs.rows(SMALL, asked)]), None


WAYS: dict[str, Callable[..., Predicted]] = {
    "one process over all sizes": over_sizes,
    "process on 122M, and a line": small_and_a_line,
    "process on 310M's 20 runs": large_alone,
    "122M measured at the asked mixtures, and a line": measured_and_a_line,
    "all sizes, to 10B tokens: 2 x beyond": lambda *given: over_sizes(*given, last=1.01e10),
    "all sizes, to 6B tokens: 3 x beyond": lambda *given: over_sizes(*given, last=6.1e9),
}


def score(runs: Table, way: Callable[..., Predicted]) -> list[np.ndarray]:
    """Error in percent, Spearman of the mean of the domains, and part inside 95%, in each split."""
    found = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(runs.mixtures))
        asked, known, large = order[:HELD], order[HELD:], order[HELD : HELD + LARGE_RUNS]
        mean, std = way(runs, known, large, asked)
        wanted = runs.losses[runs.rows(LARGE, asked)]
        error = 100 * (np.sqrt(np.mean((mean - wanted) ** 2, axis=0)) / wanted.mean(axis=0)).mean()
        inside = np.nan if std is None else 100 * np.mean(np.abs(mean - wanted) <= ci_half_width(std))
        found.append(np.array([error, rank_correlation(wanted.mean(axis=1), mean.mean(axis=1)), inside]))
    return found


def main() -> None:
    if not RUNS.exists():
        print(f"Skipped: the runs are not here ({RUNS.name}); their licence does not let them be shipped.")
        return
    runs = read()
    lines = ["| | error % (splits) | Spearman (least) | inside 95%, % |", "|---|---|---|---|"]
    for title, way in WAYS.items():
        table = np.array(score(runs, way))
        error, rank, inside = table.mean(axis=0)
        spread = f"{table[:, 0].min():.2f} to {table[:, 0].max():.2f}"
        told = "" if np.isnan(inside) else f"{inside:.0f}"
        lines.append(f"| {title} | {error:.3f} ({spread}) | {rank:.3f} ({table[:, 1].min():.3f}) | {told} |")
        print(lines[-1], flush=True)
    about = " ".join(__doc__.split("\n\n")[1].split()).split(" Writes")[0]
    (RESULTS / "sizes.md").write_text(
        f"# Runs of two sizes\n\n`{COMMAND}`, {date.today().isoformat()}.\n\n{about}\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
