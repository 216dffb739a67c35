"""The jobs of merge studies: train experts, measure merges. Uses the store."""

from dataclasses import asdict, replace

import numpy as np

from engine.jobs.decisions import PlannedJob, StudyMetric, StudyPlanned
from engine.jobs.runs import PlannedRun, TaskRun, run_id
from engine.metrics.evaluators import program_of
from engine.space.baselines import natural
from engine.spec.flips import BASE
from engine.spec.frame import merge_frame
from engine.spec.kinds.merge import MergeRun, MergeTask
from engine.spec.kinds.preflight import PreflightTask
from engine.spec.kinds.train import TrainTask
from engine.spec.merge import (
    EXPERT,
    MOST_PAIRED,
    PAIRED,
    REFERENCE,
    by_arithmetic,
    checkpoint,
    coordinates,
    expert_file,
    first_points,
    layers_of,
    point_from,
    reference_merges,
)
from engine.spec.objectives import check_weighed
from engine.spec.pools import pools_of
from engine.spec.starts import folder_of
from engine.spec.study import StudySpec, chosen_domains
from engine.spec.tasks import Merging
from engine.studies.overlap import overlap_jobs
from engine.studies.starts import check_fits
from engine.studies.tasks import objectives_in
from store import runs, studies
from store.database import Store

BATCH = 64  # merges per job: a second or two in the demo
WAITS = 5.0  # priority of all its jobs: after those of mixture studies


def planned(store: Store, spec: StudySpec, study: str, manifest: dict) -> StudyPlanned | None:
    """What a merge study will measure; None while the mixture study of its comparison is not planned.

    Raises Problem if checkpoints are missing, or the method cannot merge that many experts.
    """
    check_fits(store, spec, manifest)
    merge, domains = spec.merge, chosen_domains(spec, manifest)
    mixture_study = studies.get(store, merge.of) if merge.of else None
    if mixture_study is not None and not mixture_study.domains:
        return None
    if merge.external:
        base = checkpoint(store.workspace.root, merge.base)
        layers = layers_of(base) if merge.by == "layer" else 0
        experts = list(merge.experts)
        for name in experts:
            checkpoint(store.workspace.root, merge.experts[name])
        for name in merge.evaluators:
            program_of(name, store.workspace.root)
    else:
        layers, experts = spec.fidelity.layers, domains
    names = coordinates(merge, experts, layers)
    if merge.external:
        task = merging_of(spec, study, experts, names, domains)
        check = PreflightTask(study=study, base=task.base, experts=task.experts, evaluators=merge.evaluators)
        rows, jobs = [], [{"job": f"{study}-preflight", "spec": check.spec(priority=priority_of(spec))}]
    else:
        rows, jobs = training(spec, study, domains, names, manifest)
    rows += merges(store, spec, study, experts, names, mixture_study, len(rows) + 1)
    objectives = objectives_in(store, spec, domains, BASE)
    check_weighed(objectives, spec.priorities)
    corpus = {"domains": {name: manifest["domains"][name] for name in domains}, "experts": experts}
    jobs += merge_jobs(spec, study, experts, names, domains, [row for row in rows if row["role"] != EXPERT])
    jobs += overlap_jobs(spec, study, domains)
    return StudyPlanned(
        study=study,
        domains=names,
        metrics=[StudyMetric(**asdict(one)) for one in objectives],
        corpus=corpus,
        runs=[PlannedRun(**row) for row in rows],
        jobs=[PlannedJob(**one) for one in jobs],
    )


def training(spec: StudySpec, study: str, domains: list[str], names: list[str], manifest: dict) -> tuple[list, list]:
    """The runs of the base and the experts, and the two jobs that train them: the experts in one stack, after it."""
    text = pools_of(domains, manifest, spec.available_tokens, spec.target_tokens)
    shares = {"base": natural(text.tokens if text.known else text.sample)}
    shares |= {name: np.eye(len(domains))[i] for i, name in enumerate(domains)}
    rows = [
        {
            "id": run_id(study, number),
            "number": number,
            "role": EXPERT,
            "label": name,
            "seed": spec.seed,
            "weights": point_from(spec.merge, domains, names, {} if name == "base" else {name: 1.0}).tolist(),
            "job": f"{study}-{'base' if name == 'base' else 'experts'}",
        }
        for number, name in enumerate(shares, 1)
    ]
    tuned = replace(
        spec.fidelity,
        tokens=max(1, round(spec.merge.token_fraction * spec.fidelity.tokens)),
        learning_rate=spec.merge.rate * spec.fidelity.learning_rate,
    )
    first = expert_file(study, rows[0]["id"])
    made = []
    base = {} if spec.start is None else {"start": spec.start, "untrained": True}  # it is there already
    experts = {"start": first}
    for group, fidelity, more in ((rows[:1], spec.fidelity, base), (rows[1:], tuned, experts)):
        trained = [TaskRun(id=row["id"], weights=shares[row["label"]].tolist(), seed=row["seed"]) for row in group]
        task = TrainTask(
            corpus=spec.corpus,
            domains=domains,
            runs=trained,
            fidelity=fidelity.to_dict(),
            save=folder_of(study),
            metrics=list(spec.metrics),
            tasks=list(spec.tasks),
            **spec.compute.own(),
            **more,
        )
        settings = spec.compute.settings(study) | {"priority": priority_of(spec)}
        settings |= {"depends_on": [f"{study}-base"]} if more is experts else {}
        made.append({"job": group[0]["job"], "spec": task.spec(**settings)})
    return rows, made


