"""Lines of journals: torn, long, damaged, malformed: each lands once, or is set aside and shown."""

import ast
import json
import tracemalloc

import pytest

from engine.commands import COMMANDS
from engine.jobs.decisions import InboxRead
from engine.jobs.events import JobStarted, RunFinished
from engine.jobs.journal import LONGEST, read_events
from store import database, jobs, runs, studies
from store.database import AT_ONCE, Store
from store.events.apply import ONE_BY_ONE
from tests.store.test_store import finished, journal_of, line, planned
from tests.support.running import ROOT


def test_a_torn_line_waits_for_its_end(store):
    planned(store)
    whole = finished("demo-1", 1.0)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.started") + whole[:20])
        journal.flush()
        store.ingest()
        assert jobs.find(store, "demo-train").state == "running"
        assert studies.get(store, "demo").done == 0
        journal.write(whole[20:])
    store.ingest()
    assert studies.get(store, "demo").done == 1
    assert runs.corrupt_lines(store) == []


def test_a_long_torn_line_is_not_read_again(store):
    planned(store)
    key, size = "job/demo-train", 5 << 20
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.started"))
        journal.flush()
        store.ingest()
        begins = journal.tell()
        journal.write(b"x" * size)
        journal.flush()
        tracemalloc.start()
        assert store.ingest() == 0 and store._torn[key] == begins + size
        assert store.ingest() == 0 and tracemalloc.get_traced_memory()[1] < 4 << 20, "a block at a time"
        tracemalloc.stop()
        journal.write(b"\n" + finished("demo-1", 1.0))
    store.ingest()
    assert studies.get(store, "demo").done == 1
    assert [len(text) for _, _, text, _ in runs.corrupt_lines(store)] == [2000]


def test_a_long_torn_line_that_is_cut_off_hides_nothing(store):
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.started"))
        journal.flush()
        begins = journal.tell()
        journal.write(b"x" * (5 << 20))
        journal.flush()
        store.ingest()
        journal.truncate(begins)
        journal.seek(begins)
        journal.write(finished("demo-1", 1.0))
    store.ingest()
    assert studies.get(store, "demo").done == 1


@pytest.mark.slow
def test_a_line_of_gigabytes_is_set_aside_by_place_and_length(store):
    """Not one byte more is held of it than of any other; a hole in the file stands for its bytes."""
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.started"))
        begins, size = journal.tell(), 1 << 30
        journal.truncate(begins + size)
        journal.seek(begins + size)
        journal.write(b"\n" + finished("demo-1", 1.0))
    tracemalloc.start()
    store.ingest()
    assert [type(one) for one in read_events(store.spool.find("demo-train"), JobStarted, RunFinished)] == [
        JobStarted,
        RunFinished,
    ]
    assert tracemalloc.get_traced_memory()[1] < 3 * LONGEST
    tracemalloc.stop()
    assert studies.get(store, "demo").done == 1
    ((_, place, text, reason),) = runs.corrupt_lines(store)
    assert place == begins and len(text) == 2000 and f"{size + 1:,} bytes" in reason


