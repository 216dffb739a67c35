"""Two scarce domains, real proxies: does knowing of repetition pay? `python -m benchmarks.scarce --workspace DIR`.

Five domains of the default corpus; of two of them, docs and math, the real run has a hundredth of what was read. Two
studies of own proxies for a real run of four times their budget, at the settings of the form *New study*: one repeats
text as the real run will and has dose runs, the other has neither. Of each, two picks by the default search: that of
the leaderboard's default, and that of the default among the laws and processes that know of shares alone, on the same
runs. All picks are then trained at the real run's budget, on the real run's text, with the same seeds: five, and ten
more since five told too little. Differences are paired by seed, with Student's 95% intervals. No epoch cap binds.
Losses: mean bits per byte of the five domains. What was done stays in the workspace, and the same command goes on with
it. Writes benchmarks/results/scarce.json and scarce.md.

How to read it. The ten more seeds were added after the first five were seen, so both are told. Before any pick was
trained to its end, a design around the natural mixture turned out to give scarce text at most 3%; since then designs of
studies that repeat text lie halfway to UniMax, and the study that does not repeat it keeps the natural one: the
difference between the studies is that of both. Without repetition nobody knows of it, and both picks are the same.
"""

import argparse
import time
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from engine.cli.waiting import wait_for_study, waited, working
from engine.commands.local import Local
from engine.core.files import write_json
from engine.core.workspace import Workspace
from engine.corpus.spec import CorpusSpec
from engine.jobs.events import JobFailed, RunFinished
from engine.jobs.journal import read_events
from engine.jobs.runs import TaskRun
from engine.league.validation import cross_validate
from engine.search import search
from engine.space.baselines import epochs
from engine.spec.compute import Compute
from engine.spec.fidelity import PRESETS
from engine.spec.frame import Frame
from engine.spec.kinds.train import TrainTask
from engine.spec.repetition import kept_fractions
from engine.spec.study import StudySpec
from engine.studies.doses import doses, worth_repeating
from engine.studies.fits import fit_of
from engine.studies.measured import aggregate_of, for_fitting, frame_of_study
from engine.surrogates import SURROGATES
from engine.surrogates.around_law import AroundLaw
from engine.surrogates.prediction import predict
from store import results, studies

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.scarce --workspace DIR"
RESULTS = Path(__file__).parent / "results"
CORPUS, CAP_MB = "scarce", 3.0
DOMAINS, SCARCE, PART = ("docs", "python", "cpp", "js", "math"), ("docs", "math"), 1 / 100
RUNS, DOSE_RUNS, TIMES, CAP = 40, 8, 4, 100.0
SMALL = PRESETS["demo"]
FIRST, SEEDS = 5, tuple(range(101, 116))  # what was asked for, and what it came to: five seeds told too little
STUDIES = {
    "matched": {"simulated_epoching": True, "dose_runs": DOSE_RUNS},
    "unmatched": {"simulated_epoching": False},
}
KNOWS, SHARES = "default", "shares alone"


def counts(client: Local) -> dict[str, float]:
    """Tokens of each domain that the real run has: what was read, and of the scarce ones a part of it."""
    corpus = next(one for one in client.call("list_corpora") if one["corpus"] == CORPUS)
    read = {name: corpus["train_tokens"][name] for name in DOMAINS}
    return {name: float(round(n * PART) if name in SCARCE else n) for name, n in read.items()}


def spec_of(name: str, pools: dict[str, float]) -> StudySpec:
    """A study's settings: those of the form, but for the number of runs, the budget and the cap."""
    return StudySpec(
        name,
        SMALL,
        corpus=CORPUS,
        domains=DOMAINS,
        runs=RUNS,
        target_tokens=float(TIMES * SMALL.tokens),
        available_tokens=pools,
        epoch_cap=CAP,
        compute=Compute(max_parallel=1),
        **STUDIES[name],
    )


def picks(client: Local, asked: str) -> dict:
    """What the two surrogates of a study pick, and what they say of it."""
    store = client.owner.store
    study = studies.get(store, asked)
    frame, aggregate, runs = frame_of_study(study), aggregate_of(store, study), for_fitting(store, study.id)
    fit = fit_of(store, study)
    answer = np.array(results.searches(store, study.id)[0]["found"]["found"]["shares"])
    alone = [one for one, kind in SURROGATES.items() if kind.extrapolates and not kind.knows_conditions]
    league, _ = cross_validate(runs.weights, runs.losses, alone, priorities=aggregate.weights)
    other = SURROGATES[league.default].fit(runs.weights, runs.losses)
    found, _ = search(other, frame.space, frame.prior, aggregate.weights)
    told = worth_repeating(doses(store, study, aggregate))
    return {
        "runs": len(runs.ids),
        "worth repeating": [vars(one) for one in told],
        KNOWS: pick(fit.name, fit.surrogate, answer, frame, aggregate),
        SHARES: pick(league.default, other, found.found.shares, frame, aggregate),
    }


def pick(name: str, surrogate, shares: np.ndarray, frame: Frame, aggregate) -> dict:
    """One pick as JSON holds it; a process around a law with the law's name."""
    law = surrogate.law if isinstance(surrogate, AroundLaw) else None
    return {
        "surrogate": f"{name} ({law})" if law else name,
        "shares": dict(zip(DOMAINS, shares.round(6).tolist(), strict=True)),
        "epochs": dict(zip(DOMAINS, epochs(shares, frame.pools.tokens, frame.budget).round(3).tolist(), strict=True)),
        "predicted": predict(surrogate, shares, aggregate.weights).aggregate,
    }