def merges(store, spec: StudySpec, study: str, experts: list[str], names: list[str], mixture_study, first: int) -> list:
    """The first merges to measure: baselines, the compared mixtures' shares, and the design.

    If the study varies another method, the reference merges are measured "as" task arithmetic.
    """
    points, usual = merge_frame(spec.merge, names, experts).baselines, reference_merges(experts)
    rows = [("baseline", label, point) for label, point in points.items()]
    if not usual.keys() <= points.keys():
        rows += [(REFERENCE, label, point_from(spec.merge, experts, names, each)) for label, each in usual.items()]
    if mixture_study is not None and spec.merge.by == "model" and set(mixture_study.domains) == set(experts):
        rows += [
            (PAIRED, run, point_from(spec.merge, experts, names, dict(zip(mixture_study.domains, shares, strict=True))))
            for run, shares in runs.spread(store, mixture_study.id, MOST_PAIRED)
        ]
    rows += [("design", None, point) for point in first_points(spec.merge, experts, names, spec.runs, spec.seed)]
    return [
        {
            "id": run_id(study, number),
            "number": number,
            "role": role,
            "label": label,
            "weights": np.asarray(point).tolist(),
            "seed": spec.seed,
        }
        | ({"as": as_arithmetic(spec.merge, experts, usual[label])} if role == REFERENCE else {})
        for number, (role, label, point) in enumerate(rows, first)
    ]


def as_arithmetic(merge, experts: list[str], weights: dict[str, float]) -> dict:
    """A run's override that measures these coefficients by task arithmetic, whatever the study varies."""
    return {
        "merge": by_arithmetic(merge).to_dict(),
        "names": experts,
        "weights": [weights.get(name, 0.0) for name in experts],
    }


def merge_jobs(
    spec: StudySpec,
    study: str,
    experts: list[str],
    names: list[str],
    domains: list[str],
    rows: list[dict],
    keep: bool = False,
) -> list[dict]:
    """The jobs that measure merges, after the experts exist; sets each row's "job".

    "as" of a row: overrides the study's method, coordinates and point; keep: save the losses of single validation
    windows too."""
    made = []
    for start in range(0, len(rows), BATCH):
        group = rows[start : start + BATCH]
        job_id = f"{study}-merge-{group[0]['number']:05d}"
        for row in group:
            row["job"] = job_id
        task_runs = [
            MergeRun(**{key: row[key] for key in ("id", "weights", "seed")} | row.pop("as", {})) for row in group
        ]
        task = MergeTask(
            **merging_of(spec, study, experts, names, domains).to_dict(), runs=task_runs, keep_windows=keep
        )
        made.append({"job": job_id, "spec": task.spec(**merge_settings(spec, study))})
    return made


def merging_of(spec: StudySpec, study: str, experts: list[str], names: list[str], domains: list[str]) -> Merging:
    """The fields shared by all jobs that measure merges of a study."""
    merge = spec.merge
    base, files = f"checkpoints/{merge.base}", {name: f"checkpoints/{file}" for name, file in merge.experts.items()}
    if not merge.external:
        paths = [expert_file(study, run_id(study, number)) for number in range(1, len(experts) + 2)]
        base, files = paths[0], dict(zip(experts, paths[1:], strict=True))
    return Merging(
        study=study,
        base=base,
        experts=files,
        merge=merge.to_dict(),
        names=names,
        corpus=spec.corpus,
        domains=domains,
        fidelity=spec.fidelity and spec.fidelity.to_dict(),
        metrics=list(spec.metrics),
        tasks=list(spec.tasks),
        flips=spec.flips,
        **spec.compute.own(),
    )


def merge_settings(spec: StudySpec, study: str) -> dict:
    """The settings (engine.jobs.spec.JobSpec) of all jobs that measure merges: they wait for the models."""
    models = f"{study}-preflight" if spec.merge.external else f"{study}-experts"
    return spec.compute.settings(study) | {"priority": priority_of(spec), "depends_on": [models]}


def priority_of(spec: StudySpec) -> float:
    """The settings of all jobs of a merge study."""
    return WAITS + spec.compute.priority
