"""How often pure noise, and reliable tasks, are called unsteerable: `python -m benchmarks.readiness`.

Worlds of 60 mixtures whose scores are a signal of the mixture and noise between seeds, of variances that sum to 1, so
that the signal's is the reliability. Some mixtures are trained again with other seeds. Each of a hundred seeds, and of
two thousand, draws a world, which is judged by the lower bound, as the page *Tasks* judges a study. Writes
benchmarks/results/readiness.json and .md.
"""

from datetime import date
from pathlib import Path

import numpy as np

from engine.analysis.readiness import GUARD, readiness
from engine.core.files import write_json

COMMAND = "python -m benchmarks.readiness"
RESULTS = Path(__file__).parent / "results"
MIXTURES, FEW, MANY = 60, 100, 2_000
RELIABILITIES = (0.0, 0.3, 0.8)
# Mixtures that are repeated, and how often each
DESIGNS = {
    "24, of six mixtures": (6, 4),
    "20, of five mixtures": (5, 4),
    "20, of one mixture": (1, 20),
    "16, of eight mixtures": (8, 2),
    "16, of one mixture": (1, 16),
}


def world(reliability: float, seed: int, repeated: int, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (R, D) and values (R, 1) of runs, of which the first `repeated` mixtures are trained `times` more."""
    rng = np.random.default_rng(seed)
    points, signal = rng.dirichlet(np.ones(5), MIXTURES), rng.standard_normal(MIXTURES)
    place = np.concatenate([np.arange(MIXTURES), np.repeat(np.arange(repeated), times)])
    noise = rng.standard_normal(len(place))
    return points[place], (np.sqrt(reliability) * signal[place] + np.sqrt(1 - reliability) * noise)[:, None]


def unsteerable(reliability: float, design: tuple[int, int]) -> list[bool]:
    """Whether each of MANY worlds is called unsteerable, by its bound: also with fewer repeats than pages judge by."""
    return [bool(readiness(*world(reliability, seed, *design))[0].low < GUARD) for seed in range(MANY)]


def main() -> None:
    rows = []
    for title, design in DESIGNS.items():
        for reliability in RELIABILITIES:
            found = unsteerable(reliability, design)
            share = float(np.mean(found))
            rows.append({"repeats": title, "reliability": reliability, "of_100": sum(found[:FEW]), "share": share})
    lines = ["| repeats | reliability | called unsteerable, of 100 seeds | of 2,000 |", "|---|---|---|---|"]
    lines += [f"| {one['repeats']} | {one['reliability']:g} | {one['of_100']} | {one['share']:.1%} |" for one in rows]
    text, today = "\n".join(lines) + "\n", date.today().isoformat()
    write_json(RESULTS / "readiness.json", {"command": COMMAND, "date": today, "rows": rows})
    about = (__doc__ or "").split("\n\n")[1].replace("\n", " ").split(" Writes")[0]
    (RESULTS / "readiness.md").write_text(f"# What cannot be steered\n\n`{COMMAND}`, {today}.\n\n{about}\n\n{text}")
    print(text)


if __name__ == "__main__":
    main()
