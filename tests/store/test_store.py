"""The store: one owner, journals before tables, each event exactly once, everything can be rebuilt."""

import json
import subprocess
import sys
import threading
import tracemalloc

import pytest

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCancelled, StudyCreated, StudyPlanned
from store import jobs, runs, studies
from store.database import Store
from store.rebuild import rebuild

DOMAINS = ["prose", "code"]


def planned(store: Store, study: str = "demo", count: int = 3, kind: str = "train") -> None:
    """A study with planned runs, one job for all of them."""
    rows = [
        {
            "id": f"{study}-{n}",
            "number": n,
            "role": "design",
            "weights": [n / 10, 1 - n / 10],
            "seed": n,
            "job": f"{study}-{kind}",
        }
        for n in range(1, count + 1)
    ]
    store.write(StudyCreated(study=study, name="A study", spec={"corpus": "default"}))
    job = {"job": f"{study}-{kind}", "spec": {"kind": kind}}
    store.write(StudyPlanned(study=study, domains=DOMAINS, corpus={}, runs=rows, jobs=[job]))
    store.spool.submit({"kind": kind}, f"{study}-{kind}")


def journal_of(store: Store, job_id: str):
    return open(store.spool.find(job_id) / "events.jsonl", "ab")


def line(kind: str, **fields) -> bytes:
    return json.dumps({"kind": kind, "t": 1.0, **fields}).encode() + b"\n"


def finished(run: str, loss: float) -> bytes:
    return line(
        "run.finished",
        run=run,
        losses={"code": loss, "prose": 2 * loss},
        losses_se={"code": 0.1, "prose": 0.1},
        shares=[0.5, 0.5],
        tokens=100,
        seconds=2.0,
        cpu_seconds=2.0,
        device="cpu",
        parameters=10,
    )


def everything(store: Store) -> dict:
    """All rows of all tables but the offsets, as text."""
    tables = (
        "studies",
        "jobs",
        "runs",
        "curve",
        "evaluations",
        "corpora",
        "leagues",
        "results",
        "notices",
        "api_tokens",
        "candidates",
        "reviews",
        "corrupt_lines",
    )
    return {table: sorted(map(repr, store.rows(f"SELECT * FROM {table}"))) for table in tables}


def test_losses_stand_in_the_order_of_the_domains(store):
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.write(finished("demo-2", 1.5))
    store.ingest()
    measured = runs.measured(store, "demo")
    assert measured.ids == ["demo-2"]
    assert measured.losses.tolist() == [[3.0, 1.5]]
    assert measured.weights.tolist() == [[0.2, 0.8]]


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


def test_states_follow_the_job(store):
    planned(store)
    states = []
    for events in (
        line("job.started") + line("runs.started", runs=["demo-1", "demo-2", "demo-3"], device="cpu", parameters=10),
        finished("demo-1", 1.0) + line("run.diverged", run="demo-2", step=7, loss=None),
        line("job.failed", message="The disk is full."),
        line("job.requeued") + line("job.started"),
        line("job.finished"),
    ):
        with journal_of(store, "demo-train") as journal:
            journal.write(events)
        store.ingest()
        states.append((jobs.find(store, "demo-train").state, studies.get(store, "demo").counts))
    assert states == [
        ("running", {"running": 3}),
        ("running", {"done": 1, "diverged": 1, "running": 1}),
        ("failed", {"done": 1, "diverged": 1, "failed": 1}),
        ("running", {"done": 1, "diverged": 1, "planned": 1}),
        ("done", {"done": 1, "diverged": 1, "failed": 1}),
    ]


def test_an_ended_job_is_sealed_once_it_is_read(store):
    planned(store)
    store.spool.cancel("demo-train")
    store.ingest()
    assert store.spool.find("demo-train").parent.name == "sealed"
    assert jobs.find(store, "demo-train").state == "cancelled"


def test_a_rebuild_equals_the_live_database(store, workspace, tmp_path):
    planned(store, "one")
    planned(store, "two")
    with journal_of(store, "one-train") as journal:
        journal.write(line("job.started") + finished("one-1", 1.0) + b"garbage\n" + line("job.finished"))
    with journal_of(store, "two-train") as journal:
        journal.write(line("runs.evaluated", runs=["two-1"], tokens=5, losses=[[1.0, 2.0]]))
        journal.write(
            line(
                "runs.progress",
                runs=["two-1"],
                step=5,
                steps=10,
                tokens=50,
                loss=[4.0],
                tokens_per_second=9.0,
            )
        )
    store.spool.move(store.spool.find("one-train"), "ended")
    store.ingest()
    store.write(StudyCancelled(study="two"))
    before = everything(store)
    assert all(before[table] for table in ("studies", "jobs", "runs", "curve", "evaluations", "corrupt_lines"))
    assert rebuild(workspace, tmp_path / "again.duckdb") > 0
    again = Store(workspace, tmp_path / "again.duckdb")
    assert everything(again) == before
    again.close()


def test_a_second_process_is_refused_with_a_sentence(store, workspace):
    code = (
        "import sys, pathlib; from store.database import Store; from engine.core.workspace import Workspace;"
        "Store(Workspace(pathlib.Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(workspace.root)], capture_output=True, text=True)
    assert "another process owns it" in done.stderr


def test_two_threads_write_and_nothing_is_lost(store):
    def create(prefix):
        for n in range(20):
            store.write(StudyCreated(study=f"{prefix}{n}", name="x", spec={"corpus": "c"}))

    threads = [threading.Thread(target=create, args=(prefix,)) for prefix in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(studies.all_studies(store)) == 40


def test_a_newer_workspace_is_refused_and_left_alone(workspace):
    (workspace.root / "version").write_text("99\n")
    with pytest.raises(Problem, match=r"version is '99'.*Update Mixdesk"):
        Workspace.open(workspace.root)
    assert (workspace.root / "version").read_text() == "99\n"


def test_a_damaged_database_says_how_to_rebuild(workspace):
    (workspace.root / "mixdesk.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(Problem, match=r"store\.rebuild"):
        Store(workspace)


def test_the_owner_lock_is_exclusive_and_ends_with_its_holder(workspace):
    import os

    descriptor = workspace.lock("owner")
    assert workspace.is_held("owner")
    with pytest.raises(Problem, match="is that already"):
        workspace.lock("owner")
    os.close(descriptor)
    assert not workspace.is_held("owner")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x", "x" * 65, "a b"])
def test_names_cannot_leave_the_workspace(workspace, name):
    with pytest.raises(Problem, match="Cannot use"):
        workspace.corpus(name)
