"""The best of 66 mixtures by brute force, and what studies find: `python -m benchmarks.best_mixture --keep FILE`.

Three generated languages; small proxies at each of the 66 mixtures whose shares are tenths, with three seeds. Ten
studies, each with a seed of its own, know nothing of that grid: each trains 24 proxies at the mixtures of the usual
design and the baselines, compares the surrogates on them, and searches on its default.
What each finds, and the grid's lowest, are then trained with eight fresh seeds, the same for all, since the lowest of
66 measured values is lower than it would be measured again. Regret: the mean loss of the one minus that of the other,
paired by seed, with Student's 95% interval. What was trained is kept in FILE, and the same command goes on with it.
Writes benchmarks/results/best_mixture.json and best_mixture.md.
"""

import argparse
import itertools
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student

from engine import corpus as corpora
from engine.core.files import write_json
from engine.corpus import CorpusSpec
from engine.jobs.runs import TaskRun
from engine.league import cross_validate
from engine.proxies.evaluate import evaluate
from engine.proxies.train import Training
from engine.search import search
from engine.spec.fidelity import Fidelity, group_size
from engine.spec.frame import Frame, frame_of
from engine.spec.study import StudySpec, plan_runs
from engine.surrogates import SURROGATES

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.best_mixture --keep FILE"
RESULTS = Path(__file__).parent / "results"
DOMAINS = ("verse", "ledger", "code")
SIZES = {"verse": 400_000, "ledger": 200_000, "code": 100_000}  # bytes of each
RECIPE = Fidelity(width=32, layers=1, context=64, batch=8, tokens=65_536, eval_tokens=8_192)
STEPS, GRID_SEEDS, SEEDS, FRESH = 10, (501, 502, 503), tuple(range(1, 11)), tuple(range(1001, 1009))
RUNS, DRAWS = 24, 100_000
Point = tuple[float, ...]


def lexicon(rng: random.Random, letters: str, words: int) -> list[str]:
    """Words of three to eight letters, of which the first ones are the usual ones."""
    return ["".join(rng.choices(letters, k=rng.randint(3, 8))) for _ in range(words)]


def languages() -> dict[str, str]:
    """Three languages: *verse* of many words, *ledger* of few words and numbers, and *code*, which shares half of its
    words with *verse* and has brackets."""
    rng = random.Random(7)
    many, few, own = (lexicon(rng, "abcdefghijklmnopqrst", count) for count in (600, 40, 150))
    usual = [1 / (1 + rank) for rank in range(600)]

    def said(words: Sequence[str], count: int) -> list[str]:
        return rng.choices(words, usual[: len(words)], k=count)

    def line(name: str) -> str:
        if name == "verse":
            return " ".join(said(many, rng.randint(5, 9))) + "."
        if name == "ledger":
            return f"{said(few, 1)[0].upper()} {rng.randrange(10_000)} {said(few, 1)[0]} {rng.randrange(100)}"
        return f"{said(own, 1)[0]}({', '.join(said(many[:150], rng.randint(1, 3)))});"

    found = {}
    for name, size in SIZES.items():
        lines, there = [], 0
        while there < size:
            lines.append(line(name))
            there += len(lines[-1]) + 1
        found[name] = "\n".join(lines) + "\n"
    return found


@dataclass
class Trained:
    """Losses of proxies by mixture and seed, what studies found by their seeds, and the CPU seconds of the training;
    kept in a file."""

    corpus: corpora.Corpus
    path: Path
    known: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, tuple[Point, str]] = field(default_factory=dict)
    cpu: float = 0.0

    def load(self) -> None:
        """What an earlier attempt trained."""
        if self.path.exists():
            kept = json.loads(self.path.read_text())
            self.known, self.found, self.cpu = kept["known"], kept["found"], kept["cpu"]

    def save(self) -> None:
        """Keep what there is."""
        write_json(self.path, {"known": self.known, "found": self.found, "cpu": self.cpu})

    def losses(self, asked: Sequence[tuple[Point, int]]) -> np.ndarray:
        """(R, M) of mixtures and seeds, trained where they are not known yet."""
        keys = [json.dumps([[round(x, 6) for x in point], seed]) for point, seed in asked]
        new = {key: one for key, one in zip(keys, asked, strict=True) if key not in self.known}
        names, size = list(new), group_size(RECIPE.width)
        for start in range(0, len(names), size):
            self.train({key: new[key] for key in names[start : start + size]})
        return np.array([self.known[key] for key in keys])

    def train(self, asked: dict[str, tuple[Point, int]]) -> None:
        """One stack, to its end."""
        began = time.process_time()
        runs = [TaskRun(id=key, weights=list(point), seed=seed) for key, (point, seed) in asked.items()]
        training = Training(RECIPE, self.corpus, list(DOMAINS), runs, "cpu")
        for _ in range(RECIPE.steps):
            training.advance()
        values, _ = evaluate(training.stack, self.corpus, list(DOMAINS), RECIPE.eval_tokens)
        self.known |= dict(zip(asked, values.tolist(), strict=True))
        self.cpu += time.process_time() - began
        self.save()


def grid() -> list[Point]:
    """The 66 mixtures of three domains whose shares are tenths."""
    tenths = range(STEPS + 1)
    return [
        (a / STEPS, b / STEPS, (STEPS - a - b) / STEPS) for a, b in itertools.product(tenths, tenths) if a + b <= STEPS
    ]


def frame(corpus: corpora.Corpus, spec: StudySpec) -> Frame:
    return frame_of(spec, list(DOMAINS), corpus.manifest)