def trained(client: Local, workspace: Workspace, asked: str, title: str, shares: dict[str, float]) -> dict:
    """The mean loss of a pick trained as the real run would be, of each seed, and its CPU seconds."""
    store = client.owner.store
    study, fidelity = studies.get(store, asked), replace(SMALL, tokens=TIMES * SMALL.tokens)
    spec = replace(StudySpec.from_dict(study.spec), fidelity=fidelity, simulated_epoching=True)
    keep = kept_fractions(spec, frame_of_study(study)).tolist()
    weights = np.array([shares[name] for name in DOMAINS])
    weights, name, ended = (weights / weights.sum()).tolist(), f"{asked}-{title.replace(' ', '-')}", []
    for start in range(0, len(SEEDS), FIRST):
        job = f"{name}-{start}"
        runs = [TaskRun(id=f"{name}-{seed}", weights=weights, seed=seed) for seed in SEEDS[start : start + FIRST]]
        task = TrainTask(corpus=CORPUS, domains=list(DOMAINS), runs=runs, fidelity=fidelity.to_dict(), keep=keep)
        store.spool.submit(task.spec(**Compute(max_parallel=1).settings(asked)), job)
        ended += finished(client, workspace, job, len(runs))
    found = {event.run: float(np.mean([event.losses[one] for one in DOMAINS])) for event in ended}
    losses = [found[f"{name}-{seed}"] for seed in SEEDS]
    return {"losses": losses, "cpu": sum(event.cpu_seconds for event in ended)}


def finished(client: Local, workspace: Workspace, job: str, runs: int) -> list[RunFinished]:
    """The runs of a job, once it has trained them all."""
    spool = client.owner.store.spool
    with working(client, workspace) as worker:
        while len(ended := read_events(spool.find(job), RunFinished)) < runs:
            worker.check()
            if failed := read_events(spool.find(job), JobFailed):
                raise SystemExit(failed[0].message)
            time.sleep(2)
    return ended


def difference(one: list[float], other: list[float]) -> tuple[float, float]:
    """Mean of one minus other, paired by seed, and half of its 95% interval."""
    gap = np.subtract(one, other)
    return float(gap.mean()), float(student.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) / np.sqrt(len(gap)))


def report(found: dict) -> str:
    """The tables as Markdown."""
    lines = [f"| study | pick | by | {' | '.join(f'{name}, epochs' for name in SCARCE)} | predicted | measured |"]
    lines.append("|" + "---|" * (5 + len(SCARCE)))
    for study, one in found["studies"].items():
        for title in (KNOWS, SHARES):
            row, losses = one[title], found["measured"][study][title]["losses"]
            cells = (f"{row['shares'][name]:.1%}, {row['epochs'][name]:.1f}" for name in SCARCE)
            lines.append(
                f"| {study} | {title} | `{row['surrogate']}` | {' | '.join(cells)} | {row['predicted']:.4f} | "
                f"{np.mean(losses):.4f} |"
            )
    lines += [
        "",
        f"| difference in bits per byte, below 0: the first is better | first {FIRST} seeds | all {len(SEEDS)} |",
        "|---|---|---|",
    ]
    for title, both in found["differences"].items():
        lines.append(f"| {title} | {' | '.join(f'{mean:+.4f} ± {half:.4f}' for mean, half in both)} |")
    return "\n".join(lines)


def differences(measured: dict) -> dict[str, list[tuple[float, float]]]:
    """What is asked of the measured losses: by the first seeds, and by all."""

    def of(study: str, title: str) -> list[float]:
        return measured[study][title]["losses"]

    asked = {f"{study}: {KNOWS} minus {SHARES}": (of(study, KNOWS), of(study, SHARES)) for study in STUDIES}
    last = list(STUDIES)[-1]
    asked |= {
        f"matched, {KNOWS} minus {last}, {title}": (of("matched", KNOWS), of(last, title)) for title in (KNOWS, SHARES)
    }
    return {
        title: [difference(*(losses[:count] for losses in pair)) for count in (FIRST, len(SEEDS))]
        for title, pair in asked.items()
    }


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--workspace", type=Path, required=True, help="where the studies are kept")
    workspace = Workspace.open(asked.parse_args().workspace)
    found: dict = {"command": COMMAND, "date": date.today().isoformat(), "seeds": SEEDS, "studies": {}, "measured": {}}
    with closing(Local(workspace)) as client:
        built = client.call("build_corpus", name=CORPUS, spec=CorpusSpec(cap_mb=CAP_MB).to_dict())
        waited(client, workspace, [built["job"]])
        found["pools"] = counts(client)
        for name in STUDIES:
            there = {one["name"]: one["study"] for one in client.call("list_studies")}
            study = there.get(name) or client.call("start", spec=spec_of(name, found["pools"]).to_dict())["study"]
            wait_for_study(client, workspace, study)
            found["studies"][name] = {"study": study, **picks(client, study)}
            print(name, found["studies"][name], flush=True)
        for name, told in found["studies"].items():
            found["measured"][name] = measured = {}
            for title in (KNOWS, SHARES):
                same = title == SHARES and told[KNOWS]["shares"] == told[SHARES]["shares"]
                shares = told[title]["shares"]
                measured[title] = measured[KNOWS] if same else trained(client, workspace, told["study"], title, shares)
            print(name, measured, flush=True)
    found["differences"] = differences(found["measured"])
    write_json(RESULTS / "scarce.json", found)
    about, reading = (part.replace("\n", " ").split(" Writes")[0].strip() for part in __doc__.split("\n\n")[1:3])
    table = report(found)
    head = f"# Two scarce domains\n\n`{COMMAND}`, {found['date']}."
    (RESULTS / "scarce.md").write_text(f"{head}\n\n{about}\n\n{table}\n\n{reading}\n")
    print(table)


if __name__ == "__main__":
    main()
