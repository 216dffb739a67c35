"""The steward: turns wishes into jobs, and does for every study what is to be done next. Uses the store.

`advance` is the whole orchestration. It looks at the store and does what is missing: build the corpus, plan the
runs, fit surrogates when enough runs are new, search when a fit is there. It may be called at any time, by any
owner of the store, twice or after a kill: every job's id follows from what it is for, so nothing is done twice.
"""

import os
import re
import uuid
from dataclasses import asdict

import numpy as np

from engine.core.errors import Missing, Problem
from engine.core.people import need
from engine.core.workspace import checked_name
from engine.corpus.spec import CorpusSpec
from engine.corpus.texts import sources_of
from engine.jobs import devices
from engine.jobs.decisions import (
    CorpusPlanned,
    JobCancelAsked,
    JobPrioritised,
    StudyCancelled,
    StudyCreated,
    StudyFailed,
    StudyPaused,
    StudyPlanned,
    StudyResumed,
)
from engine.jobs.kinds import kind_of
from engine.jobs.spec import JobSpec
from engine.league import FEWEST_RUNS
from engine.metrics import measured_by, objectives_of
from engine.spec.compute import group_and_lanes
from engine.spec.frame import Frame, frame_of
from engine.spec.kinds.corpus import CorpusTask
from engine.spec.kinds.fit import FitTask
from engine.spec.kinds.train import TrainTask
from engine.spec.objectives import aggregate, check_weighed
from engine.spec.study import (
    DEMO,
    DEMO_MERGE,
    StudySpec,
    chosen_domains,
    kept_share,
    plan_runs,
    split_evenly,
)
from engine.studies.measured import for_fitting, frame_of_study
from engine.studies.merges import planning
from engine.studies.questions import ask_once, queue_search
from store import corpora, jobs, runs, searches, studies
from store.database import Store

REFIT_GROWTH = 2.5  # while runs still come in, fit again when there are this many times more
DEFAULT_CORPUS = {"source": {"type": "default"}}


def create_demo(store: Store) -> str:
    """Create the demo study, its corpus, and the merge study beside it. Returns the demo study's id."""
    need("operator", "start the demo")
    demo = create(store, DEMO, study="demo")
    create(store, DEMO_MERGE, study="demo-merge")
    return demo


# What people ask for -----------------------------------------------------------------------------------------


def build_corpus(store: Store, name: str, spec: dict) -> str:
    """Queue the building of a corpus (spec: see engine/corpus/build.py) and return the job's id.

    Raises Problem when a corpus of that name exists with another spec.
    """
    need("operator", "build a corpus")
    folder = store.workspace.corpus(name)
    if (old := corpora.spec(store, name)) is not None and old != spec:
        raise Problem(
            f"Cannot build the corpus {name!r}: there is one of that name with another source. Choose a new name."
        )
    sources_of(CorpusSpec.from_dict(spec))  # raises before a name is given away to what cannot be built
    if old is None:
        store.write(CorpusPlanned(name, spec))
    job_id = f"corpus-{folder.name}"
    ask_once(store, job_id, CorpusTask(name, **spec).spec())
    return job_id


def create(store: Store, spec: StudySpec, study: str | None = None) -> str:
    """Record a new study and start it; returns its id. Raises Problem for a corpus that nobody has named."""
    need("operator", "start a study")
    measured_by(spec.metrics)  # raises for one that is not known
    if spec.corpus != "default" and corpora.spec(store, spec.corpus) is None:
        known = ", ".join(["default", *corpora.names(store)])
        raise Problem(
            f"Cannot start {spec.name!r}: there is no corpus {spec.corpus!r}. Build it first, or use one of: {known}."
        )
    if (manifest := corpora.manifest(store, spec.corpus)) is not None:
        planned(store, spec, "check", manifest)  # raises for constraints that leave too few mixtures
    slug = re.sub(r"[^a-z0-9]+", "-", spec.name.lower()).strip("-")[:40] or "study"
    study = study or f"{slug}-{uuid.uuid4().hex[:4]}"
    store.write(StudyCreated(study, spec.name, spec.to_dict()))
    advance(store)
    return study


def cancel(store: Store, study: str) -> None:
    """Stop everything of a study; what was measured stays. Running jobs keep a checkpoint."""
    need("operator", "cancel a study")
    store.write(StudyCancelled(study))
    for job in jobs.of_study(store, study):
        store.spool.cancel(job.id)
    store.ingest()


def pause(store: Store, study: str) -> None:
    """Hold a study up: nothing of it starts, and what runs stops at a checkpoint. Nothing is cancelled."""
    need("operator", "pause a study")
    if (found := studies.get(store, study)).state != "active":
        raise Problem(f"Cannot pause {found.name!r}: it is {found.state}. Only an active study can be paused.")
    store.write(StudyPaused(study))
    store.spool.pause(study)


