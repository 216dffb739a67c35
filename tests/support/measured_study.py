"""A study whose runs are all measured, as its journals tell it: of points and values that a test chooses."""

import json
from dataclasses import replace

import numpy as np

from engine.jobs.decisions import PlannedJob, RunsAdded, StudyCreated, StudyMetric, StudyPlanned
from engine.jobs.runs import PlannedRun, run_id
from engine.jobs.spool import Job
from engine.league import run as run_league
from engine.spec.fidelity import PRESETS
from engine.spec.study import StudySpec
from engine.studies import fits
from store import corpora, studies
from store.database import Store
from tests.support.nasty import corpus, fact, tell


def measured_study(
    store: Store,
    name: str,
    weights: np.ndarray,
    values: np.ndarray,
    metrics: list[StudyMetric],
    roles: list[str] | None = None,
    sizes: np.ndarray | None = None,
    in_phases: list[np.ndarray | None] | None = None,
    looks: dict[int, np.ndarray] | None = None,
    **spec,
) -> studies.Study:
    """weights (R, D) of domains d0, d1, ...; values (R, M), NaN where missing; sizes (R, 2): parameters and tokens;
    in_phases: of each run (F, D), or None; looks: losses (R, D) on the way, by tokens; spec: more settings."""
    domains = [f"d{k}" for k in range(weights.shape[1])]
    weights = summing_to_one(weights)
    if corpora.spec(store, "mine") is None:
        corpus(store)
    fidelity = replace(PRESETS["demo"], width=16, layers=1)
    wanted = StudySpec(name=name, corpus="mine", fidelity=fidelity, **{"surrogates": ("log_linear", "gp"), **spec})
    roles = roles or ["design"] * len(weights)
    job = f"{name}-job"
    parts = [None if one is None else one.tolist() for one in in_phases or [None] * len(weights)]
    rows = [
        PlannedRun(
            id=run_id(name, n), number=n, role=role, label=None, weights=point.tolist(), seed=n, job=job, phases=own
        )
        for n, (point, role, own) in enumerate(zip(weights, roles, parts, strict=True), 1)
    ]
    store.write(StudyCreated(name, name, wanted.to_dict()))
    kept = {"domains": {one: fact(k) for k, one in enumerate(domains)}}
    made = [PlannedJob(job=job, spec={"kind": "train"})]
    store.write(StudyPlanned(study=name, domains=domains, metrics=metrics, corpus=kept, runs=rows, jobs=made))
    store.spool.submit({"kind": "train"}, job)
    sizes = np.tile([5000, 1000], (len(weights), 1)) if sizes is None else sizes
    told = [
        finished(row, dict(zip([one.metric for one in metrics], value, strict=True)), size)
        for row, value, size in zip(rows, values, sizes, strict=True)
    ]
    tell(store, job, {"kind": "job.started"}, *looked([row.id for row in rows], looks or {}), *told)
    return studies.get(store, name)


def summing_to_one(weights: np.ndarray) -> np.ndarray:
    """Weights (R, D) in nine digits."""
    found = np.asarray(weights, float).round(9)
    found[:, -1] = np.maximum(0, 1 - found[:, :-1].sum(axis=1))
    return found


def looked(runs: list[str], looks: dict[int, np.ndarray]) -> list[dict]:
    """What a job says of runs on the way: their losses (R, D) by tokens."""
    said = {"kind": "runs.evaluated", "runs": runs}
    return [{**said, "tokens": tokens, "losses": losses.tolist()} for tokens, losses in looks.items()]


def in_training(store: Store, study: studies.Study, weights: np.ndarray, looks: dict[int, np.ndarray]) -> list[str]:
    """More runs of a study, (R, D), in a job that trains them; their ids."""
    job, first = f"{study.id}-more", study.runs + 1
    made = [
        PlannedRun(id=run_id(study.id, n), number=n, role="design", weights=point.tolist(), seed=n, job=job)
        for n, point in enumerate(summing_to_one(weights), first)
    ]
    runs = [one.id for one in made]
    store.write(RunsAdded(study.id, made, [PlannedJob(job=job, spec={"kind": "train"})]))
    store.spool.submit({"kind": "train"}, job)
    began = [{"kind": "job.started"}, {"kind": "runs.started", "runs": runs, "device": "cpu", "parameters": 5000}]
    folder = store.spool.move(store.spool.find(job), "active")
    lines = [json.dumps({"t": 1.0, **event}) + "\n" for event in (*began, *looked(runs, looks))]
    (folder / "events.jsonl").write_text("".join(lines))
    store.ingest()
    return runs


def finished(row: PlannedRun, values: dict[str, float], size: np.ndarray) -> dict:
    """What a job says of a run; values that are not numbers are left out."""
    known = {metric: float(one) for metric, one in values.items() if np.isfinite(one)}
    told = {"losses": known, "losses_se": dict.fromkeys(known, 0.01), "shares": row.weights, "device": "cpu"}
    spent = {"tokens": int(size[1]), "parameters": int(size[0]), "seconds": 1.0, "cpu_seconds": 1.0}
    return {"kind": "run.finished", "run": row.id, **told, **spent}


def fit(store: Store, study: studies.Study, **more) -> None:
    """Fit a study's surrogates here and now, by the job's own code; more: settings of the task, such as `repeats`."""
    folder = store.spool.find(fits.ask_fit(store, study).id)
    spec = json.loads((folder / "spec.json").read_text()) | {"repeats": 1, **more}
    run_league(Job(folder, store.workspace.root, spec))
    store.ingest()
