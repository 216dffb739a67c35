"""The progress of a study: every run that has ended counts, whatever came of it."""

import os

import pytest

from dashboard.models.progress import answer_seconds, first_fit_seconds, progress_of, seconds_left
from engine.jobs.decisions import StudyCreated, StudyPaused, StudyPlanned
from engine.spec.study import StudySpec
from store import studies
from store.jobs import JobRow
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


def test_an_end_is_estimated_only_where_a_worker_runs(store):
    rows = [{"id": "s-1", "number": 1, "role": "design", "weights": [0.5, 0.5], "seed": 1, "job": "s-train"}]
    job = {"job": "s-train", "spec": {"kind": "train"}}
    spec = StudySpec.from_dict({"name": "Small", "corpus": "c", "runs": 8}).to_dict()
    store.write(StudyCreated("s", "Small", spec))
    store.write(StudyPlanned(study="s", domains=["python", "prose"], corpus={}, runs=rows, jobs=[job]))
    store.spool.submit(job["spec"], job["job"])
    with journal_of(store, "s-train") as journal:
        journal.write(line("job.started") + line("job.progress", done=1000, total=1000, note="almost"))
    store.ingest()
    assert progress_of(store, studies.get(store, "s")).end is None
    lock = store.workspace.lock("worker")
    assert progress_of(store, studies.get(store, "s")).end is not None
    store.write(StudyPaused("s"))
    assert progress_of(store, studies.get(store, "s")).end is None
    os.close(lock)


def training(done: float, speed: float | None, state: str = "running", begun: float = 0.0) -> JobRow:
    """A training job of 1000 tokens."""
    seen = {"planned_at": begun, "started_at": begun, "ended_at": None, "tokens_per_second": speed}
    return JobRow("t", "s", "train", state, 1, done, 1000.0, None, None, **seen)


def test_an_estimate_does_not_swing():
    """A slow first step leaves it near the plan, and neither a pause nor runs added a day later count as slowness."""
    assert seconds_left([training(0.0, None)], 100.0) == 100.0
    assert seconds_left([training(0.0, None)], None) is None
    assert seconds_left([training(1.0, 0.5)], 100.0) < 1.5 * 100.0  # by that step alone: 2,000 seconds
    assert seconds_left([training(500.0, 10.0)], 100.0) == 50.0
    yesterday = training(1000.0, 10.0, "done", begun=-86400.0)
    assert seconds_left([yesterday, training(500.0, 10.0)], 100.0) == 50.0
    assert seconds_left([yesterday], 100.0) == 0.0


def fitting(state: str, done: float | None, begun: float | None = 100.0) -> JobRow:
    """A fit of 1 in all."""
    return JobRow("f", "s", "fit", state, 1, done, 1.0, None, None, 0.0, begun, None, attempt_at=begun)


def test_a_fit_that_takes_long_says_so():
    """After 300 seconds three quarters are done: another 100, not the 20 of the demo on a quiet machine."""
    usual = answer_seconds([], 400.0)
    assert answer_seconds([fitting("running", 0.75)], 400.0) == 100.0
    assert answer_seconds([fitting("done", 1.0), fitting("running", 0.5)], 400.0) == 300.0
    for job in (fitting("queued", None, None), fitting("running", 0.0), fitting("done", 1.0)):
        assert answer_seconds([job], 400.0) == usual
    assert 0.0 < answer_seconds([fitting("running", 1.0)], 400.0) < usual


def test_the_first_predictions_wait_for_a_part_of_the_runs():
    """Of 100 seconds of training, the first 30; 20 of them are over after a fifth of it."""
    assert first_fit_seconds(100.0, 0.0) == 30.0
    assert first_fit_seconds(80.0, 0.2) == pytest.approx(10.0)
    assert first_fit_seconds(60.0, 0.4) == first_fit_seconds(0.0, 1.0) == 0.0
