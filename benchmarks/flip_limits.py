"""Whether limits on negative flips hold on windows and items that nobody measured: `python -m benchmarks.flip_limits`.

A hundred generated worlds of each kind, of 600 windows of text, or items of a task with known answers. 48 runs are
measured on one half of them, a search finds the lowest loss with at most so many worse than under four seeds of the
prior (15% of the windows, 6% of the items) at a probability of 90%, and five runs at its answer are measured on the
other half. Writes benchmarks/results/flip_limits.json and .md.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engine.core.files import write_json
from engine.proxies.cpu_matmul import processor
from engine.search import search
from engine.search.limits import SURE, Limits
from engine.space.simplex import Simplex
from engine.surrogates.gp import GP
from engine.tasks.flips import noise_of, worse_items, worse_windows

COMMAND = "python -m benchmarks.flip_limits"
RESULTS = Path(__file__).parent / "results"
SPACE = Simplex(("a", "b", "c", "d"))
PRIOR = np.array([0.4, 0.3, 0.2, 0.1])
HALF, SEEDS, NOISE, RUNS, TRIES = 300, 4, 0.05, 48, 5
SEEN, HELD = slice(0, HALF), slice(HALF, None)


class Windows:
    """Windows of text whose losses fall with their domain's share, in two halves of which one is held out. A model of
    more `a` is better on average, and worse on windows of the other domains."""

    title: ClassVar[str] = "windows"
    limit: ClassVar[float] = 0.15  # of them that may be worse

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.domain = self.rng.integers(4, size=2 * HALF)
        self.level = self.rng.uniform(1.0, 3.0, 2 * HALF)
        self.gain = self.rng.uniform(0.02, 0.2, 2 * HALF) * np.where(self.domain == 0, 8, 1)
        self.reference = np.stack([self.run(PRIOR) for _ in range(SEEDS)])
        self.noise = noise_of([self.reference])

    def run(self, point: np.ndarray) -> np.ndarray:
        """(2 w,) losses of a run at a mixture (D,)."""
        losses = self.level - self.gain * np.log(point[self.domain] + 0.02)
        return losses + NOISE * self.rng.standard_normal(2 * HALF)

    def measured(self, point: np.ndarray, half: slice) -> tuple[float, float, float]:
        """The mean loss, and the share of worse windows with its error, of a run on one half of the windows."""
        losses = self.run(point)
        return losses[half].mean(), *worse_windows(losses[half], self.reference[:, half], self.noise)


class Items(Windows):
    """Items of a task beside those windows: one is answered where what its domain has taught, which grows with its
    share, is more than it asks for. The seeds of a run differ in what they know."""

    title: ClassVar[str] = "items"
    limit: ClassVar[float] = 0.06

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.asks = self.rng.uniform(-4.0, 0.5, 2 * HALF)
        self.answered = np.stack([self.answers(PRIOR) for _ in range(SEEDS)])

    def answers(self, point: np.ndarray) -> np.ndarray:
        """(I,) 1 where a run at a mixture (D,) is right."""
        knows = np.log(point[self.domain] + 0.02) + 0.3 * self.rng.standard_normal(2 * HALF)
        right: np.ndarray = (knows > self.asks).astype(float)
        return right

    def measured(self, point: np.ndarray, half: slice) -> tuple[float, float, float]:
        """The mean loss, and the share of worse items with its error, of a run on one half."""
        return self.run(point)[half].mean(), *worse_items(self.answers(point)[half], self.answered[:, half])


def answer(world: Windows, limit: float | None) -> Any:
    """The answer of a search, with a limit or without, and the draws that it comes from."""
    points = np.vstack([PRIOR, world.rng.dirichlet(2 * PRIOR + 0.3, RUNS - 1)])
    loss, worse, error = np.array([world.measured(point, SEEN) for point in points]).T
    surrogate = GP.fit(points, np.column_stack([loss, worse]))
    others = np.array([0.0, np.median(error)])  # as a study's own limits have it
    limits = None if limit is None else Limits(np.array([np.nan, limit]), np.ones(2), others)
    return search(surrogate, SPACE, PRIOR, np.array([1.0, 0.0]), n=4096, limits=limits, method="evolve")


def tried(kind: type[Windows], seeds: range, compare: bool = True) -> dict[str, float]:
    """How often runs at the answers keep the limit on what nobody measured: all, those whose answer says that it is so
    sure, and with `compare` those of a search without the limit; how much lower their loss is than under the prior."""
    rows = []
    for seed in seeds:
        world = kind(seed)
        found = answer(world, kind.limit)[0]
        free = answer(kind(seed), None)[0].found.shares if compare else PRIOR
        tries = [world.measured(found.found.shares, HELD) for _ in range(TRIES)]
        kept = np.mean([worse <= kind.limit for _, worse, _ in tries])
        gained = world.measured(PRIOR, HELD)[0] - np.mean([loss for loss, *_ in tries])
        without = float(world.measured(free, HELD)[1] <= kind.limit)
        assert found.kept is not None and found.kept.binding == 1
        rows.append((kept, float(found.kept.chance >= SURE - 0.02), without, gained))
    kept, sure, without, gained = np.array(rows).T
    return {
        "worlds": len(rows),
        "kept": float(kept.mean()),
        "error": float(kept.std(ddof=1) / np.sqrt(len(kept))),
        "sure": int(sure.sum()),
        "kept_of_sure": float(kept[sure == 1].mean()) if sure.any() else float("nan"),
        "without": float(without.mean()),
        "gained": float(gained.mean()),
    }


def written(found: dict[str, dict[str, float]]) -> str:
    """The table."""
    lines = [
        "| limit on | kept on held-out ones | of answers that say 90% | without the limit | loss below the prior's |",
        "|---|---|---|---|---|",
    ]
    for name, row in found.items():
        kept = f"{100 * row['kept']:.0f} ± {196 * row['error']:.0f}% of {row['worlds'] * TRIES} runs"
        sure = f"{100 * row['kept_of_sure']:.0f}% ({row['sure']} answers)"
        lines.append(f"| {name} | {kept} | {sure} | {100 * row['without']:.0f}% | {row['gained']:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    found = {kind.title: tried(kind, range(100)) for kind in (Windows, Items)}
    told = {"command": COMMAND, "machine": processor(), "date": date.today().isoformat(), "found": found}
    write_json(RESULTS / "flip_limits.json", told)
    about = (__doc__ or "").split("\n\n")[1].replace("\n", " ").split(" Writes")[0]
    head = f"# Limits on flips, on what nobody measured\n\n`{COMMAND}`, {date.today().isoformat()}."
    (RESULTS / "flip_limits.md").write_text(f"{head}\n\n{about}\n\n{written(found)}")
    print(json.dumps(found), written(found), sep="\n")


if __name__ == "__main__":
    main()