def test_a_corrupt_line_is_set_aside_and_shown(store):
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.started") + b"\xff{ garbage\n" + b"[1, 2]\n" + finished("demo-1", 1.0))
    store.ingest()
    assert studies.get(store, "demo").done == 1
    assert [text for _, _, text, _ in runs.corrupt_lines(store)] == ["\ufffd{ garbage", "[1, 2]"]


def test_each_line_lands_once_however_often_it_is_looked_at(workspace):
    store = Store(workspace)
    planned(store)
    progress = line(
        "runs.progress",
        runs=["demo-1", "demo-2"],
        step=5,
        steps=10,
        tokens=50,
        loss=[4.0, None],
        tokens_per_second=9.0,
    )
    with journal_of(store, "demo-train") as journal:
        journal.write(progress * 3)
    store.ingest()
    store.ingest()
    store.close()
    store = Store(workspace)
    assert store.rows("SELECT count(*), count(loss) FROM curve") == [(6, 3)]
    store.ingest()
    assert store.rows("SELECT count(*), count(loss) FROM curve") == [(6, 3)]
    store.close()


def test_an_event_of_the_wrong_shape_is_set_aside_and_its_neighbours_land(store):
    planned(store)
    wrong = line("runs.started", runs=["demo-1"])  # lacks its device
    progress = line("runs.progress", runs=["demo-1"], step="x", steps=1, tokens=1, loss=[1.0], tokens_per_second=1.0)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.started") + b"garbage\n" + wrong + progress + finished("demo-1", 1.0))
    store.ingest()
    assert jobs.find(store, "demo-train").state == "running"
    assert studies.get(store, "demo").done == 1
    aside = [json.loads(text)["kind"] for _, _, text, _ in runs.corrupt_lines(store)[1:]]
    assert aside == ["runs.started", "runs.progress"]
    store.ingest()
    assert len(runs.corrupt_lines(store)) == 3


def test_numbers_that_cannot_be_are_set_aside_with_the_reason(store):
    """Shares of text that a run saw, its errors, and the parts of a text that it was to see."""
    planned(store)
    whole = json.loads(finished("demo-1", 1.0))
    odd = {"shares": [[5, -4], [0.5, 0.4], [-0.5, 1.5], [0.5, 0.5, 0.0]], "losses_se": [{"code": -0.1, "prose": 0.1}]}
    with journal_of(store, "demo-train") as journal:
        for name, values in odd.items():
            journal.writelines(json.dumps(whole | {name: value}).encode() + b"\n" for value in values)
        rounded = whole | {"run": "demo-2", "shares": [0.3334, 0.6667]}
        journal.write(finished("demo-1", 1.0) + json.dumps(rounded).encode() + b"\n")
    run = {"id": "demo-9", "number": 9, "role": "dose", "weights": [0.5, 0.5], "seed": 1}
    with open(store.journal.folder / "events.jsonl", "ab") as journal:
        for doses in ([0.0, 1.0], [1.0, -0.5], [1.0, 2.0]):
            journal.write(line("runs.added", by="a", study="demo", jobs=[], runs=[run | {"doses": doses}]))
    store.ingest()
    assert studies.get(store, "demo").done == 2 and studies.get(store, "demo").open == 1
    told = {reason for *_, reason in runs.corrupt_lines(store)}
    assert len(runs.corrupt_lines(store)) == 8
    assert sum("sum to 1" in reason for reason in told) == 3
    assert sum("at least 1e-06 and at most 1" in reason for reason in told) == 3
    assert sum("the standard error of 'code' is below 0" in reason for reason in told) == 1


def test_malformed_events_are_set_aside_together(store):
    """A transaction of its own for each made a start behind a thousand of them take 17 s."""
    planned(store)
    again = line("study.created", by="ada", study="demo", name="Again", spec={"corpus": "default"})
    other = line("study.created", by="ada", study="other", name="Other", spec={"corpus": "default"})
    with open(store.journal.folder / "events.jsonl", "ab") as journal:
        journal.write(again * 150 + other + again * 150)
    before = store.version
    store.ingest()
    assert store.rows("SELECT count(*) FROM corrupt_lines") == [(300,)]
    assert {one.id for one in studies.all_studies(store)} == {"demo", "other"}
    assert store.version - before < 10


def test_what_stands_twice_among_others_is_set_aside_where_it_stands(store):
    """Rows that were deleted in between may be added again, in one reading as in several."""
    planned(store)
    begun, ended = line("request.begun", by="a", key="", asked="x"), line("request.ended", by="a", key="", answer=None)
    run = {"id": "demo-9", "number": 9, "role": "design", "weights": [0.5, 0.5], "seed": 1}
    added = line("runs.added", by="a", study="demo", jobs=[], runs=[run])
    with open(store.journal.folder / "events.jsonl", "ab") as journal:
        journal.write(begun + begun + ended + begun + added + added + begun)
    before = store.version
    store.ingest()
    assert store.rows("SELECT key, asked FROM requests") == [("", "x")] and studies.get(store, "demo").open == 4
    told = [reason for *_, reason in runs.corrupt_lines(store)]
    assert len(told) == 3 and all("is there already" in reason for reason in told) and "'demo-9'" in " ".join(told)
    assert store.version - before < 9


def test_many_events_that_the_database_refuses_let_others_write_in_between(store, monkeypatch):
    """A table is damaged: each of its lines is set aside, and nobody waits for all of them."""
    planned(store)
    store._connection.cursor().execute("DROP TABLE notices")
    raised = line("notice.raised", by="Mixdesk", notice="n", study="demo", outcome="finished", text="x")
    other = line("study.created", by="ada", study="other", name="Other", spec={"corpus": "default"})
    with open(store.journal.folder / "events.jsonl", "ab") as journal:
        journal.write(raised * 12 + other + raised * 12)
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0)
    waiting = [store.journal.folder]
    assert store._take_some(waiting) == 1 and len(waiting) == 1, "the first is set aside, and others have their turn"
    assert store.ingest() > 0 and len(runs.corrupt_lines(store)) == 24
    assert {one.id for one in studies.all_studies(store)} == {"demo", "other"}


