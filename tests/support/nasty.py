"""A workspace in which every text that a user gives would become something else as Markdown, HTML or a link."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.commands import COMMANDS
from engine.core.people import Person, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import CorpusPlanned, PlannedJob, StudyCreated, StudyMetric, StudyPlanned
from engine.jobs.ledger import SourcePrice, SourcePriced, hash_of
from engine.jobs.runs import PlannedRun, run_id
from engine.review import acts
from engine.spec.fidelity import PRESETS
from engine.spec.merge import MergeSpec
from engine.spec.objectives import BITS
from engine.spec.study import StudySpec
from store import studies
from store.database import Store
from tests.support.running import engine

RUNS, DOMAINS = 18, 3
MIXTURE, MERGE = "mixture", "merge"  # the ids of its studies
PEOPLE = ("operator", "reviewer")


def nasty(what: str) -> str:
    """A text of at most 40 characters that says what it is, where it is read as it should not be."""
    return f"[{what}](b) **b** <i> a@e.x $c$"


def names(what: str) -> list[str]:
    return [nasty(f"{what} {k}") for k in range(DOMAINS)]


def build(root: Path) -> Path:
    """Two studies with fits and searches, a corpus, candidates and their review, a ledger, an import, tokens."""
    with as_person(Person(nasty("person"), "operator")):
        store = Store(Workspace.open(root))
        corpus(store)
        study(store, MIXTURE, names("domain"), names("domain"), None)
        merging = MergeSpec(base="base", experts={name: f"e{k}" for k, name in enumerate(names("expert"))})
        study(store, MERGE, names("expert"), names("domain"), merging)
        store.close()
        for one in (MIXTURE, MERGE):
            engine(root, "fit", one, "--wait")
            engine(root, "search", one, "--points", "2000", "--wait")
        engine(root, "propose", MIXTURE, "--count", "2", "--wait")
        store = Store(Workspace.open(root))
        review(store)
        imported(store)
        store.close()
    return root


def fact(k: int) -> dict:
    counts = {"documents": 9, "train_documents": 8, "valid_documents": 1, "filtered": 0, "cut": 0, "skipped_count": 1}
    sizes = {"train_tokens": 1e6 + k, "valid_tokens": 1e4, "train_bytes": 1e6, "valid_bytes": 1e4, "whole": True}
    read = {"found": 2, "read": 1, "beyond_cap": 0, "paths": [nasty("file")]}
    more = {
        "available_bytes": None,
        "duplicates": {"exact": 0, "near": 0, "blocks": 0},
        "leak": {"own": 0.1, "any": 0.2},
    }
    return (
        counts | sizes | more | {"examples": [nasty("text")], "files": read, "sha256": {"train": "0", "valid": f"{k}"}}
    )


def tell(store: Store, job: str, *events: dict) -> None:
    """A job says something, and is done."""
    store.ingest()
    with open(store.spool.find(job) / "events.jsonl", "a") as journal:
        journal.writelines(json.dumps({"t": 1.0, **event}) + "\n" for event in (*events, {"kind": "job.finished"}))
    store.spool.move(store.spool.find(job), "ended")
    store.ingest()
    assert not store.rows("SELECT * FROM corrupt_lines"), store.rows("SELECT reason FROM corrupt_lines")


def corpus(store: Store) -> None:
    source = {"source": {"type": "folder", "path": str(store.workspace.root)}}
    store.write(CorpusPlanned("mine", source))
    store.submit("corpus-mine", {"kind": "corpus", "corpus": "mine", **source})
    place = {"path": nasty("path"), "reason": nasty("reason"), "domain": nasty("domain 0")}
    manifest = {"version": 1, "fingerprint": "0", "spec": {**source, "cap_mb": 8.0, "private": False}, "seconds": 1.0}
    manifest |= {"tokenizer": {"type": "bytes", "vocabulary": 256, "end": "newline"}, "missing": [nasty("package")]}
    manifest |= {"domains": {name: fact(k) for k, name in enumerate(names("domain"))}, "packages": []}
    manifest |= {"skipped": [place], "noticed": [place], "left_out": [place], "left_out_count": 1}
    tell(store, "corpus-mine", {"kind": "corpus.built", "corpus": "mine", "manifest": manifest})


def study(store: Store, name: str, coordinates: list[str], domains: list[str], merge: MergeSpec | None) -> None:
    """A study whose runs are all measured, as its journals tell it."""
    fidelity = None if merge else replace(PRESETS["demo"], width=16, layers=1)
    more = {"surrogates": ("log_linear", "ridge"), "corpus": "mine", "fidelity": fidelity, "merge": merge}
    spec = StudySpec(name=nasty(name), runs=RUNS, **more)
    metrics = [StudyMetric(metric=one, unit=BITS, higher_is_better=False, domain=one) for one in domains]
    metrics.append(StudyMetric(metric=nasty("metric"), unit=nasty("unit"), higher_is_better=True))
    points = np.random.default_rng(0).dirichlet(np.ones(len(coordinates)), RUNS).round(6)
    points[:, -1] = 1 - points[:, :-1].sum(axis=1)
    labels = {0: nasty("baseline"), 1: "uniform"}
    job = f"{name}-job"
    rows = [
        PlannedRun(
            id=run_id(name, n + 1),
            number=n + 1,
            role="baseline" if n in labels else "design",
            label=labels.get(n),
            weights=points[n].tolist(),
            seed=1,
            job=job,
        )
        for n in range(RUNS)
    ]
    kept = {"domains": {one: fact(k) for k, one in enumerate(domains)}} | ({"experts": coordinates} if merge else {})
    kind = "merge" if merge else "train"
    store.write(StudyCreated(name, spec.name, spec.to_dict()))
    planned = StudyPlanned(
        study=name,
        domains=coordinates,
        metrics=metrics,
        corpus=kept,
        runs=rows,
        jobs=[PlannedJob(job=job, spec={"kind": kind})],
    )
    store.write(planned)
    store.spool.submit({"kind": kind}, job)
    measured(store, name, points, domains, None if merge else 1000)


def measured(store: Store, name: str, points: np.ndarray, domains: list[str], tokens: int | None) -> None:
    """All runs of a study are measured by its job. tokens: of a proxy, None of a merge."""
    told = [{"kind": "job.note", "text": nasty("note")}]
    for n, point in enumerate(points):
        losses = dict(zip(domains, (2 + 0.1 * np.log(point + 0.1)).tolist(), strict=True))
        losses[nasty("metric")] = 0.5 + 0.01 * n
        found = {
            "losses": losses,
            "losses_se": dict.fromkeys(losses, 0.01),
            "device": nasty("device"),
            "tokens": tokens,
        }
        spent = {"shares": tokens and point.tolist(), "parameters": 5000, "seconds": 1.0, "cpu_seconds": 1.0}
        told.append({"kind": "run.finished", "run": run_id(name, n + 1), **found, **spent})
    tell(store, f"{name}-job", {"kind": "job.started", "pid": 1, "host": nasty("node")}, *told)


def review(store: Store) -> None:
    """Candidates with a history, notes, tags, a failed study, a price, a token."""
    for one in (MIXTURE, MERGE):
        COMMANDS["label_study"](store, one, note=nasty("note of a study"), tags=[nasty("tag")])
    made = []
    for name, role in (("first", "operator"), ("second", "reviewer")):
        with as_person(Person(nasty(f"{role}"), role)):
            point = np.full(DOMAINS, 1 / DOMAINS) + (0.01 * len(made) * np.array([1, -1, 0]))
            for one in (MIXTURE, MERGE):
                made.append(acts.nominate(store, studies.get(store, one), point, nasty(name), nasty("rationale")))
            acts.comment(store, made[0], nasty("comment"))
    with as_person(Person(nasty("voter"), "operator")):
        acts.vote(store, made[0], made[2])
        acts.decide(store, made[2], "rejected", nasty("reason"))
    COMMANDS["create_token"](store, nasty("token")[:40], "viewer", 7)
    place = {"corpus": "mine", "domain": nasty("source"), "text": "0", "share": 0.1, "candidate": nasty("candidate")}
    said = {"change": -0.1, "std": 0.02, "half": 0.04, "noise": 0.01, "settled": 0.5, "distance": 0.1, "runs": 9}
    values = {**place, **said, "mixture": [1 / 3] * 3, "weights": [0.25] * 4, "verdict": "better"}
    store.write(SourcePriced(MIXTURE, SourcePrice(hash=hash_of(values), **values)))
    broken = StudySpec(name=nasty("broken"), corpus="gone", fidelity=PRESETS["demo"])
    store.write(StudyCreated("broken", broken.name, broken.to_dict()))


def imported(store: Store) -> None:
    """Runs that were trained elsewhere, in a file with such columns."""
    rng, rows = np.random.default_rng(1), []
    for n, point in enumerate(rng.dirichlet(np.ones(DOMAINS), RUNS)):
        rows.append([nasty(f"run {n}"), *point.round(6), 2 + point[0], 3 - point[1]])
    heads = ["run", *(f"w_{name}" for name in names("column")), f"loss {nasty('one')}", f"loss {nasty('other')}"]
    lines = "\n".join(",".join(map(str, row)) for row in [heads, *rows])
    folder = store.workspace.root / "imports"
    folder.mkdir(exist_ok=True)
    (folder / f"{nasty('file')[:20].replace('/', '')}.csv").write_text(lines)
    file = next(folder.glob("*.csv")).name
    COMMANDS["import_runs"](store, nasty("imported"), "flat", file, surrogates=["log_linear", "ridge"])
