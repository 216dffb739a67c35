"""The progress of a study: every run that has ended counts, whatever came of it."""

from dashboard.models.progress import progress_of
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.spec.study import StudySpec
from store import studies
from tests.store.test_store import journal_of, line

MERGE = {"base": "base", "experts": {"python": "a", "prose": "b"}, "method": "multislerp"}


def test_a_refused_merge_has_ended(store):
    """Its job is done, nothing is left to retry, and the card says that one was refused."""
    spec = StudySpec.from_dict({"name": "Merges", "merge": MERGE, "runs": 8}).to_dict()
    rows = [
        {"id": f"m-{n}", "number": n, "role": "design", "label": None, "weights": [0.1 * n, 0.2], "seed": 1}
        | {"job": "m-merge"}
        for n in range(1, 4)
    ]
    job = {"job": "m-merge", "spec": {"kind": "merge"}}
    corpus = {"domains": {}, "experts": ["python", "prose"]}
    store.write(StudyCreated("m", "Merges", spec))
    store.write(StudyPlanned(study="m", domains=["python", "prose"], corpus=corpus, runs=rows, jobs=[job]))
    store.spool.submit(job["spec"], job["job"])
    losses = {"python": 1.0, "prose": 2.0}
    result = {"losses": losses, "losses_se": losses, "tokens": None, "shares": None, "seconds": 1.0}
    result |= {"cpu_seconds": 1.0, "device": "cpu", "parameters": 1}
    with journal_of(store, "m-merge") as journal:
        journal.write(line("job.started"))
        journal.write(line("run.finished", run="m-1", **result) + line("run.finished", run="m-2", **result))
        journal.write(line("run.refused", run="m-3", message="directions cancel") + line("job.finished"))
    store.ingest()
    assert not store.rows("SELECT * FROM corrupt_lines")
    progress = progress_of(store, studies.get(store, "m"))
    stage = next(one for one in progress.stages if one.name == "Merges")
    assert (stage.state, stage.note) == ("done", "2 of 3 measured, 1 refused")
    assert progress.failures == [] and progress.current == "Surrogates"