def resume(store: Store, study: str) -> None:
    """Go on with a paused or cancelled study, and retry what failed."""
    need("operator", "resume a study")
    store.write(StudyResumed(study))
    store.spool.unpause(study)
    for job in jobs.of_study(store, study):
        if job.state in ("failed", "cancelled"):
            store.spool.retry(job.id, "the study was resumed")
    store.ingest()
    advance(store)


def submit_job(store: Store, spec: dict, job_id: str | None = None) -> str:
    """Queue a job that somebody wrote the spec of; returns its id. Raises Problem for a spec that cannot be."""
    need("operator", "submit a job")
    settings = JobSpec.read(spec)
    kind_of(settings.kind).task.of(spec)
    if settings.study is not None:
        studies.get(store, settings.study)
    job_id = checked_name(job_id or f"{settings.kind}-{uuid.uuid4().hex[:8]}", "job")
    store.submit(job_id, spec, settings.study)
    return job_id


def cancel_job(store: Store, job_id: str) -> None:
    """Ask for the end of one job."""
    need("operator", "cancel a job")
    found = known_job(store, job_id)
    if found.state not in jobs.UNFINISHED:
        raise Problem(f"Cannot cancel job {job_id!r}: it has ended ({found.state}).")
    store.write(JobCancelAsked(job_id))
    store.spool.cancel(job_id)
    store.ingest()


def prioritise(store: Store, job_id: str, priority: float) -> None:
    """Move a job that waits in the queue; lower runs sooner."""
    need("operator", "move a job in the queue")
    if known_job(store, job_id).state not in ("queued", "paused"):
        raise Problem(f"Cannot move job {job_id!r} in the queue: it does not wait there any more.")
    store.spool.reprioritise(job_id, priority)
    store.write(JobPrioritised(job_id, priority))


def known_job(store: Store, job_id: str) -> jobs.JobRow:
    """One job. Raises Problem where there is none of that id."""
    found = jobs.find(store, job_id)
    if found is None:
        raise Missing(f"Cannot find the job {job_id!r}. The page Jobs lists them, and so does `python -m engine jobs`.")
    return found


def retry(store: Store, job_id: str) -> None:
    """Queue a failed or cancelled job again; it goes on from its checkpoint."""
    need("operator", "retry a job")
    store.retry(job_id)


# What is to be done next -------------------------------------------------------------------------------------


def advance(store: Store) -> None:
    """Do what is missing in every active study. Harmless to repeat."""
    need("operator", "go on with the studies")
    for study in studies.all_studies(store):
        if study.state != "active":
            continue
        try:
            if not study.domains:
                plan(store, study)
            else:
                fit_if_due(store, study)
                search_if_due(store, study)
        except Problem as problem:  # one study that cannot go on must not hold up the others
            store.write(StudyFailed(study.id, str(problem)))


def recover(store: Store) -> None:
    """After a start: read on in all journals, carry out what a killed owner had only decided, and go on."""
    need("operator", "go on with the studies")
    store.ingest()
    for job_id, spec, priority in jobs.never_started(store):
        store.spool.submit(spec, job_id)
        if priority != spec.get("priority", 0):
            store.spool.reprioritise(job_id, priority)
    for study in studies.all_studies(store):
        (store.spool.pause if study.state == "paused" else store.spool.unpause)(study.id)
        if study.state == "cancelled":
            for job in jobs.of_study(store, study.id):
                if job.state in jobs.UNFINISHED:
                    store.spool.cancel(job.id)
    store.ingest()
    advance(store)


def plan(store: Store, study: studies.Study) -> None:
    """Choose the points of the study and queue their training; build the corpus first if it is not there."""
    need("operator", "plan a study")
    spec = StudySpec.from_dict(study.spec)
    manifest = corpora.manifest(store, spec.corpus)
    if manifest is None:
        if jobs.find(store, f"corpus-{spec.corpus}") is None:
            build_corpus(store, spec.corpus, corpora.spec(store, spec.corpus) or DEFAULT_CORPUS)
        return
    if (found := planned(store, spec, study.id, manifest)) is None:
        return
    store.write(StudyPlanned(study=study.id, **found))
    for job in found["jobs"]:
        store.spool.submit(job["spec"], job["job"])


def planned(store: Store, spec: StudySpec, study: str, manifest: dict) -> dict | None:
    """What the event "study.planned" says: a study's coordinates, metrics, runs, and the jobs that measure them.

    None while it waits for another study.
    """
    if spec.merge is not None:
        return planning.planned(store, spec, study, manifest)
    domains = chosen_domains(spec, manifest)
    objectives = objectives_of(spec.metrics, domains)
    check_weighed(objectives, spec.priorities)
    frame = frame_of(spec, domains, manifest)
    rows = plan_runs(spec, study, frame)
    return {
        "domains": domains,
        "metrics": [asdict(one) for one in objectives],
        "corpus": {"domains": {name: manifest["domains"][name] for name in domains}},
        "runs": rows,
        "jobs": training_jobs(study, spec, frame, rows, manifest["tokenizer"]["vocabulary"]),
    }


