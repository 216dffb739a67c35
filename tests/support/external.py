"""What tests of external trainers share: a small study of one, its jobs done here and now, and a trainer that is not
ours: a table of bigrams that learns by gradient descent, in plain numpy."""

import json
from pathlib import Path

import numpy as np

from engine.commands import COMMANDS
from engine.jobs.events import JobFinished, JobStarted
from engine.jobs.kinds import kind_of
from engine.jobs.spool import Job
from engine.studies import advance
from store.database import Store

DOMAINS = ("web", "code", "books")
SIZE = {"parameters": 64.0, "tokens": 3840.0}
SPEC = {
    "name": "Lab",
    "trainer": "external",
    "domains": list(DOMAINS),
    "size": SIZE,
    "available_tokens": {"web": 1e6, "code": 5e5, "books": 2e5},
    "runs": 10,
    "repeats": 2,
    "surrogates": ["gp"],
}


def call(store: Store, command: str, **arguments):
    return COMMANDS[command](store, **arguments)


def planned(store: Store, **changed) -> list[str]:
    """A study of an external trainer; the ids of its runs."""
    call(store, "start", spec={**SPEC, **changed})
    return [row["id"] for row in call(store, "list_runs", name="Lab")]


def losses(shares: dict[str, float]) -> dict[str, float]:
    """What a run measures, without training one: each domain's loss falls with its share."""
    return {name: 3 - shares.get(name, 0.0) ** 0.5 for name in DOMAINS}


def rows(store: Store) -> dict[str, dict]:
    return {row["id"]: row for row in call(store, "list_runs", name="Lab")}


def report(store: Store, *runs: dict) -> dict:
    return call(store, "submit_runs", name="Lab", runs=list(runs))


def fits(store: Store) -> list[str]:
    """The jobs that fit, in the order in which they were planned."""
    return [job["id"] for job in call(store, "show", name="Lab")["jobs"] if job["kind"] == "fit"]


def kind_in(folder: Path) -> str:
    return json.loads((folder / "spec.json").read_text())["kind"]


def work(store: Store, *kinds: str) -> None:
    """Do the queued jobs, of these kinds or of all, and what follows from them, by their own code."""
    while folders := [one for one in store.spool.folders("queued") if not kinds or kind_in(one) in kinds]:
        for queued in folders:
            folder = store.spool.move(queued, "active")
            job = Job(folder, store.workspace.root, json.loads((folder / "spec.json").read_text()))
            job.emit(JobStarted())
            kind_of(job.spec["kind"]).function()(job)
            job.emit(JobFinished())
            store.spool.move(folder, "ended")
        store.ingest()
        advance.advance(store)


# The trainer ------------------------------------------------------------------------------------------------------

LETTERS, BATCH, STEPS = 8, 64, 60


def text_of(domain: str, count: int, seed: int) -> np.ndarray:
    """(count, 2) pairs of letters that follow each other in a domain, from a chain of its own."""
    own = np.random.default_rng(DOMAINS.index(domain))
    chain = own.dirichlet(np.full(LETTERS, 0.3), LETTERS).cumsum(axis=1)
    rng = np.random.default_rng([seed, DOMAINS.index(domain)])
    first = rng.integers(LETTERS, size=count)
    second = (rng.random((count, 1)) > chain[first]).sum(axis=1).clip(max=LETTERS - 1)
    return np.stack([first, second], axis=1)


def train(shares: dict[str, float], seed: int) -> tuple[dict[str, float], list[dict]]:
    """Train on a mixture; the loss of every domain in bits, and the curve."""
    rng, table, curve = np.random.default_rng(seed), np.zeros((LETTERS, LETTERS)), []
    names, weights = list(shares), np.array(list(shares.values()))
    texts = {name: text_of(name, 4096, 1) for name in names}
    for step in range(1, STEPS + 1):
        counts = rng.multinomial(BATCH, weights / weights.sum())
        drawn = [texts[name][rng.integers(4096, size=n)] for name, n in zip(names, counts, strict=True)]
        first, second = np.concatenate(drawn).T
        odds = np.exp(table[first])
        odds /= odds.sum(axis=1, keepdims=True)
        bits = -np.log2(odds[np.arange(BATCH), second]).mean()
        slope = odds.copy()
        slope[np.arange(BATCH), second] -= 1
        np.add.at(table, first, -8 / BATCH * slope)
        if step % 20 == 0:
            curve.append({"step": step, "tokens": step * BATCH, "loss": float(bits)})
    return {name: bits_on(table, name) for name in DOMAINS}, curve


def bits_on(table: np.ndarray, domain: str) -> float:
    first, second = text_of(domain, 2048, 2).T
    logs = table - np.log(np.exp(table).sum(axis=1, keepdims=True))
    return float(-logs[first, second].mean() / np.log(2))
