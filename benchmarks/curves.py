"""Final losses from the first part of a run, on SlimPajama's runs: `OMP_NUM_THREADS=1 python -m benchmarks.curves`.

60 mixtures of 7 domains, models of 122M and 310M weights, each measured at up to eleven token counts from 2 to 20
billion. Asked: the losses after all tokens of 20 mixtures, from what these had measured after 10, 20, 30 and 50% of the
tokens and from 10, 20 or 40 other mixtures that were trained whole. Beside it: that each run keeps the place of its
early loss (the other runs' mean fall from there on), and a line through the early loss. Twenty splits; error: root mean
square in percent of the loss.

Then early stopping, in 200 orders of the 60 mixtures: the first 12 are trained whole; each later one is looked at after
30% and 50% of the tokens, and is stopped where all of the 95% interval of its mean loss is worse than the best so far.
Lost: how much worse the best run that was trained whole is than the best of all 60. Saved: tokens that were not
trained, of all. Writes benchmarks/results/curves.md.
"""

from collections.abc import Callable
from datetime import date

import numpy as np

from benchmarks.sizes import LARGE, LEVELS, RESULTS, RUNS, SMALL, Table, read
from engine.analysis.finals import Early, predicted_finals

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.curves"
SPLITS, HELD, ORDERS, WHOLE = 20, 20, 200, 12
LOOKS = (0.1, 0.2, 0.3, 0.5)
STOPS = (0.3, 0.5)


