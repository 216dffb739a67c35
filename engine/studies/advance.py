"""The orchestrator: `advance` reads the store and queues each study's next step. Uses the store.

Build the corpus, plan the runs, fit surrogates when enough runs are new, search after a fit. It is idempotent and may
be called at any time, by any owner of the store, also after a kill: every job's id is derived from its purpose.
"""

from contextlib import suppress
from dataclasses import asdict

import numpy as np

from engine.core.errors import Problem, Unavailable
from engine.core.people import need
from engine.jobs.decisions import PlannedJob, StudyFailed, StudyMetric, StudyPlanned
from engine.jobs.runs import PlannedRun
from engine.league import FEWEST_RUNS
from engine.spec.external import EXTERNAL, measured_in, text_given
from engine.spec.frame import Frame, new_frame
from engine.spec.objectives import check_weighed
from engine.spec.study import StudySpec, chosen_domains, plan_runs
from engine.studies import merge_jobs, refits
from engine.studies.corpora import DEFAULT_CORPUS, build_corpus
from engine.studies.fits import can_fit, fit_id, queue_fit
from engine.studies.flips import count_flips_if_due, flips_due, flips_to_come
from engine.studies.housekeeping import finish_deletions
from engine.studies.jobs import queue_runs
from engine.studies.measured import for_fitting
from engine.studies.overlap import overlap_jobs
from engine.studies.questions import search_job
from engine.studies.starts import check_fits
from engine.studies.stopping import stop_hopeless
from engine.studies.tasks import objectives_in
from engine.studies.training import training_jobs
from store import corpora, jobs, studies
from store.database import Store

REFIT_GROWTH = 2.5  # while runs still come in, refit when there are this many times more


def advance(store: Store) -> None:
    """Queue the next step of every active study. Idempotent."""
    need("operator", "go on with the studies")
    for study in studies.all_studies(store):
        if study.state != "active":
            continue
        try:
            if not study.coordinates:
                plan(store, study)
            else:
                stop_hopeless(store, study)
                count_flips_if_due(store, study)
                fit_if_due(store, study)
                search_if_due(store, study)
        except Unavailable:  # a full disk, say: of no study, and it passes
            raise
        except Problem as problem:  # one failing study must not block the others
            store.write(StudyFailed(study.id, str(problem)))
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # nor one whose rows nobody can read
            store.write(StudyFailed(study.id, f"Cannot go on, as its stored rows are invalid: {error!r}."))


def recover(store: Store) -> None:
    """After a start: read all journals, carry out decisions that a killed owner only recorded, and go on."""
    need("operator", "go on with the studies")
    store.ingest()
    finish_deletions(store)
    for job_id, spec, priority in jobs.never_started(store):
        store.spool.submit(spec, job_id)
        if priority != spec.get("priority", 0):
            with suppress(Problem):  # it has begun meanwhile, whatever its journal says
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
    manifest = manifest_of(store, spec)
    if manifest is None:
        if corpora.job(store, spec.corpus) is None:
            build_corpus(store, spec.corpus, corpora.spec(store, spec.corpus) or DEFAULT_CORPUS)
        return
    if (found := planned(store, spec, study.id, manifest)) is None:
        return
    queue_runs(store, found)


def manifest_of(store: Store, spec: StudySpec) -> dict | None:
    """What is known of a study's text: the manifest of its corpus, None until it is built; without one what the study
    says itself."""
    return corpora.manifest(store, spec.corpus) if spec.corpus is not None else text_given(spec)


def planned(store: Store, spec: StudySpec, study: str, manifest: dict) -> StudyPlanned | None:
    """A study's coordinates, metrics, runs, and the jobs that measure them; None while it waits for another study."""
    if spec.kind == "merge":
        return merge_jobs.planned(store, spec, study, manifest)
    check_fits(store, spec, manifest)
    external = spec.trainer == EXTERNAL
    domains = list(spec.domains) if spec.corpus is None else chosen_domains(spec, manifest)
    frame = new_frame(spec, domains, manifest)
    objectives = measured_in(spec, domains) if external else objectives_in(store, spec, domains, frame.prior_name)
    check_weighed(objectives, spec.priorities)
    rows = plan_runs(spec, study, frame)
    made = [] if external else training_jobs(study, spec, frame, rows, manifest["tokenizer"]["vocabulary"])
    made += overlap_jobs(spec, study, domains)
    return StudyPlanned(
        study=study,
        domains=domains,
        metrics=[StudyMetric(**asdict(one)) for one in objectives],
        corpus=manifest if spec.corpus is None else text_of(frame, manifest),
        runs=[PlannedRun(**row) for row in rows],
        jobs=[PlannedJob(**one) for one in made],
    )


