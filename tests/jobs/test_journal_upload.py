"""Journals that come by HTTP: the same bytes twice are written once, and only the attempt that runs may write."""

import json

import pytest

from engine.core.secret import secret
from engine.jobs import journal_upload
from engine.jobs.spool import Spool, try_lock
from engine.jobs.tokens import job_token
from tests.support.working import read_events


@pytest.fixture
def spool(tmp_path) -> Spool:
    """A job `one` whose second attempt runs, and which has one event."""
    made = Spool(tmp_path)
    made.submit({"kind": "fit"}, "one")
    folder = made.move(made.find("one"), "active")
    (folder / "lease.json").write_text(json.dumps({"job": "one", "attempt": "second"}))
    (folder / "events.jsonl").write_bytes(FIRST)
    return made


FIRST, NEXT = b'{"kind": "job.started"}\n', b'{"kind": "job.note", "text": "\xc3\xa4"}\n'


def test_a_node_gets_its_spec_and_the_journal_so_far(spool):
    given = journal_upload.hand_out(spool, "one", "second")
    assert json.loads(given["spec"])["kind"] == "fit" and given["journal"].encode("latin-1") == FIRST


def test_bytes_that_come_twice_or_in_pieces_are_written_once(spool):
    start = len(FIRST)
    for offset, data, have in (
        (start, NEXT[:10], start + 10),
        (start, NEXT[:10], start + 10),  # its answer was lost
        (start, NEXT, start + len(NEXT)),  # and goes on
        (start + 5, NEXT[5:], start + len(NEXT)),
        (start + 500, b"from nowhere", start + len(NEXT)),  # ahead: told where to go on
        (start + len(NEXT), b"", start + len(NEXT)),  # a beat
    ):
        assert journal_upload.receive(spool, "one", "second", offset, data) == have
    assert [event["kind"] for event in read_events(spool.find("one"))] == ["job.started", "job.note"]
    assert (spool.find("one") / "events.jsonl").read_bytes() == FIRST + NEXT
    assert (spool.find("one") / "beat").exists()


@pytest.mark.parametrize(("job", "attempt"), [("one", "first"), ("one", ""), ("two", "second")])
def test_an_attempt_that_is_over_may_not_write(spool, job, attempt):
    for wish in (
        lambda: journal_upload.receive(spool, job, attempt, len(FIRST), NEXT),
        lambda: journal_upload.hand_out(spool, job, attempt),
        lambda: journal_upload.take_log(spool, job, attempt, b"printed"),
    ):
        with pytest.raises(journal_upload.Gone):
            wish()
    spool.move(spool.find("one"), "ended")
    with pytest.raises(journal_upload.Gone):
        journal_upload.receive(spool, "one", "second", len(FIRST), NEXT)
    assert read_events(spool.find("one")) == [{"kind": "job.started"}]


def test_a_journal_that_somebody_holds_is_busy_and_nothing_is_lost(spool):
    with try_lock(spool.find("one")), pytest.raises(BlockingIOError):
        journal_upload.receive(spool, "one", "second", len(FIRST), NEXT)
    assert journal_upload.receive(spool, "one", "second", len(FIRST), NEXT) == len(FIRST + NEXT)


def test_the_end_of_what_a_node_printed_is_kept(spool):
    journal_upload.take_log(spool, "one", "second", b"\xff" + b"x" * 100_000 + b"the end")
    text = (spool.find("one") / "log.txt").read_text()
    assert text.endswith("the end") and len(text) <= 16384


def test_a_token_opens_one_attempt_at_one_job_of_one_workspace(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    tokens = {
        job_token(tmp_path / folder, job, attempt) for folder in "ab" for job in ("x", "y") for attempt in ("1", "2")
    }
    assert len(tokens) == 8 and job_token(tmp_path / "a", "x", "1") in tokens
    assert (tmp_path / "a" / "secret").stat().st_mode & 0o077 == 0 and len(secret(tmp_path / "a")) == 32


def test_a_journal_longer_than_any_job_writes_ends_the_attempt(spool):
    with pytest.raises(journal_upload.Gone, match="longer than"):
        journal_upload.receive(spool, "one", "second", journal_upload.LONGEST, NEXT)
    assert journal_upload.receive(spool, "one", "second", len(FIRST), NEXT) == len(FIRST + NEXT)