def training_jobs(study: str, spec: StudySpec, frame: Frame, runs: list[dict], vocabulary: int) -> list[dict]:
    """The jobs [{"job", "spec"}] that train runs [{"id", "number", "weights", "seed"}]; each run is told its "job"."""
    domains, fidelity, gpus = list(frame.space.names), spec.fidelity, devices.find().gpus
    keep = kept_share(spec, frame.budget, dict(zip(domains, frame.available.tolist(), strict=True)))
    made = []
    for group in split_evenly(runs, *group_and_lanes(spec.compute, fidelity, vocabulary, gpus, os.cpu_count() or 1)):
        job_id = f"{study}-train-{group[0]['number']:05d}"
        for run in group:
            run["job"] = job_id
        task = TrainTask(
            corpus=spec.corpus,
            domains=domains,
            keep=keep,
            runs=[{key: run[key] for key in ("id", "weights", "seed")} for run in group],
            fidelity=fidelity.to_dict(),
            keep_windows=any(run.get("role") == "confirm" for run in group),
            metrics=list(spec.metrics),
            **spec.compute.own(),
        )
        made.append({"job": job_id, "spec": task.spec(**spec.compute.settings(study))})
    return made


def vocabulary_of(store: Store, corpus: str) -> int:
    """How many tokens the tokenizer of a built corpus knows."""
    return corpora.manifest(store, corpus)["tokenizer"]["vocabulary"]


def fit_if_due(store: Store, study: studies.Study) -> None:
    """Queue a fit when all runs are in, or many more than at the last one; then the default search.

    Merges are measured so fast that only the whole is fitted.
    """
    need("operator", "fit surrogates")
    enough = 3 * (len(study.domains) + 1)  # what the log-linear law needs (Olmix, arXiv:2602.12237)
    last = studies.league(store, study.id)
    newer = study.done >= enough and study.done >= REFIT_GROWTH * (last["runs"] if last else 0)
    newer = newer and study.spec.get("merge") is None
    if newer and study.open:  # runs carried over from another study lack the losses of new domains
        newer = bool((np.isfinite(for_fitting(store, study.id).losses).sum(axis=0) >= FEWEST_RUNS).all())
    complete = study.open == 0 and study.done >= FEWEST_RUNS
    if newer or complete:
        queue_fit(store, study)


def queue_fit(store: Store, study: studies.Study) -> str | None:
    """Queue the league on the runs measured so far; None when it is done, under way or failed for these runs."""
    need("operator", "fit surrogates")
    measured = for_fitting(store, study.id)
    job_id = f"{study.id}-fit-{measured.fingerprint}"
    if jobs.find(store, job_id) is not None:
        return None
    if any(job.kind == "fit" and job.state in jobs.UNFINISHED for job in jobs.of_study(store, study.id)):
        return None
    store.submit(job_id, fit_task(study, measured), study.id)
    return job_id


def fit_task(study: studies.Study, measured: runs.Measured) -> dict:
    """The spec of the job that fits the league to these runs (engine/league/job.py)."""
    frame = frame_of_study(study)
    losses = [[float(x) if np.isfinite(x) else None for x in row] for row in measured.losses]
    task = FitTask(
        study=study.id,
        domains=study.domains,
        metrics=study.metrics,
        runs=measured.ids,
        weights=measured.weights.tolist(),
        losses=losses,
        fingerprint=measured.fingerprint,
        priorities=aggregate(study.objectives, measured.losses).weights.tolist(),
        space=frame.space.to_dict(),
        prior=frame.prior.tolist(),
    )
    return task.spec(priority=-1)


def search_if_due(store: Store, study: studies.Study) -> None:
    """Queue the default search once for every new league."""
    need("operator", "search")
    if studies.league(store, study.id) is not None:
        queue_search(store, study)


def is_settled(store: Store, study: studies.Study) -> bool:
    """Whether nothing is left to do: all runs are over, fitted, and the default search on that fit is there."""
    if study.state != "active":
        return True
    busy = any(job.state in jobs.UNFINISHED for job in jobs.of_study(store, study.id))
    if not study.domains or study.open or busy:
        return False
    last = studies.league(store, study.id)
    return study.done < FEWEST_RUNS or (
        last is not None
        and last["fingerprint"] == for_fitting(store, study.id).fingerprint
        and any(found["settings"]["fingerprint"] == last["fingerprint"] for found in searches.of_study(store, study.id))
    )
