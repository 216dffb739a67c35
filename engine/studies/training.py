"""Jobs that train proxies on the mixtures of a study, planned or added later. Uses the store."""

import os
from dataclasses import replace

from engine.core.errors import Problem
from engine.core.people import takes
from engine.jobs import devices
from engine.jobs.runs import TaskRun, run_id
from engine.spec.compute import group_and_lanes, groups_of
from engine.spec.fidelity import Fidelity
from engine.spec.frame import Frame
from engine.spec.kinds.train import TrainTask
from engine.spec.phases import fractions_of, whole_trainings
from engine.spec.repetition import kept_fractions
from engine.spec.starts import START, folder_of
from engine.spec.study import StudySpec, planned_roles
from engine.studies import ledger
from engine.studies.jobs import add_to
from engine.studies.measured import frame_of_study
from store import corpora, runs, studies
from store.database import Store, in_turn

TRAINED = ("id", "weights", "seed", "doses", "phases", "trunk")  # of a run, what its training has to know


def training_jobs(study: str, spec: StudySpec, frame: Frame, runs: list[dict], vocabulary: int) -> list[dict]:
    """The jobs [{"job", "spec"}] for runs {"id", "number", "weights", "seed", "doses", "phases", "trunk"}; sets each
    run's "job". Branches are trained with their trunks."""
    domains, fidelity, gpus = list(frame.space.names), spec.fidelity, devices.find().gpus
    memory = devices.machine().get("memory_mb", 0)
    keep = kept_fractions(spec, frame).tolist()
    made, fractions = [], fractions_of(spec).tolist() or None
    together = group_and_lanes(spec.compute, fidelity, vocabulary, gpus, os.cpu_count() or 1, memory)
    trained = [run for run in runs if run.get("role") != START]
    alone = [[run] for run in runs if run.get("role") == START]
    for group in alone + groups_of(trained, *together):
        job_id = f"{study}-train-{group[0]['number']:05d}"
        for run in group:
            run["job"] = job_id
        task = TrainTask(
            corpus=spec.corpus,
            domains=domains,
            keep=keep,
            runs=[TaskRun(**{key: run.get(key) for key in TRAINED}) for run in group],
            fidelity=fidelity.to_dict(),
            keep_windows=spec.flips or any(run.get("role") == "confirm" for run in group),
            metrics=list(spec.metrics),
            tasks=list(spec.tasks),
            fractions=fractions,
            start=spec.start,
            untrained=group[0].get("role") == START,
            save=folder_of(study) if any(run.get("role") == "confirm" for run in group) else None,
            **spec.compute.own(),
        )
        made.append({"job": job_id, "spec": task.spec(**spec.compute.settings(study))})
    return made


def costs(store: Store, study: studies.Study) -> dict[str, dict[str, float]]:
    """What a study's own runs cost by role: {"runs", "tokens", "flops"}; empty where it trains none, or before its
    corpus is built."""
    spec = StudySpec.from_dict(study.spec)
    if study.kind == "merge" or spec.fidelity is None or corpora.manifest(store, spec.corpus) is None:
        return {}
    one, vocabulary = spec.fidelity, vocabulary_of(store, spec.corpus)
    tokens, flops = one.trained_tokens, one.flops(vocabulary)
    whole = {role: (count, whole_trainings(spec, role, count)) for role, count in study.roles.items()}
    return {
        role: {"runs": count, "tokens": round(part * tokens), "flops": round(part * flops)}
        for role, (count, part) in whole.items()
    }


def expected_roles(study: studies.Study) -> dict[str, int]:
    """How many runs of each role a study has; until its corpus is built, how many it will have at most."""
    if study.roles or study.kind == "merge":
        return study.roles
    return planned_roles(StudySpec.from_dict(study.spec), None)


def vocabulary_of(store: Store, corpus: str) -> int:
    """The vocabulary size of a corpus' tokenizer. Raises Problem where it is not built."""
    if (manifest := corpora.manifest(store, corpus)) is None:
        raise Problem(f"Cannot train on the corpus {corpus!r}: it is not built. Build it, then try again.")
    return manifest["tokenizer"]["vocabulary"]


def trainable(study: studies.Study) -> StudySpec:
    """The settings of a study that trains its own proxies. Raises Problem if it cannot."""
    spec = plannable(study)
    if study.external:
        raise Problem(
            f"Cannot train here for {study.name!r}: its trainer is another one. Export the mixture, train it there, "
            "and send the result with an id of its own, its weights and its size."
        )
    return spec


def plannable(study: studies.Study) -> StudySpec:
    """The settings of a study to which runs can be added, trained here or elsewhere. Raises Problem if none can."""
    if study.imported or not study.domains:
        why = "its runs were imported, so there is no text to train on" if study.imported else "it is not planned yet"
        raise Problem(
            f"Cannot train runs in {study.name!r}: {why}. Save the mixtures as CSV, train them where the others were "
            "trained, and import all runs as a new study."
        )
    return StudySpec.from_dict(study.spec)


@takes("operator", "add runs to a study")
@in_turn
def add_runs(store: Store, study: studies.Study, rows: list[dict], fidelity: Fidelity | None) -> list[str]:
    """Record runs {"role", "label", "weights", "seed"} of a study and queue their training; returns their ids. An
    external trainer's have no fidelity and no job: they are exported."""
    spec, first = plannable(study), runs.last_number(store, study.id) + 1
    own = fidelity == spec.fidelity
    for number, row in enumerate(rows, first):
        size = None if own and row["role"] != "confirm" else fidelity.to_dict()
        row |= {"id": run_id(study.id, number), "number": number, "fidelity": size}
    ledger.register(store, study, rows)
    if study.external:
        return add_to(store, study.id, rows, [])
    planned = training_jobs(
        study.id, replace(spec, fidelity=fidelity), frame_of_study(study), rows, vocabulary_of(store, spec.corpus)
    )
    return add_to(store, study.id, rows, planned)