def curves_of(runs: Table, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Token counts (S,) and the losses there (P, S, M) of each mixture at a size, NaN where one was not measured."""
    own = runs.fidelity[:, 0] == size
    counts = np.unique(runs.fidelity[own, 1])
    losses = np.full((len(runs.mixtures), len(counts), LEVELS), np.nan)
    losses[runs.place[own], np.searchsorted(counts, runs.fidelity[own, 1])] = runs.losses[own]
    return counts, losses


def early(mixtures: np.ndarray, losses: np.ndarray) -> Early:
    """What runs are known by after the last of some counts: losses (n, S, M) there; the mean loss is the last value."""
    last = losses[:, -1]
    changes = last - losses[:, -2] if losses.shape[1] > 1 else np.empty((len(last), 0))
    return Early(with_mean(last), np.column_stack([last, changes, mixtures]))


def with_mean(losses: np.ndarray) -> np.ndarray:
    """Losses (n, M) and their mean: (n, M + 1)."""
    return np.column_stack([losses, losses.mean(axis=1)])


Way = Callable[[Early, np.ndarray, Early], tuple[np.ndarray, np.ndarray | None]]


def by_curves(known: Early, finals: np.ndarray, asked: Early) -> tuple[np.ndarray, np.ndarray | None]:
    found = predicted_finals(known, finals, asked)
    return found.mean, found.half


def by_the_fall(known: Early, finals: np.ndarray, asked: Early) -> tuple[np.ndarray, np.ndarray | None]:
    return asked.own + (finals - known.own).mean(axis=0), None


def by_a_line(known: Early, finals: np.ndarray, asked: Early) -> tuple[np.ndarray, np.ndarray | None]:
    lines = [np.polyfit(x, y, 1) for x, y in zip(known.own.T, finals.T, strict=True)]
    return np.stack([np.polyval(line, x) for line, x in zip(lines, asked.own.T, strict=True)], axis=1), None


WAYS: dict[str, Way] = {"curves and mixtures": by_curves, "a line": by_a_line, "the same fall": by_the_fall}


def upto(counts: np.ndarray, part: float) -> slice:
    """The counts of the first part of a run: the last two of them."""
    end = int((counts <= part * counts[-1]).sum())
    return slice(max(0, end - 2), end)


def predicted(runs: Table, size: float, part: float, taught: int, way: Way) -> np.ndarray:
    """Error of a loss in percent (mean over losses), of the mean loss, and % inside 95%, over all splits."""
    counts, losses = curves_of(runs, size)
    part_of = losses[:, upto(counts, part)]
    there = np.flatnonzero(np.isfinite(part_of).all(axis=(1, 2)) & np.isfinite(losses[:, -1]).all(axis=1))
    found = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(there)
        asked, known = order[:HELD], order[HELD : HELD + taught]
        one, other = (early(runs.mixtures[rows], part_of[rows]) for rows in (known, asked))
        wanted = with_mean(losses[asked, -1])
        mean, half = way(one, with_mean(losses[known, -1]), other)
        error = 100 * np.sqrt(np.mean((mean - wanted) ** 2, axis=0)) / wanted.mean(axis=0)
        inside = np.nan if half is None else 100 * np.mean(np.abs(mean - wanted) <= half)
        found.append((error[:-1].mean(), error[-1], inside))
    return np.mean(found, axis=0)


def stopped_early(runs: Table, size: float, seed: int) -> tuple[float, float, int]:
    """One order: lost of the best mean loss in percent, tokens saved in percent, runs stopped."""
    counts, losses = curves_of(runs, size)
    order = np.random.default_rng(seed).permutation(len(losses))
    final, (whole, stopped) = losses[:, -1].mean(axis=1), trained_and_stopped(runs, counts, losses, order)
    saved = [1 - counts[upto(counts, part)][-1] / counts[-1] for part in stopped.values()]
    lost = final[whole].min() / final.min() - 1
    return 100 * lost, 100 * sum(saved) / len(losses), len(saved)


def trained_and_stopped(
    runs: Table, counts: np.ndarray, losses: np.ndarray, order: np.ndarray
) -> tuple[list[int], dict[int, float]]:
    """Of runs that come in an order: those that are trained whole, and the others with the part they are stopped at."""
    whole, stopped = order[:WHOLE].tolist(), {}
    for run in order[WHOLE:].tolist():
        at = (part for part in STOPS if hopeless(runs, counts, losses, run, np.array(whole), part))
        if (part := next(at, None)) is None:
            whole.append(run)
        else:
            stopped[run] = part
    return whole, stopped


def hopeless(runs: Table, counts: np.ndarray, losses: np.ndarray, run: int, whole: np.ndarray, part: float) -> bool:
    """Whether a run's whole interval is worse than the best of those trained whole; never where a loss is missing."""
    seen = losses[:, upto(counts, part)]
    if not np.isfinite(seen[run]).all():
        return False
    whole = whole[np.isfinite(seen[whole]).all(axis=(1, 2))]
    one, other = (early(runs.mixtures[rows], seen[rows]) for rows in (whole, [run]))
    known, asked = (Early(at.own[:, -1:], at.beside) for at in (one, other))
    finals = losses[whole, -1].mean(axis=1, keepdims=True)
    found = predicted_finals(known, finals, asked)
    return bool(found.mean[0, 0] - found.half[0, 0] > finals.min())


def main() -> None:
    if not RUNS.exists():
        print(f"Skipped: the runs are not here ({RUNS.name}); their licence does not let them be shipped.")
        return
    runs = read()
    lines = [
        "| size | of the tokens | taught by | way | error % | of the mean loss | inside 95%, % |",
        "|" + "---|" * 7,
    ]
    cases = [(part, 20) for part in LOOKS] + [(0.3, 10), (0.3, 40)]
    for size in (SMALL, LARGE):
        for part, taught in cases:
            for title, way in WAYS.items():
                error, mean, inside = predicted(runs, size, part, taught, way)
                told = "" if np.isnan(inside) else f"{inside:.0f}"
                lines.append(
                    f"| {size / 1e6:.0f}M | {part:.0%} | {taught} | {title} | {error:.3f} | {mean:.3f} | {told} |"
                )
                print(lines[-1], flush=True)
    lines += ["", "| size | lost, % (worst order) | tokens saved, % (least, most) | stopped |", "|---|---|---|---|"]
    for size in (SMALL, LARGE):
        lost, saved, count = np.array([stopped_early(runs, size, seed) for seed in range(ORDERS)]).T
        between = f"{saved.min():.0f}, {saved.max():.0f}"
        lines.append(
            f"| {size / 1e6:.0f}M | {lost.mean():.3f} ({lost.max():.3f}) | {saved.mean():.0f} ({between}) "
            f"| {count.mean():.0f} of {len(runs.mixtures)} |"
        )
        print(lines[-1], flush=True)
    about = "\n\n".join(" ".join(part.split()) for part in __doc__.split("\n\n")[1:]).split(" Writes")[0]
    (RESULTS / "curves.md").write_text(
        f"# Final losses from a part of a run\n\n`{COMMAND}`, {date.today().isoformat()}.\n\n{about}\n\n"
        + "\n".join(lines)
        + "\n"
    )


if __name__ == "__main__":
    main()
