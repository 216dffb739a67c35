"""The supervisor with real processes: kills, cancels, stops and hopeless jobs; nothing is lost and nothing doubled."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from engine.jobs.decisions import StudyCreated, StudyPlanned
from engine.jobs.spool import Spool, try_lock
from store import jobs, studies
from store.database import Store
from tests.support.running import ROOT, until
from tests.support.working import kinds, pid_of, place, read_events, training_job

SHARES = {"digits": 0.2, "prose": 0.3, "python": 0.5}


@pytest.fixture
def spool(tmp_path, finished) -> Spool:
    """A fresh workspace that has the small corpus."""
    shutil.copytree(finished / "corpora", tmp_path / "corpora")
    return Spool(tmp_path)


@pytest.fixture
def workers(spool):
    """Starts workers on the workspace; whatever still runs at the end is killed, jobs too."""
    started = []

    def start():
        command = [sys.executable, "-m", "engine.worker", "--workspace", str(spool.workspace), "--slots", "2"]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
        worker.communicate()
    for folder in spool.folders("active"):
        if pid_of(folder):
            kill(pid_of(folder))


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def train(tokens: int = 200_000) -> dict:
    return training_job("small", SHARES, ["run-0", "run-1"], tokens)


def pid_once_it_trains(spool, job_id) -> int:
    """The job's process, once it has made some steps."""
    until(lambda: "runs.progress" in kinds(spool, job_id))
    return pid_of(spool.find(job_id))


def test_a_job_runs_to_its_end(spool, workers):
    spool.submit(train(tokens=20_000), "t")
    workers()
    until(lambda: place(spool, "t") == "ended")
    assert kinds(spool, "t").count("run.finished") == 2
    assert kinds(spool, "t")[-1] == "job.finished"


def test_an_unknown_kind_and_a_damaged_spec_fail_with_a_word(spool, workers):
    spool.submit({"kind": "paint"}, "unknown")
    spool.submit({"kind": "fit"}, "damaged")
    (spool.find("damaged") / "spec.json").write_text('{"kind": "fi')
    workers()
    until(lambda: place(spool, "unknown") == "ended" and place(spool, "damaged") == "ended")
    assert "'paint'" in read_events(spool.find("unknown"))[-1]["message"]
    assert "spec" in read_events(spool.find("damaged"))[-1]["message"]


@pytest.mark.slow
def test_a_job_outlives_its_worker_and_the_next_one_files_it(spool, workers):
    spool.submit(train(), "t")
    first = workers()
    pid_once_it_trains(spool, "t")
    first.kill()
    first.wait()
    assert place(spool, "t") == "active"
    with try_lock(spool.find("t")) as lock:
        assert lock is None, "its process holds the lock"
    workers()
    until(lambda: place(spool, "t") == "ended", 180)
    assert kinds(spool, "t").count("job.started") == 1
    assert kinds(spool, "t").count("run.finished") == 2


@pytest.mark.slow
def test_a_cancelled_job_ends_within_seconds(spool, workers):
    spool.submit(train(tokens=10**7), "t")
    workers()
    pid_once_it_trains(spool, "t")
    spool.cancel("t")
    until(lambda: place(spool, "t") == "ended", 10)
    assert kinds(spool, "t")[-1] == "job.cancelled"


@pytest.mark.slow
def test_a_stopped_worker_pauses_its_jobs_and_the_next_one_goes_on(spool, workers):
    """From the checkpoint of the stop; and a kill after that goes back to the checkpoint, not to the beginning."""
    spool.submit(train(tokens=400_000), "t")
    first = workers()
    pid_once_it_trains(spool, "t")
    first.terminate()
    assert first.wait(timeout=15) == 0
    assert place(spool, "t") == "queued" and kinds(spool, "t")[-1] == "job.paused"
    step = max(event["step"] for event in read_events(spool.find("t")) if event["kind"] == "runs.progress")
    workers()
    until(lambda: "runs.progress" in kinds(spool, "t")[kinds(spool, "t").index("job.paused") :])
    kill(pid_of(spool.find("t")))
    until(lambda: place(spool, "t") == "ended", 180)
    events, found = read_events(spool.find("t")), kinds(spool, "t")
    for interruption in ("job.paused", "job.died"):
        after = events[found.index(interruption) :]
        assert next(event for event in after if event["kind"] == "runs.progress")["step"] >= step
    assert found.count("run.finished") == 2 and found[-1] == "job.finished"


def test_a_job_that_keeps_dying_fails_with_its_cause(spool, workers):
    spool.submit(train(tokens=10**7), "t")
    workers()
    for attempt in range(1, 4):
        until(lambda n=attempt: kinds(spool, "t").count("job.started") == n)
        until(lambda: pid_of(spool.find("t")))
        time.sleep(0.3)
        kill(pid_of(spool.find("t")))
        until(lambda n=attempt: kinds(spool, "t").count("job.died") == n or place(spool, "t") == "ended")
    last = read_events(spool.find("t"))[-1]
    assert last["kind"] == "job.failed" and "killed (out of memory, or by hand)" in last["message"]


def test_one_worker_a_workspace(spool, workers):
    workers()
    until(lambda: (spool.workspace / "worker.lock").exists() and (spool.workspace / "worker.lock").read_text())
    second = workers()
    _, complaint = second.communicate(timeout=15)
    assert second.returncode == 1 and "is that already" in complaint


@pytest.mark.slow
def test_the_store_ends_up_with_what_the_journals_say(spool, workers):
    """Killed while its owner looks on: states and runs agree with the journal, each run once."""
    from engine.core.workspace import Workspace

    store = Store(Workspace.open(spool.workspace))
    members = train()["runs"]
    runs = [{**run, "number": n, "role": "design", "job": "t"} for n, run in enumerate(members, 1)]
    store.write(StudyCreated(study="s", name="S", spec={"corpus": "small"}))
    plan = {"job": "t", "spec": train()}
    store.write(StudyPlanned(study="s", domains=list(SHARES), corpus={}, runs=runs, jobs=[plan]))
    spool.submit(plan["spec"], "t")
    workers()
    pid = pid_once_it_trains(spool, "t")
    store.ingest()
    assert studies.get(store, "s").counts == {"running": 2}
    kill(pid)
    until(lambda: (store.ingest(), place(spool, "t") == "sealed")[1], 180)
    assert jobs.find(store, "t").state == "done"
    assert studies.get(store, "s").counts == {"done": 2}
    assert jobs.find(store, "t").attempts == 2
    assert json.loads((spool.find("t") / "spec.json").read_text())["kind"] == "train"
    store.close()