def test_long_lines_are_read_a_few_at_once(store, monkeypatch):
    """A thousand lines of megabytes would be held together otherwise."""
    planned(store)
    monkeypatch.setattr(database, "BYTES_AT_ONCE", 1 << 10)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.note", text="x" * (2 << 20)) * 3 + finished("demo-1", 1.0))
    before = store.version
    assert store.ingest() == 4 and studies.get(store, "demo").done == 1
    assert store.version - before >= 3


def test_one_long_journal_is_read_in_parts_so_that_others_may_write(store):
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.progress", done=1, total=2) * (2 * AT_ONCE) + finished("demo-1", 1.0))
    before = store.version
    assert store.ingest() == 2 * AT_ONCE + 1 and studies.get(store, "demo").done == 1
    assert store.version - before == 3


def test_events_that_are_applied_one_by_one_are_fewer_at_once(store):
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(line("job.note", text="x") * AT_ONCE + finished("demo-1", 1.0))
    before = store.version
    assert store.ingest() == AT_ONCE + 1 and studies.get(store, "demo").done == 1
    assert store.version - before == ONE_BY_ONE + 1


def test_a_line_with_a_long_list_is_written_at_once(store):
    """One row after the other, a hundred thousand of them kept everybody waiting for minutes."""
    store.write(InboxRead("ann", [*range(100_000), 5, 5]))
    store.write(InboxRead("ann", [5, 100_000]))
    store.write(InboxRead("ben", []))
    assert store.rows("SELECT person, count(*), max(n) FROM inbox_read GROUP BY ALL") == [("ann", 100_001, 100_000)]


def test_nothing_is_written_row_by_row():
    """What an event lists goes into a table in one statement (store/events/bulk.py)."""
    for path in (ROOT / "store" / "events").glob("*.py"):
        assert "executemany" not in path.read_text(), path
        for loop in ast.walk(ast.parse(path.read_text())):
            if isinstance(loop, ast.For) and ast.unparse(loop.iter).startswith("e."):
                assert "execute" not in ast.unparse(loop), f"{path.name}:{loop.lineno}"


def test_who_has_no_page_sees_which_lines_and_why(store):
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(b"garbage\n")
    store.ingest()
    told = COMMANDS["list_set_aside"](store)
    assert told["count"] == 1 and told["lines"][0]["text"] == "garbage" and "not a JSON" in told["lines"][0]["reason"]
