"""Two studies, each with a job and three runs: what tests of strangers' journals write into, and read."""

import json
from pathlib import Path

from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.spec.study import StudySpec
from store.database import Store

DOMAINS = ["prose", "code"]
OWN, OTHER = "mine-train", "other-train"


def desk(root: Path) -> Store:
    """A store with two studies, each with a job and three runs."""
    store = Store(Workspace.open(root))
    add_studies(store)
    return store


def add_studies(store: Store) -> None:
    for name in ("mine", "other"):
        rows = [
            {"id": f"{name}-{n}", "number": n, "role": "design", "weights": [n / 10, 1 - n / 10], "seed": n}
            | {"job": f"{name}-train"}
            for n in (1, 2, 3)
        ]
        store.write(StudyCreated(name, name, StudySpec.from_dict({"name": name}).to_dict()))
        job = {"job": f"{name}-train", "spec": {"kind": "train"}}
        store.write(StudyPlanned(study=name, domains=DOMAINS, corpus={}, runs=rows, jobs=[job]))
        store.spool.submit({"kind": "train"}, f"{name}-train")


def add(store: Store, job: str, *lines: bytes) -> None:
    with open(store.spool.find(job) / "events.jsonl", "ab") as journal:
        journal.writelines(line.rstrip(b"\n") + b"\n" for line in lines)


def finished(run: str, **more) -> dict:
    losses = {"code": 1.0, "prose": 2.0}
    told = {"kind": "run.finished", "t": 1.0, "run": run, "losses": losses, "losses_se": losses, "shares": [0.5, 0.5]}
    return told | {"tokens": 9, "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu", "parameters": 1} | more


def tables(store: Store) -> dict[str, list[str]]:
    names = ("studies", "jobs", "runs", "curve", "evaluations", "results", "leagues", "corrupt_lines", "api_tokens")
    return {name: sorted(map(repr, store.rows(f"SELECT * FROM {name}"))) for name in names}


def one_line(event: dict) -> bytes:
    return json.dumps(event).encode()


def league(metrics: int, runs: int, name: str = "gp") -> dict:
    """A leaderboard of one surrogate, as its job tells it."""
    several, share = [0.5] * metrics, {"50": 0.5, "80": 0.8, "95": 0.95}
    scores = {
        "spearman": several,
        "mean_spearman": 0.5,
        "interval": [0.4, 0.6],
        "aggregate_spearman": 0.5,
        "score": 0.5,
    }
    widths = {"rmse": several, "scale": several, "coverage": share, "calibrated_coverage": share}
    standing = {"name": name, **scores, **widths, "regret": 0.0, "stability": 0.1, "problem": None}
    return {"standings": [standing], "default": name, "runs": runs, "folds": 5, "repeats": 1, "seed": 0}