def text_of(frame: Frame, manifest: dict) -> dict:
    """What a study keeps of its corpus: its domains, and how much text there was of each when it was planned."""
    return {
        "domains": {name: manifest["domains"][name] for name in frame.space.names},
        "pools": frame.pools.rows(),
    }


def fit_if_due(store: Store, study: studies.Study) -> None:
    """Queue a fit when all runs are in, or many more than at the last one; then the default search."""
    need("operator", "fit surrogates")
    if fit_is_due(store, study):
        queue_fit(store, study)


def fit_is_due(store: Store, study: studies.Study) -> bool:
    """Whether all runs are in, or many more than at the last fit.

    Merges are measured so fast that they are fitted only once all are in. Results that come from elsewhere wait for
    others that come soon after them (engine/studies/refits.py).
    """
    return is_fit_due_after_window(store, study) and not refits.is_open(store, study)


def is_fit_due_after_window(store: Store, study: studies.Study) -> bool:
    """The same, once no more results are waited for. An external trainer may take weeks: from the fewest runs on, each
    window of its results is worth a fit."""
    if study.external and study.open:
        return study.done >= study.enough and can_fit(store, study)
    if study.open == 0:  # flips are counted first: no run has any until all have ended
        return study.done >= fewest(study) and not flips_to_come(store, study) and can_fit(store, study)
    last = studies.league(store, study.id)
    newer = study.done >= study.enough and study.done >= REFIT_GROWTH * (last["runs"] if last else 0)
    if not newer or study.kind != "mixture":
        return False
    enough = (
        2 * FEWEST_RUNS
    )  # of each metric, so that every fold's other runs have a few: flips and new domains lack some
    known = np.isfinite(for_fitting(store, study.id).losses).sum(axis=0)
    return bool((known >= enough).all()) and can_fit(store, study)


def fewest(study: studies.Study) -> int:
    """Finished runs with which a study whose runs have all ended goes on by itself: where some were cancelled or
    failed, as many as a fit needs, for a retry would train the others."""
    return study.enough if study.lost else FEWEST_RUNS


def search_if_due(store: Store, study: studies.Study) -> None:
    """Queue the default search once for every new fit."""
    need("operator", "search")
    if (job := due_search(store, study)) is not None:
        job_id, spec = job
        store.submit(job_id, spec, study.id)


def due_search(store: Store, study: studies.Study) -> tuple[str, dict] | None:
    """The id and spec of the default search on the latest fit, which nobody has queued; None where there is none. One
    that failed or was cancelled is not tried again unasked: it would fail without end."""
    if studies.league(store, study.id) is None:
        return None
    job_id, spec = search_job(store, study)
    return (job_id, spec) if jobs.find(store, job_id) is None else None


def is_settled(store: Store, study: studies.Study) -> bool:
    """Whether nothing more will happen by itself: no job of the study waits or runs, and `advance` would queue none.
    Both at once: between two looks a fit may end and its search be queued, which neither of them sees."""
    version = store.version
    return _is_settled(store, studies.get(store, study.id)) and store.is_still(version)


def _is_settled(store: Store, study: studies.Study) -> bool:
    if study.state != "active":
        return True
    if any(job.state in jobs.UNFINISHED for job in jobs.of_study(store, study.id)):
        return False
    try:
        return not (goes_on(store, study) if study.coordinates else will_be_planned(store, study))
    except Problem:  # for which `advance` calls the study failed
        return True


def goes_on(store: Store, study: studies.Study) -> bool:
    """Whether a planned study of which no job is under way has runs that are awaited, or a fit or search to queue."""
    if study.open or due_search(store, study) is not None or flips_due(store, study):
        return True
    due = is_fit_due_after_window(store, study)
    return due and jobs.find(store, fit_id(study, for_fitting(store, study.id))) is None


def will_be_planned(store: Store, study: studies.Study) -> bool:
    """Whether a study gets its runs by itself: its corpus is there, is being built or will be, and so it is with the
    mixture study that a merge study is compared with."""
    spec = StudySpec.from_dict(study.spec)
    build = corpora.job(store, spec.corpus)
    if manifest_of(store, spec) is None and build is not None and build.state not in jobs.UNFINISHED:
        return False
    other = studies.get(store, spec.merge.of) if spec.merge and spec.merge.of else None
    if other is None or other.coordinates:
        return True
    return other.kind == "mixture" and other.state == "active" and will_be_planned(store, other)
