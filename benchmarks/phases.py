"""Does a study find an order effect that is there, and call the absence of one absence?

    python -m benchmarks.phases            # writes benchmarks/results/phases.md

And do branches cost what is said before: 4 mixtures with 3 branches each, beside 8 that are trained whole.

Worlds of 6 domains and losses: each loss falls with the share of its own domain and a little with related ones. 12
mixtures of a study's own design are measured as triples (one mixture throughout, and both opposite orders), with normal
noise. The effect of order is scaled so that, over the triples' ordered runs, its root mean square is so many standard
deviations of one run's noise: in one loss (whichever reacts to order most), or in all. The level that laws of exposure
and transport need comes from the losses' true function with its own error, as a fitted surrogate's has: 2% of their
spread, smooth over mixtures.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.analysis.phases import LAWS, Contrasts, order_matters
from engine.jobs.runs import TaskRun
from engine.spec.fidelity import PRESETS, Fidelity
from engine.spec.frame import frame_of
from engine.spec.phases import PHASED, contrast, fractions_of, order_of, phased_runs, total_of, whole_trainings
from engine.spec.study import StudySpec, design_points

RESULTS = Path(__file__).with_name("results") / "phases.md"
DOMAINS = [f"d{k}" for k in range(6)]
NOISE, FRACTIONS, LETTERS = 0.01, [0.8, 0.2], ["b", "f", "t"]
World = Callable[[np.ndarray], np.ndarray]


def losses_of(rng: np.random.Generator) -> World:
    """(n, D) shares -> (n, D) losses: power laws of related shares."""
    related = np.eye(6) + 0.15 * rng.random((6, 6))
    height, power = rng.uniform(0.2, 0.5, 6), rng.uniform(0.2, 0.5, 6)
    return lambda shares: 1 + height * (shares @ related.T + 0.02) ** -power


def effect_of(kind: str, loss: World, fractions: np.ndarray, rng: np.random.Generator) -> World:
    """What order does to losses, of phases (n, F, D): one law of order, of random strength in each loss."""
    signs = rng.uniform(0.5, 1.0, 6) * rng.choice([-1, 1], 6)
    if kind == "line":
        slopes = rng.standard_normal((6, 6))
        return lambda phases: order_of(phases, fractions) @ slopes
    if kind == "transport":
        return lambda phases: (
            np.einsum(
                "f,nfc->nc", fractions * contrast(fractions), np.stack([loss(phases[:, f]) for f in range(2)], axis=1)
            )
            * signs
        )
    gammas = np.where(signs > 0, 3.0, 1 / 3.0)

    def exposure(phases: np.ndarray) -> np.ndarray:
        made = []
        for c, gamma in enumerate(gammas):
            weight = fractions * np.array([1, gamma])
            made.append((loss(total_of(phases, weight / weight.sum())) - loss(total_of(phases, fractions)))[:, c])
        return np.stack(made, axis=1)

    return exposure


def study_of(seed: int, kind: str, size: float, triples: int) -> tuple[bool, bool, str]:
    """One study: whether order was found in any loss or in the mean, whether in the mean, and the law of the first."""
    rng = np.random.default_rng(seed)
    phases = [{"fraction": 0.8}, {"fraction": 0.2}]
    settings = {"name": "x", "runs": 24, "seed": seed, "phases": phases, "order_triples": triples}
    spec = StudySpec.from_dict(settings)
    facts = {"train_tokens": 1e6, "train_documents": 9, "whole": False}
    frame = frame_of(spec, DOMAINS, {"fingerprint": "x", "domains": dict.fromkeys(DOMAINS, facts)})
    points, fractions = design_points(spec, frame.design_space, frame.prior, spec.runs), fractions_of(spec)
    phases = np.stack([one.phases for one in phased_runs(spec, frame, points)])
    loss = losses_of(rng)
    wanted = effect_of(kind, loss, fractions, rng)(phases)
    moved = size * NOISE * wanted / np.sqrt((wanted**2).mean(axis=0))
    measured = loss(total_of(phases, fractions)) + moved + NOISE * rng.standard_normal(moved.shape)
    values = (measured[::2] - measured[1::2]) / np.sqrt(2)
    values = np.concatenate([values, values.mean(axis=1, keepdims=True)], axis=1)
    wrong = rng.standard_normal((6, 6)) * 0.02 * loss(points).std(axis=0)

    def level(shares: np.ndarray) -> np.ndarray:
        found = loss(shares) + np.sin(5 * shares) @ wrong
        return np.concatenate([found, found.mean(axis=1, keepdims=True)], axis=1)

    scales = np.full(len(values), 1 / np.sqrt(2))
    found = order_matters(Contrasts(phases[::2], phases[1::2], values, scales), level, fractions)
    return found.matters, found.pays, LAWS[found.laws[int(found.gains.argmax())]]


# What branches cost -------------------------------------------------------------------------------------------


def cost(folder: Path, rounds: int = 5) -> str:
    """CPU seconds of a stack with branches, in parts of what is said before; the least of some rounds of each."""
    import torch

    torch.set_num_threads(1)
    corpus, rng = small_corpus(folder), np.random.default_rng(0)
    mixtures = rng.dirichlet(np.ones(3), 16).tolist()
    whole = [TaskRun(id=f"w{n}", weights=one, seed=1) for n, one in enumerate(mixtures[:8])]
    trunks, branches = whole[:4], []
    for n, late in enumerate(mixtures[4:]):
        phases = [mixtures[n % 4], late]
        total = total_of(np.array(phases), np.array(FRACTIONS)).tolist()
        branches.append(TaskRun(id=f"b{n}", weights=total, seed=1, phases=phases, trunk=f"w{n % 4}"))
    spec = StudySpec.from_dict({"name": "x", "phases": [{"fraction": one} for one in FRACTIONS], "branches": 12})
    fidelity = replace(PRESETS["sketch"], schedule="wsd", tokens=32_768)
    said = (4 + whole_trainings(replace(spec, fidelity=fidelity), PHASED, 12)) / 8
    spent = {"whole": [], "branched": []}
    for _ in range(rounds):
        spent["whole"].append(seconds_of(fidelity, corpus, whole))
        spent["branched"].append(seconds_of(fidelity, corpus, [*trunks, *branches]))
    found = min(spent["branched"]) / min(spent["whole"])
    return (
        f"4 mixtures with 3 branches each: said to cost {said:.1%} of 8 mixtures trained whole, cost {found:.1%} in "
        f"CPU seconds, {found / said - 1:+.1%} (the least of {rounds} rounds of each)."
    )


def seconds_of(fidelity: Fidelity, corpus, runs: list[TaskRun]) -> float:
    """CPU seconds of training a stack to its end."""
    from engine.proxies.train import Training

    training = Training(fidelity, corpus, LETTERS, runs, "cpu", fractions=FRACTIONS)
    started = time.process_time()
    while training.step < fidelity.steps:
        if training.waiting and training.step == training.joins:
            training.join()
        training.advance()
    return time.process_time() - started


def small_corpus(folder: Path):
    """Three domains of random words."""
    from engine import corpus as corpora

    rng = np.random.default_rng(0)
    for domain in LETTERS:
        (folder / "text" / domain).mkdir(parents=True)
        words = ["".join(rng.choice(list("aeinrst" + domain), rng.integers(2, 8))) for _ in range(50)]
        for k in range(20):
            (folder / "text" / domain / f"{k}.txt").write_text(" ".join(rng.choice(words, 1000)))
    source = {"type": "folder", "path": str(folder / "text")}
    corpora.build(corpora.CorpusSpec(source=source, tokenizer="bytes"), folder / "corpus", processes=1)
    return corpora.load(folder / "corpus")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=100)
    options.add_argument("--triples", type=int, default=12)
    options.add_argument("--out", type=Path, default=RESULTS)
    chosen = options.parse_args()
    rows, started = [], time.process_time()
    for kind, size in [("none", 0.0)] + [(kind, size) for kind in ("exposure", "transport", "line") for size in (2, 1)]:
        found = [study_of(seed, kind if size else "line", size, chosen.triples) for seed in range(chosen.seeds)]
        any_, mean, laws = zip(*found, strict=True)
        most = max(set(laws), key=laws.count) if size else "–"
        rows.append(f"| {kind} | {size:g} | {sum(any_)} | {sum(mean)} | {most} |")
        print(rows[-1], flush=True)
    seconds = time.process_time() - started
    with tempfile.TemporaryDirectory() as folder:
        branches = cost(Path(folder))
    print(branches)
    chosen.out.write_text(
        f"# Does order matter?\n\n`python -m benchmarks.phases`, {chosen.seeds} seeds, {chosen.triples} triples of 6 "
        "domains, phases of 80% and 20%. Size: the root mean square of the order's effect on an ordered run, in "
        "standard deviations of one run's noise. Found: in how many seeds the verdict is that order matters, in some "
        f"loss or in their mean; in the mean: in that itself. "
        f"{seconds / len(rows) / chosen.seeds:.2f} CPU seconds a study.\n\n"
        "| effect | size | found | in the mean | law chosen most often |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + f"\n\n{branches}\n"
    )


if __name__ == "__main__":
    main()
