"""A workspace with a finished study of 64 domains: `python -m benchmarks.many_domains FOLDER`.

Its corpus is built from made-up text, its runs are planned by Mixdesk, and their journals are written here by a
synthetic law with noise in place of training: a loss of each of the 64 domains, and a curve. Leaderboard and search are
jobs as always, of three surrogates: all of them would take an hour on two busy cores. `python -m benchmarks.pages
FOLDER wide` says how long a person waits there.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.core.workspace import Workspace
from engine.service.owner import Owner
from engine.spec.fidelity import PRESETS
from engine.spec.study import StudySpec
from engine.studies import lifecycle
from engine.studies.corpora import build_corpus
from store import corpora, jobs
from store.database import Store

ROOT = Path(__file__).parents[1]
SOURCES = ("web", "code", "books", "papers", "forums", "news", "law", "wiki")
TOPICS = ("maths", "physics", "health", "history", "sports", "music", "travel", "food")
DOMAINS = [f"{source}_{topic}" for source in SOURCES for topic in TOPICS]
STUDY, RUNS, REPEATS = "wide", 200, 8  # a smooth surrogate of 64 domains needs 195
SURROGATES = ("gp_rational", "ridge", "lasso")
WORDS, DOCUMENTS, LENGTH = 400, 150, 120  # of a domain: different words, documents, words of a document
STEPS, NOISE = 12, 0.004  # points of a curve; bits per byte of a loss


def write_text(folder: Path) -> None:
    """A folder with made-up text for each domain, of words of its own."""
    rng = np.random.default_rng(64)
    for name in DOMAINS:
        (folder / name).mkdir(parents=True)
        words = ["".join(rng.choice(list("abcdefghiklmnoprstuvwy"), rng.integers(2, 9))) for _ in range(WORDS)]
        often = 1 / np.arange(1, WORDS + 1)
        for number in range(DOCUMENTS):
            text = " ".join(rng.choice(words, LENGTH, p=often / often.sum()))
            (folder / name / f"{number}.txt").write_text(text)


def law() -> np.ndarray:
    """(D, D): how much a token of each domain (columns) is worth to the loss of each (rows): its own most, those of its
    source and of its topic some."""
    rng = np.random.default_rng(8)
    place = np.arange(len(DOMAINS))
    source, topic = place // len(TOPICS), place % len(TOPICS)
    near = 0.08 * (source[:, None] == source) + 0.12 * (topic[:, None] == topic) + 0.01
    return np.eye(len(DOMAINS)) + near * rng.uniform(0.3, 1.7, near.shape)


def losses(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(R, D) measured losses of mixtures (R, D), bits per byte."""
    own = np.random.default_rng(9)
    helped = points @ law().T
    floor, depth = own.uniform(0.9, 1.8, len(DOMAINS)), own.uniform(0.5, 1.0, len(DOMAINS))
    return floor + depth * (helped + 0.01) ** -0.15 + rng.normal(0, NOISE, points.shape)


def tell(store: Store, job: jobs.JobRow, rng: np.random.Generator) -> None:
    """Write a training job's journal as its proxies would have, and end it."""
    folder = store.spool.find(job.id)
    task = json.loads((folder / "spec.json").read_text())
    fidelity, own = PRESETS["demo"], [run["id"] for run in task["runs"]]
    shares = np.array([run["weights"] for run in task["runs"]])
    found, t = losses(shares, rng), time.time()
    lines = [{"kind": "job.started", "t": t, "pid": 1, "host": "here"}]
    for step in range(1, STEPS + 1):
        done = step / STEPS
        way = (shares * found).sum(axis=1) + 2 * (1 - done) ** 2
        at = {"step": round(done * fidelity.steps), "steps": fidelity.steps, "tokens": round(done * fidelity.tokens)}
        lines.append(
            {"kind": "runs.progress", "t": t, "runs": own, **at, "loss": way.tolist(), "tokens_per_second": 1e5}
        )
    for run, mixture, values in zip(own, shares, found.tolist(), strict=True):
        cost = {"tokens": fidelity.tokens, "seconds": 5.0, "cpu_seconds": 5.0, "device": "cpu", "parameters": 25_000}
        measured = {"losses": dict(zip(DOMAINS, values, strict=True)), "losses_se": dict.fromkeys(DOMAINS, NOISE)}
        lines.append({"kind": "run.finished", "t": t, "run": run, "shares": mixture.tolist(), **measured, **cost})
    lines.append({"kind": "job.finished", "t": t})
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    store.spool.move(folder, "ended")


def until(owner: Owner, is_done: Callable[[], bool]) -> None:
    """Let a worker work until something is done."""
    command = [sys.executable, "-m", "engine.worker", "--workspace", str(owner.workspace.root)]
    with subprocess.Popen(command, cwd=ROOT) as worker:
        while not is_done():
            if failed := jobs.in_state(owner.store, ("failed",), 1):
                sys.exit(str(failed[0].message))
            time.sleep(0.5)
        worker.terminate()


def write_study(owner: Owner, text: Path) -> None:
    """A corpus of a folder, a study of it and what its runs measured; then its leaderboard and its search."""
    store, rng = owner.store, np.random.default_rng(7)
    build_corpus(store, STUDY, {"source": {"type": "folder", "path": str(text)}})
    until(owner, lambda: corpora.manifest(store, STUDY) is not None)
    asked = StudySpec(STUDY, PRESETS["demo"], STUDY, runs=RUNS, repeats=REPEATS, surrogates=SURROGATES)
    lifecycle.begin(store, asked, STUDY)
    for job in jobs.of_study(store, STUDY):
        tell(store, job, rng)
    until(owner, lambda: any(one.kind == "search" and one.state == "done" for one in jobs.of_study(store, STUDY)))


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as text:
        write_text(Path(text))
        owner = Owner(Workspace.open(root))
        try:
            write_study(owner, Path(text))
        finally:
            owner.close()


if __name__ == "__main__":
    main()
