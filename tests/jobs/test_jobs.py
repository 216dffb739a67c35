"""The spool: submit, claim, journal, cancel, retry."""

import json
import os

import pytest

from engine.core.errors import Problem, Stopped
from engine.jobs.events import OUTCOMES, JobDied, JobFailed, JobFinished, JobStarted, RunsProgress
from engine.jobs.journal import cut_torn_tail, last_event, write_event
from engine.jobs.journal import read_events as events_in
from engine.jobs.spool import Job, Spool, try_lock
from tests.support.working import read_events


@pytest.fixture
def spool(tmp_path) -> Spool:
    return Spool(tmp_path)


def kinds(folder):
    return [event["kind"] for event in read_events(folder)]


def test_submit_is_whole_and_idempotent(spool):
    assert spool.submit({"kind": "fit", "x": 1}, "one") == "one"
    spool.submit({"kind": "fit", "x": 2}, "one")
    (folder,) = spool.folders("queued")
    assert json.loads((folder / "spec.json").read_text()) == {"version": 2, "kind": "fit", "x": 1}
    assert list((spool.root / "incoming").iterdir()) == []


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".hidden", "..", "a\0b", "a\nb", "\ud800"])
def test_a_job_id_cannot_leave_the_spool(spool, name):
    with pytest.raises(Problem, match="not a job's id"):
        spool.find(name)


def test_cancel_before_the_start_ends_at_once(spool):
    spool.submit({"kind": "fit"}, "one")
    spool.cancel("one")
    assert spool.find("one").parent.name == "ended"
    assert kinds(spool.find("one")) == ["job.cancelled"]


def test_cancel_of_a_running_job_leaves_word_for_the_worker(spool):
    spool.submit({"kind": "fit"}, "one")
    folder = spool.move(spool.find("one"), "active")
    spool.cancel("one")
    assert (folder / "cancel").exists() and folder.is_dir()


def test_retry_only_of_what_ended(spool):
    spool.submit({"kind": "fit"}, "one")
    with pytest.raises(Problem, match="has not ended"):
        spool.retry("one")
    spool.cancel("one")
    spool.retry("one")
    assert spool.find("one").parent.name == "queued"
    assert not (spool.find("one") / "cancel").exists()
    assert kinds(spool.find("one")) == ["job.cancelled", "job.requeued"]


def test_a_job_that_has_told_its_end_can_be_retried_before_its_worker_files_it_away(spool):
    for name in ("one", "two"):
        spool.submit({"kind": "fit"}, name)
    folder = spool.move(spool.find("one"), "active")
    write_event(folder, JobStarted(pid=1))
    with pytest.raises(Problem, match="has not ended"):
        spool.retry("one")
    write_event(folder, JobFailed("The disk is full."))
    with try_lock(folder), pytest.raises(Problem, match="still runs"):
        spool.retry("one")
    spool.retry("one")
    assert spool.find("one").parent.name == "queued"
    again = spool.move(spool.find("one"), "active")
    with pytest.raises(Problem, match="has not ended"):  # the end that it told was that of its round before
        spool.retry("one")
    assert kinds(again) == ["job.started", "job.failed", "job.requeued"]


def test_the_lock_shows_who_lives(spool):
    spool.submit({"kind": "fit"}, "one")
    folder = spool.find("one")
    with try_lock(folder) as first, try_lock(folder) as second:
        assert first is not None and second is None
    with try_lock(folder) as again:
        assert again is not None


def test_progress_is_thinned_and_stops_when_told(tmp_path):
    job = Job(tmp_path, tmp_path, {})
    for i in range(1000):
        job.progress(i, 1000)
    assert 1 <= len(read_events(tmp_path)) <= 3
    job.stopping = True
    with pytest.raises(Stopped):
        job.progress(1, 2)


def test_a_journal_refuses_what_json_cannot_say(tmp_path):
    job = Job(tmp_path, tmp_path, {})
    with pytest.raises(ValueError):
        job.emit(RunsProgress(["a"], 1, 2, 3, [float("nan")], 1.0))
    assert read_events(tmp_path) == []


@pytest.mark.parametrize("tail", [b"", b'{"kind": "torn', b"x" * 200_000])
def test_a_torn_line_is_cut_and_nothing_else(tmp_path, tail):
    write_event(tmp_path, JobStarted())
    with open(tmp_path / "events.jsonl", "ab") as journal:
        journal.write(tail)
    assert kinds(tmp_path) == ["job.started"]
    cut_torn_tail(tmp_path)
    write_event(tmp_path, JobDied())
    assert kinds(tmp_path) == ["job.started", "job.died"]
    assert (tmp_path / "events.jsonl").read_bytes().count(b"\n") == 2


def test_a_journal_that_is_one_torn_line_becomes_empty(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(b"torn")
    cut_torn_tail(tmp_path)
    assert os.path.getsize(tmp_path / "events.jsonl") == 0


@pytest.mark.parametrize("kind", [[], {}, ["job.finished"], {"job.finished": 1}, 7, None, True])
def test_a_kind_that_is_no_text_costs_its_line_and_not_the_worker(tmp_path, kind):
    """A node may post whatever it likes, and the worker reads what it posted."""
    write_event(tmp_path, JobFinished())
    with open(tmp_path / "events.jsonl", "a") as journal:
        journal.write(json.dumps({"kind": kind, "t": 1.0}) + "\n")
    assert last_event(tmp_path, *OUTCOMES) == JobFinished()
    assert events_in(tmp_path, *OUTCOMES) == [JobFinished()]


@pytest.mark.parametrize("length", [10, 70_000, 3_000_000])
def test_the_last_line_is_read_however_long(tmp_path, length):
    write_event(tmp_path, JobStarted())
    write_event(tmp_path, JobFailed("x" * length))
    last = last_event(tmp_path, JobStarted, *OUTCOMES)
    assert isinstance(last, JobFailed) and len(last.message) == length
