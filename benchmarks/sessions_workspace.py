"""The workspace that benchmarks/sessions.py serves: many studies with runs, fits, searches and candidates."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from engine.core.workspace import Workspace
from engine.review import acts
from engine.search.job import draws_file
from engine.service.owner import Owner
from engine.studies import advance, imports
from store import jobs, reviews, studies
from store.database import Store

ROOT = Path(__file__).parents[1]
DOMAINS = ["docs", "python", "cpp", "javascript", "maths", "web"]
REVIEWED, CANDIDATES = 10, 3  # studies with candidates; candidates each


def write_workspace(root: Path, count: int, each: int) -> None:
    """`count` studies of `each` runs, fitted and searched; the first ones have candidates."""
    workspace = Workspace.open(root)
    (root / "imports").mkdir(exist_ok=True)
    (root / "imports" / "runs.csv").write_text(table(each))
    owner = Owner(workspace)
    try:
        first = import_one(owner.store, 0)
        worker = subprocess.Popen([sys.executable, "-m", "engine.worker", "--workspace", str(root)], cwd=ROOT)
        try:
            while not any(job.kind == "search" and job.state == "done" for job in jobs.of_study(owner.store, first)):
                time.sleep(0.5)
        finally:
            worker.terminate()
            worker.wait()
        for number in range(1, count):
            import_one(owner.store, number)
            print(f"\r{number + 1} studies", end="", file=sys.stderr, flush=True)
        copy_results(owner.store, first)
        for study in studies.all_studies(owner.store)[-REVIEWED:]:
            for number, point in enumerate(np.random.default_rng(0).dirichlet(np.ones(len(DOMAINS)), CANDIDATES)):
                acts.nominate(owner.store, study, point, f"candidate {number}", "It was drawn by lot.")
    finally:
        owner.close()


def table(each: int) -> str:
    """Runs of a known law with noise."""
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.full(len(DOMAINS), 0.8), each)
    losses = 2.5 + 0.4 * np.log1p(1 / (shares + 0.03)) / 3 + 0.02 * shares @ rng.normal(size=(len(DOMAINS),) * 2)
    losses += 0.01 * rng.normal(size=losses.shape)
    rows = [",".join(["run", *(f"share/{d}" for d in DOMAINS), *(f"metric/{d}_loss" for d in DOMAINS)])]
    for number, values in enumerate(np.hstack([shares, losses]).tolist()):
        rows.append(",".join([f"r{number}", *map(repr, values)]))
    return "\n".join(rows) + "\n"


def import_one(store: Store, number: int) -> str:
    return imports.import_runs(store, f"Study {number:03d}", "flat", "runs.csv")["study"]


def copy_results(store: Store, first: str) -> None:
    """Give every study what the jobs of the first one found: their runs are the same."""
    print_of = studies.league(store, first)["fingerprint"]
    for kind in ("fit", "search"):
        done = next(job.id for job in jobs.of_study(store, first) if job.kind == kind)
        events = (store.spool.find(done) / "events.jsonl").read_text()
        store.ingest()
        for study in studies.all_studies(store):
            for job in jobs.of_study(store, study.id):
                if job.kind == kind and job.state == "queued":
                    mine = json.loads((store.spool.find(job.id) / "spec.json").read_text())
                    own = mine.get("fingerprint") or mine["settings"]["fingerprint"]
                    text = events.replace(first, study.id).replace(print_of, own)
                    copy_files(store, first, print_of, study.id, own, done, job.id)
                    (store.spool.find(job.id) / "events.jsonl").write_text(text)
                    store.spool.move(store.spool.find(job.id), "ended")
        store.ingest()
        advance.advance(store)


def copy_files(store, first, print_of, study, own, done, job) -> None:
    source, target = store.workspace.surrogates(first, print_of), store.workspace.surrogates(study, own)
    if not target.exists():
        shutil.copytree(source, target)
    root = store.workspace.root
    if (root / draws_file(done)).exists():
        (root / draws_file(job)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / draws_file(done), root / draws_file(job))


def write_links(root: Path) -> None:
    """[(a study's name, a candidate of it), ...] that sessions go to."""
    store = Store(Workspace.open(root))
    try:
        found = [
            (study.name, candidate.id)
            for study in studies.all_studies(store)
            for candidate in reviews.of_study(store, study.id)
        ]
    finally:
        store.close()
    (root / "links.json").write_text(json.dumps(found))
