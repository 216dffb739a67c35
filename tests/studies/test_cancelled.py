"""Cancelled work is counted, listed and retried, and nothing is called best from fewer runs than a fit needs."""

import json

import numpy as np
import pytest

from dashboard.models.progress import progress_of
from dashboard.views.shared.study import too_few
from engine.commands import COMMANDS
from engine.core.errors import Problem
from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.spec.study import StudySpec
from engine.studies import advance
from store import jobs, studies
from store.database import Store

DOMAINS = ["prose", "code", "digits"]
FIDELITY = {"width": 16, "layers": 1, "heads": 1, "context": 32, "tokens": 32768}


@pytest.fixture
def half(store):
    """A study of 20 runs in two jobs."""
    spec = StudySpec.from_dict({"name": "Half", "runs": 20, "repeats": 0, "fidelity": FIDELITY}).to_dict()
    points = np.random.default_rng(0).dirichlet([1, 1, 1], 20)
    rows = [
        {"id": f"half-{n}", "number": n, "role": "design", "label": None, "weights": point.tolist(), "seed": 1}
        | {"job": f"half-train-{n > 5:d}"}
        for n, point in enumerate(points, 1)
    ]
    corpus = {"domains": {name: {"train_tokens": 1e6} for name in DOMAINS}}
    made = [{"job": f"half-train-{i}", "spec": {"kind": "train"}} for i in range(2)]
    store.write(StudyCreated("half", "Half", spec))
    store.write(StudyPlanned(study="half", domains=DOMAINS, corpus=corpus, runs=rows, jobs=made))
    for job in made:
        store.spool.submit(job["spec"], job["job"])
    return store


def ends(store: Store, job: str, numbers: range, done: bool = True) -> None:
    """A job measures some runs, then ends: it is done, or cancelled."""
    told = [{"kind": "job.started", "pid": 1}]
    for n in numbers:
        losses = {name: 2.0 + 0.01 * n for name in DOMAINS}
        told.append(
            {"kind": "run.finished", "run": f"half-{n}", "losses": losses, "losses_se": losses, "shares": [1 / 3] * 3}
            | {"tokens": 1, "seconds": 1.0, "cpu_seconds": 1.0, "device": "cpu", "parameters": 1}
        )
    told += [{"kind": "job.finished"}] if done else []
    with open(store.spool.find(job) / "events.jsonl", "a") as file:
        file.writelines(json.dumps({**one, "t": 1.0}) + "\n" for one in told)
    if done:
        store.spool.move(store.spool.find(job), "ended")
    else:
        store.spool.cancel(job)
    store.ingest()
    assert not store.rows("SELECT * FROM corrupt_lines")


def test_a_study_with_cancelled_runs_is_not_whole(half):
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(0), done=False)
    study = studies.get(half, "half")
    assert study.counts == {"done": 5, "cancelled": 15} and study.lost == 15
    advance.advance(half)
    assert not [job for job in jobs.of_study(half, "half") if job.kind == "fit"], "5 runs are no study of 20"
    assert advance.is_settled(half, study), "nothing more happens by itself"
    progress = progress_of(half, study)
    proxies = progress.stages[1]
    assert proxies.state == "incomplete" and "15 cancelled" in proxies.note and progress.end is None
    assert any("1 train job, with 15 runs" in words for words in progress.failures), "and the card offers a retry"
    assert "Too few runs (5) for 3 domains" in too_few(study) and "15 more were cancelled" in too_few(study)
    assert "half-train-1" in {job["id"] for job in COMMANDS["list_jobs"](half)}


def test_a_study_with_enough_runs_goes_on_and_says_what_is_missing(half):
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(6, 15), done=False)
    study = studies.get(half, "half")
    assert study.counts == {"done": 14, "cancelled": 6} and not too_few(study)
    advance.advance(half)
    assert [job.kind for job in jobs.of_study(half, "half")] == ["train", "train", "fit"]
    assert progress_of(half, study).stages[1].state == "incomplete"


def test_a_resume_queues_what_was_cancelled(half):
    ends(half, "half-train-0", range(1, 6))
    ends(half, "half-train-1", range(0), done=False)
    COMMANDS["resume"](half, "half")
    study = studies.get(half, "half")
    assert study.counts == {"done": 5, "planned": 15} and not study.lost
    assert progress_of(half, study).failures == []


@pytest.mark.parametrize("command", ["search", "propose", "confirm", "fit", "repetition"])
def test_what_needs_runs_that_were_cancelled_says_how_they_come(half, command):
    """Who is told to wait for them waits for ever."""
    with pytest.raises(Problem, match=r"Wait for its runs\.$"):
        COMMANDS[command](half, "half")
    ends(half, "half-train-1", range(0), done=False)
    with pytest.raises(Problem, match=r"15 of its runs failed or were cancelled: resume the study\.$"):
        COMMANDS[command](half, "half")
