"""Start, pause, resume and cancel studies, and choose how they weigh scripts. Uses the store."""

import json
import uuid

from engine.core.errors import Problem
from engine.core.people import need, takes
from engine.core.short_names import slug
from engine.jobs.decisions import StudyCancelled, StudyCreated, StudyMeanChosen, StudyPaused, StudyResumed
from engine.league import with_members
from engine.metrics import asked_of, measured_by
from engine.spec.study import DEMO, DEMO_MERGE, StudySpec
from engine.studies.advance import advance, manifest_of, planned
from engine.studies.lost import jobs_behind
from engine.studies.questions import Asked
from store import corpora, jobs, studies
from store.database import Store, in_turn


def create_demo(store: Store) -> str:
    """Create the demo study, its corpus, and the merge study beside it. Returns the demo study's id."""
    need("operator", "start the demo")
    demo = create(store, DEMO, study="demo")
    create(store, DEMO_MERGE, study="demo-merge")
    return demo


def create(store: Store, spec: StudySpec, study: str | None = None) -> str:
    """Begin a study, and return its id only."""
    return begin(store, spec, study).id


def begin(store: Store, spec: StudySpec, study: str | None = None) -> Asked:
    """Record a new study and start it; or a study with the same settings that goes on already.

    Raises Problem if its corpus does not exist.
    """
    need("operator", "start a study")
    if any(spec.name == one.id for one in studies.all_studies(store)):
        raise Problem(f"Cannot start {spec.name!r}: that is the id of another study. Choose another name.")
    measured_by(spec.metrics)  # raises if it is unknown
    asked_of(store.workspace.root, spec.tasks)  # so does this
    with_members(list(spec.surrogates))  # and this
    if spec.corpus not in (None, "default") and corpora.spec(store, spec.corpus) is None:
        known = ", ".join(["default", *corpora.names(store)])
        raise Problem(
            f"Cannot start {spec.name!r}: there is no corpus {spec.corpus!r}. Build it first, or use one of: {known}."
        )
    if (manifest := manifest_of(store, spec)) is not None:
        planned(store, spec, "check", manifest)  # raises if the constraints leave too few mixtures
    with store.alone():  # the same study asked for twice at once is one
        if (there := same_study(store, spec)) is not None:
            return Asked(there, True)
        study = study or f"{slug(spec.name)}-{uuid.uuid4().hex[:4]}"
        store.write(StudyCreated(study, spec.name, spec.to_dict()))
        advance(store)
    return Asked(study, False)


def same_study(store: Store, spec: StudySpec) -> str | None:
    """The study that was begun with these settings and goes on, or is done: another one would measure the same."""
    asked = json.loads(json.dumps(spec.to_dict()))
    known = (one for one in studies.all_studies(store) if one.state in ("active", "paused"))
    return next((one.id for one in known if one.imported is None and one.spec == asked), None)


@takes("operator", "choose how means are formed")
@in_turn
def choose_mean(store: Store, study: studies.Study, relative: bool | None) -> None:
    """Make a study's means relative to the natural mixture, or plain; None: as its domains are. It is searched again.

    Raises Problem for a study of merges, which has no natural mixture.
    """
    if relative and study.kind == "merge":
        raise Problem(
            f"Cannot make the means of {study.name!r} relative to the natural mixture: it is a study of merges. Weigh "
            "its metrics by priorities."
        )
    store.write(StudyMeanChosen(study.id, relative))
    advance(store)


@takes("operator", "cancel a study")
@in_turn
def cancel(store: Store, study: str) -> None:
    """Stop all jobs of a study; results stay. Running jobs save a checkpoint."""
    store.write(StudyCancelled(study))
    for job in jobs.of_study(store, study):
        store.spool.cancel(job.id)
    store.ingest()


@takes("operator", "pause a study")
@in_turn
def pause(store: Store, study: str) -> None:
    """Pause a study: no job starts, and running ones stop at a checkpoint. Nothing is cancelled."""
    if (found := studies.get(store, study)).state != "active":
        raise Problem(f"Cannot pause {found.name!r}: it is {found.state}. Only an active study can be paused.")
    store.write(StudyPaused(study))
    store.spool.pause(study)


@takes("operator", "resume a study")
@in_turn
def resume(store: Store, study: str) -> None:
    """Resume a paused or cancelled study, and retry failed jobs."""
    store.write(StudyResumed(study))
    store.spool.unpause(study)
    for job in jobs_behind(store, studies.get(store, study)):
        if job.state in ("failed", "cancelled"):
            store.spool.retry(job.id, "the study was resumed")
    store.ingest()
    advance(store)
