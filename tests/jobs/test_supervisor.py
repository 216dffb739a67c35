"""The supervisor's promises: order, dependencies, limits, retries, and jobs that misbehave are seen and contained."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.core.errors import Problem, Transient
from engine.jobs import logs
from engine.jobs import run as run_job
from engine.jobs.backends.local import Local
from engine.jobs.events import JobDied, JobStarted
from engine.jobs.journal import write_event
from engine.jobs.spec import VERSION, JobSpec
from engine.jobs.spool import Job
from engine.jobs.supervisor import Supervisor
from tests.support.running import ROOT, until
from tests.support.working import corpus_job, faults, kinds, last, pid_of, place, read_events, worker


@pytest.fixture
def job(spool):
    """Submits a small corpus job of that id."""
    return lambda name, **settings: spool.submit(corpus_job(spool.workspace.parent / "text", name, **settings), name)


def all_ended(spool, *names) -> bool:
    return all(place(spool, name) == "ended" for name in names)


def started(spool, name) -> float:
    return next(event["t"] for event in read_events(spool.find(name)) if event["kind"] == "job.started")


# The queue ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_priorities_and_dependencies_and_a_later_move_decide_the_order(spool, job):
    job("a-last", after=["z-first", "b-second"])
    job("b-second", priority=5.0)
    job("c-third", priority=9.0)
    job("z-first", priority=10.0)
    spool.reprioritise("z-first", 1.0)
    with worker(spool, "--slots", "1"):
        until(lambda: all_ended(spool, "a-last", "b-second", "c-third", "z-first"))
    order = sorted(("a-last", "b-second", "c-third", "z-first"), key=lambda name: started(spool, name))
    assert order == ["z-first", "b-second", "a-last", "c-third"]


def test_a_job_that_waits_in_vain_says_for_which_and_can_be_retried(spool, job):
    job("first")
    spool.cancel("first")
    job("second", after=["first"])
    with worker(spool):
        until(lambda: all_ended(spool, "second"))
        said = last(spool, "second")
        assert said["kind"] == "job.failed" and "waits for job first, which failed or was cancelled" in said["message"]
        spool.retry("first")
        spool.retry("second")
        until(lambda: all_ended(spool, "first", "second"))
    assert last(spool, "second")["kind"] == "job.finished"
    assert started(spool, "first") < started(spool, "second")


@pytest.mark.slow
def test_a_job_waits_for_one_that_is_not_there_yet(spool, job):
    job("second", after=["first"])
    job("other")
    with worker(spool):
        until(lambda: all_ended(spool, "other"))
        assert place(spool, "second") == "queued"
        job("first")
        until(lambda: all_ended(spool, "first", "second"))


@pytest.mark.slow
def test_max_parallel_limits_a_study_and_nobody_else(spool, job, tmp_path):
    for n in range(3):
        job(f"silent-{n}", study="s", max_parallel=2)
    job("other")
    with worker(spool, "--slots", "8", **faults(tmp_path / "faults")):
        until(lambda: len(spool.folders("active")) == 2 and all_ended(spool, "other"))
        time.sleep(1)
        assert len(spool.folders("active")) == 2


@pytest.mark.slow
def test_a_paused_study_stops_and_goes_on_and_others_do_not_notice(spool, job, tmp_path):
    job("silent-1", study="s")
    job("waits", study="s", after=["silent-1"])
    with worker(spool, "--slots", "1", **faults(tmp_path / "faults")):
        until(lambda: pid_of(spool.find("silent-1")))
        spool.pause("s")
        until(lambda: place(spool, "silent-1") == "queued")
        assert kinds(spool, "silent-1")[-1] == "job.paused"
        job("other", study="t")
        until(lambda: all_ended(spool, "other"))
        assert place(spool, "silent-1") == "queued"
        spool.unpause("s")
        until(lambda: place(spool, "silent-1") == "active")


# Specs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("priority", "high"),
        ("priority", float("nan")),
        ("retries", -1),
        ("retries", 1.5),
        ("depends_on", "x"),
        ("depends_on", [1]),
        ("depends_on", ["fit", "../queued"]),
        ("stall_timeout", 0),
        ("max_parallel", -1),
        ("cpus", 0),
        ("device", "tpu"),
        ("gpu_memory_mb", -5),
        ("version", VERSION + 1),
        ("version", "two"),
        ("kind", 7),
        ("study", 3),
        ("study", "../one"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_at_the_door(spool, setting, value):
    with pytest.raises(Problem) as refused:
        spool.submit({"kind": "corpus", setting: value}, "one")
    assert repr(value) in str(refused.value)
    assert spool.find("one") is None


def write_spec(spool, name: str, text: str) -> None:
    """A job whose spec did not come through `submit`: from another version, or damaged."""
    folder = spool.root / "incoming" / name
    folder.mkdir()
    (folder / "spec.json").write_text(text)
    folder.rename(spool.root / "queued" / name)


@pytest.mark.slow
def test_specs_of_other_versions_and_half_written_ones(spool, tmp_path):
    """0.1.0 wrote no version: it runs. A newer one, one without its kind's fields and half of one fail by name."""
    old = corpus_job(tmp_path / "text", "old", priority=-1)
    write_spec(spool, "old", json.dumps(old))
    write_spec(spool, "newer", json.dumps({**old, "version": 99}))
    write_spec(spool, "lacks", json.dumps({"kind": "train", "corpus": "old", "domains": ["ones"]}))
    write_spec(spool, "half", '{"kind": "corpus", "corp')
    write_spec(spool, "list", "[1, 2]")
    write_spec(spool, "deep", "[" * 100_000)
    write_spec(spool, "waits", json.dumps({**old, "depends_on": ["../of nothing"]}))
    write_spec(spool, "long", json.dumps({**old, "study": "s" * 300}))
    (spool.root / "incoming" / "torn.1234").mkdir()  # a submit that was killed: never a job
    with worker(spool):
        until(lambda: all_ended(spool, "old", "newer", "lacks", "half", "list", "deep", "waits", "long"))
    assert last(spool, "old")["kind"] == "job.finished"
    for name, words in (
        ("newer", "version 99: this Mixdesk knows versions 1 to"),
        ("lacks", "its 'runs' is missing; it must be a list of objects"),
        ("half", "spec.json"),
        ("list", "[1, 2]"),
        ("deep", "recursion"),
        ("waits", "../of nothing"),
        ("long", "a study's id"),
    ):
        assert last(spool, name)["kind"] == "job.failed" and words in last(spool, name)["message"], name
    assert JobSpec.read(old).retries == 2