def study(trained: Trained, seed: int) -> tuple[Point, str]:
    """What a study of this seed finds, and by which surrogate."""
    if str(seed) in trained.found:
        point, by = trained.found[str(seed)]
        return tuple(point), by
    spec = StudySpec("best", RECIPE, domains=DOMAINS, runs=RUNS, seed=seed, epoch_cap=1e9)
    own = frame(trained.corpus, spec)
    rows = [row for row in plan_runs(spec, "best", own) if row["role"] != "repeat"]  # no study learns from these
    losses = trained.losses([(tuple(row["weights"]), row["seed"]) for row in rows])
    shares = np.array([row["weights"] for row in rows])
    priorities = np.full(len(DOMAINS), 1 / len(DOMAINS))
    league, _ = cross_validate(shares, losses, priorities=priorities, seed=seed)
    surrogate = SURROGATES[league.default].fit(shares, losses, seed)
    found, _ = search(surrogate, own.space, own.prior, priorities, n=DRAWS, seed=seed)
    trained.found[str(seed)] = tuple(np.round(found.found.shares, 6).tolist()), league.default
    trained.save()
    return trained.found[str(seed)]


def compared(trained: Trained, point: Point, other: Point) -> tuple[float, float]:
    """The mean loss of one mixture minus that of another over fresh seeds, and half its 95% interval."""
    one, two = (trained.losses([(at, seed) for seed in FRESH]).mean(axis=1) for at in (point, other))
    gap = one - two
    return float(gap.mean()), float(student.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap)))


def measured(trained: Trained, seeds: Sequence[int] = SEEDS) -> dict:
    """The grid, its lowest, and the regret of every study and of two baselines."""
    points = grid()
    by_seed = trained.losses([(point, seed) for point in points for seed in GRID_SEEDS]).mean(axis=1)
    by_seed = by_seed.reshape(len(points), len(GRID_SEEDS))
    means = by_seed.mean(axis=1)
    noise = float(np.sqrt(by_seed.var(axis=1, ddof=1).mean()))
    best = points[int(means.argmin())]
    natural = frame(trained.corpus, StudySpec("best", RECIPE, domains=DOMAINS, epoch_cap=1e9)).prior
    rows = []
    for seed in seeds:
        found, by = study(trained, seed)
        gap, half = compared(trained, found, best)
        rows.append({"seed": seed, "found": found, "by": by, "regret": gap, "half": half})
        print(rows[-1], flush=True)
    baselines = {"natural": tuple(natural.tolist()), "even": (1 / 3, 1 / 3, 1 / 3)}
    beside = {name: compared(trained, point, best) for name, point in baselines.items()}
    return {
        "grid": {"best": best, "lowest": float(means.min()), "highest": float(means.max()), "noise": noise},
        "studies": rows,
        "baselines": beside,
    }


def written(found: dict) -> str:
    own = found["grid"]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(DOMAINS, own["best"], strict=True))
    beyond = [str(row["seed"]) for row in found["studies"] if verdict(row) == "worse"]
    lines = [
        f"{len(found['studies'])} of {len(SEEDS)} studies were measured; worse than the grid's lowest beyond noise: "
        f"{', '.join(beyond) or 'none'}. The grid's lowest: {shares}; "
        f"mean losses from {own['lowest']:.4f} to {own['highest']:.4f} bits per byte, "
        f"with a standard deviation of {own['noise']:.4f} between seeds. Below, *regret* is in bits per byte.",
        "",
        f"| study | {' | '.join(DOMAINS)} | by | regret | |",
        "|---|" + "---|" * (len(DOMAINS) + 3),
    ]
    for row in found["studies"]:
        cells = " | ".join(f"{share:.1%}" for share in row["found"])
        lines.append(
            f"| {row['seed']} | {cells} | `{row['by']}` | {row['regret']:+.4f} ± {row['half']:.4f} | {verdict(row)} |"
        )
    for name, (gap, half) in found["baselines"].items():
        lines.append(
            f"| the {name} mixture | | | | {gap:+.4f} ± {half:.4f} | {verdict({'regret': gap, 'half': half})} |"
        )
    return "\n".join(lines) + "\n"


def verdict(row: dict) -> str:
    return "within noise" if abs(row["regret"]) <= row["half"] else "better" if row["regret"] < 0 else "worse"


def built(folder: Path) -> corpora.Corpus:
    """The corpus of the languages."""
    for name, text in languages().items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    source = {"type": "folder", "path": str(folder)}
    corpora.build(CorpusSpec(source=source), folder / "corpus", processes=1)
    return corpora.load(folder / "corpus")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--keep", type=Path, required=True, help="where the losses of trained proxies are kept")
    said = "of the studies: ten by default, fewer where the rest is to come"
    asked.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help=said)
    options = asked.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        trained = Trained(built(Path(folder)), options.keep)
        trained.load()
        found = measured(trained, options.seeds) | {"cpu": trained.cpu}
    write_json(RESULTS / "best_mixture.json", {"command": COMMAND, "date": date.today().isoformat(), **found})
    about = __doc__.split("\n\n")[1].replace("\n", " ").split(" Writes")[0]
    text = written(found)
    (RESULTS / "best_mixture.md").write_text(
        f"# The best of 66 mixtures, and what studies find\n\n`{COMMAND}`, {date.today().isoformat()}, "
        f"{found['cpu'] / 60:.0f} CPU minutes of training.\n\n{about}\n\n{text}"
    )
    print(text)


if __name__ == "__main__":
    main()