# Jobs that misbehave ---------------------------------------------------------------------------------------------


def test_a_job_that_ends_with_0_and_no_result_fails_with_that_cause(spool, job, tmp_path):
    job("zero", retries=1)
    with worker(spool, **faults(tmp_path / "faults")):
        until(lambda: all_ended(spool, "zero"))
    assert kinds(spool, "zero") == ["job.died", "job.died", "job.failed"]
    assert "2 times, last: its process ended with code 0 and no result" in last(spool, "zero")["message"]


def test_no_retries_means_one_attempt(spool, job, tmp_path):
    job("zero", retries=0)
    with worker(spool, **faults(tmp_path / "faults")):
        until(lambda: all_ended(spool, "zero"))
    assert kinds(spool, "zero") == ["job.died", "job.failed"]


@pytest.mark.slow
def test_a_job_that_never_beats_is_ended_and_tried_again(spool, job, tmp_path):
    job("silent", stall_timeout=1, retries=1)
    with worker(spool, **faults(tmp_path / "faults")):
        until(lambda: all_ended(spool, "silent"))
    died, _, failed = read_events(spool.find("silent"))
    assert died["kind"] == "job.died" and "showed no progress for 1 seconds" in died["message"]
    assert failed["kind"] == "job.failed" and "showed no progress" in failed["message"]


@pytest.mark.slow
def test_a_job_that_ignores_term_is_killed_with_its_children(spool, job, tmp_path):
    job("stubborn")
    with worker(spool, **faults(tmp_path / "faults")):
        child = int(until(lambda: (path := spool.find("stubborn") / "child").exists() and path.read_text()))
        spool.cancel("stubborn")
        until(lambda: all_ended(spool, "stubborn"), 30)
    assert last(spool, "stubborn")["kind"] == "job.cancelled"
    until(lambda: not alive(child), 10)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_job_that_prints_without_end_fills_no_disk_and_is_named(spool, job, tmp_path):
    """It prints 5 MB a second, 40 MB in all, and may keep 2."""
    job("prints")
    with worker(spool, MIXDESK_LOG_MB="2", **faults(tmp_path / "faults")):
        log = until(lambda: (path := spool.find("prints") / "log.txt").exists() and path)
        until(lambda: b"Mixdesk cut this log" in log.read_bytes()[:200])
        largest = 0
        for _ in range(20):
            largest = max(largest, log.stat().st_size)
            time.sleep(0.1)
        word = until(lambda: "does not stop printing" in (text := (spool.root / "devices.json").read_text()) and text)
        assert "Job prints does not stop printing" in json.loads(word)["troubles"][0]
        spool.cancel("prints")
        until(lambda: all_ended(spool, "prints"), 30)
    assert largest < 20 << 20
    assert kinds(spool, "prints")[-1] == "job.cancelled"


@pytest.mark.slow
def test_a_job_cuts_its_own_log_when_its_supervisor_is_gone(tmp_path):
    """A process that outlives its supervisor prints 12 MB, 1 MB at a time, and may keep 1."""
    log = tmp_path / "log.txt"
    script = (
        "import os, pathlib, time; from engine.jobs import logs; logs.keep_short(pathlib.Path(os.environ['LOG']))\n"
        "for _ in range(12):\n    os.write(1, b'x' * 2**20); time.sleep(0.3)\nos.write(1, b'the end')"
    )
    environment = {**os.environ, "MIXDESK_LOG_MB": "1", "LOG": str(log), "PYTHONPATH": str(ROOT)}
    with open(log, "ab") as output:
        subprocess.run([sys.executable, "-c", script], stdout=output, env=environment, check=True, timeout=60)
    text = log.read_text()
    assert text.startswith("[Mixdesk cut this log") and text.endswith("the end") and len(text) < 6 << 20


def test_a_trimmed_log_keeps_its_end(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXDESK_LOG_MB", "1")
    (tmp_path / "log.txt").write_text("x" * 2_000_000 + "the end")
    assert logs.trim(tmp_path / "log.txt") == 2_000_007
    text = (tmp_path / "log.txt").read_text()
    assert text.startswith("[Mixdesk cut this log: it had grown to 2,000,007 bytes.]") and text.endswith("the end")
    assert len(text) < 600_000 and logs.trim(tmp_path / "log.txt") == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA error: device lost\nmore"), "its GPU failed or vanished (CUDA error: device lost)"),
        (Transient("The card left."), "The card left."),
    ],
)
def test_a_gpu_that_fails_under_a_job_is_a_reason_to_try_again(tmp_path, error, said):
    assert run_job.failed(Job(tmp_path, tmp_path, {}), error) != 0
    (event,) = read_events(tmp_path)
    assert (event["kind"], event["message"]) == ("job.died", said)


def test_what_a_job_said_of_its_death_is_told_once_and_counts(spool, job):
    """The supervisor adds no second death to one that the job has written itself, and gives up after the last retry."""
    job("one", retries=1)
    supervisor = Supervisor(spool.workspace, Local(slots=1))
    for attempt in (1, 2):
        folder = spool.move(spool.find("one"), "active")
        begins = os.path.getsize(folder / "events.jsonl") if attempt > 1 else 0
        (folder / "lease.json").write_text(json.dumps({"job": "one", "begins": begins, "handle": "1"}))
        write_event(folder, JobStarted(pid=1))
        write_event(folder, JobDied(message="its GPU failed"))
        supervisor.watch(folder)
        assert kinds(spool, "one").count("job.died") == attempt
    assert place(spool, "one") == "ended"
    assert "2 times, last: its GPU failed" in last(spool, "one")["message"]


# Attempts --------------------------------------------------------------------------------------------------------


def test_an_attempt_that_was_given_up_does_not_begin(spool, job):
    """A cluster may start a command long after its worker has lost it and begun another."""
    job("one")
    folder = spool.move(spool.find("one"), "active")
    (folder / "lease.json").write_text(json.dumps({"job": "one", "attempt": "second"}))
    assert run_job.main(folder, spool.workspace, "first", locked=False) == run_job.DUPLICATE
    assert read_events(folder) == []


def test_a_twin_finds_the_lock_taken_and_leaves(spool, job, monkeypatch):
    job("one")
    folder = spool.move(spool.find("one"), "active")
    (folder / "lease.json").write_text(json.dumps({"job": "one", "attempt": "a"}))
    monkeypatch.setattr(run_job, "LOCK_TRIES", 2)
    lock = run_job.take_lock(folder)
    assert run_job.main(folder, spool.workspace, "a", locked=False) == run_job.DUPLICATE
    os.close(lock)


@pytest.mark.slow
def test_a_new_worker_can_cancel_a_job_whose_handle_was_never_noted(spool, job, tmp_path):
    """The first worker was killed between the start of the process and the note of it."""
    job("corpus-1", priority=0)
    text = tmp_path / "text" / "ones"
    for n in range(400):
        (text / f"more-{n}.txt").write_text("".join(f"{n} {i} line\n" for i in range(2000)))
    with worker(spool) as first:
        pid = until(lambda: pid_of(spool.find("corpus-1")))
        os.kill(pid, signal.SIGSTOP)  # it would end meanwhile, on a busy machine
        first.kill()
        first.wait()
        folder = spool.find("corpus-1")
        lease = json.loads((folder / "lease.json").read_text())
        (folder / "lease.json").write_text(json.dumps({**lease, "handle": ""}))
        with worker(spool):
            spool.cancel("corpus-1")
            until(lambda: place(spool, "corpus-1") == "ended", 30)
    assert kinds(spool, "corpus-1")[-1] == "job.cancelled"
