"""The store: one owner, journals before tables, each event exactly once, everything can be rebuilt."""

import json
import re
import subprocess
import sys
import threading

import pytest

from engine.commands.studies import list_runs
from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCancelled, StudyCreated, StudyPlanned
from store import jobs, runs, studies
from store.database import Store
from store.from_journals import main, put_aside, rebuild

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
    assert rebuild(workspace, tmp_path / "again.duckdb")[0] > 0
    again = Store(workspace, tmp_path / "again.duckdb")
    assert everything(again) == before
    again.close()


def test_a_second_process_is_refused_with_a_sentence(store, workspace):
    code = (
        "import sys, pathlib; from store.database import AT_ONCE, Store; from engine.core.workspace import Workspace;"
        "Store(Workspace(pathlib.Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(workspace.root)], capture_output=True, text=True)
    assert "another process owns it" in done.stderr


FULL = """
import resource, sys
from pathlib import Path
from engine.core.errors import Unavailable
from engine.core.workspace import Workspace
from store.database import Store

resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # what a full disk or a quota refuses
try:
    Store(Workspace(Path(sys.argv[1])))
except Unavailable as refused:
    print(refused)
"""


def test_a_workspace_that_can_no_longer_be_written_says_so(workspace):
    """Every command opens it, also one that only looks: no traceback."""
    store = Store(workspace)
    planned(store)
    store.close()
    done = subprocess.run([sys.executable, "-c", FULL, str(workspace.root)], capture_output=True, text=True)
    assert "Cannot write" in done.stdout and "Free disk space" in done.stdout, done.stderr[-1000:]
    store = Store(workspace)
    assert [one.id for one in studies.all_studies(store)] == ["demo"]
    store.close()


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


def test_what_is_read_while_a_commit_becomes_visible_is_not_kept(store, monkeypatch):
    """Others see a commit before it is over: what they read of it is of no version yet."""
    before, seen = store.version, []

    class Slow:
        """A cursor whose commit is looked at in the middle."""

        def __init__(self, cursor):
            self.cursor = cursor

        def __getattr__(self, name):
            return getattr(self.cursor, name)

        def commit(self):
            self.cursor.commit()
            read = store.remembered("notes", lambda: store.rows("SELECT name FROM journals WHERE name = 'late'"))
            seen.append((read, store.version == before, store.is_still(before)))

    real = store._cursor
    store.remembered("notes", lambda: [])  # what was known of this version
    with monkeypatch.context() as patch:
        patch.setattr(store, "_cursor", lambda: Slow(real()))
        with store.transaction() as cursor:
            cursor.execute("INSERT INTO journals VALUES ('late', 1)")
    assert seen == [([], True, False)], "half of it would be mixed with what was known before"
    assert store.remembered("notes", lambda: ["now"]) == ["now"] and store.is_still(store.version)


def test_a_newer_workspace_is_refused_and_left_alone(workspace):
    (workspace.root / "version").write_text("99\n")
    with pytest.raises(Problem, match=r"version is '99'.*Update Mixdesk"):
        Workspace.open(workspace.root)
    assert (workspace.root / "version").read_text() == "99\n"


def test_whatever_stands_in_its_place_is_put_aside_and_what_was_kept_before_stays(workspace):
    """A folder, a link to nothing, a log: each rebuild keeps the one that it replaces under a name of its own."""
    live = workspace.root / "mixdesk.duckdb"
    assert put_aside(live) is None
    live.mkdir()
    assert put_aside(live) == "before-rebuild-mixdesk.duckdb"
    live.symlink_to("nowhere")
    live.with_name("mixdesk.duckdb.wal").write_text("log")
    assert put_aside(live) == "before-rebuild-2-mixdesk.duckdb"
    live.write_text("whole")
    assert put_aside(live) == "before-rebuild-3-mixdesk.duckdb"
    assert (workspace.root / "before-rebuild-mixdesk.duckdb").is_dir()
    assert (workspace.root / "before-rebuild-2-mixdesk.duckdb.wal").read_text() == "log"
    assert (workspace.root / "before-rebuild-3-mixdesk.duckdb").read_text() == "whole"
    assert not live.exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [('{"t": 1e400, "kind": "nothing"}\n[1]\n', " 2 lines of the journals .* were set aside"), ("", "")],
)
def test_a_rebuild_says_how_many_lines_it_set_aside(workspace, monkeypatch, capsys, lines, said):
    (folder := workspace.root / "journal" / "owner").mkdir(parents=True)
    (folder / "events.jsonl").write_text(lines)
    monkeypatch.setattr("sys.argv", ["rebuild", "--workspace", str(workspace.root)])
    main()
    assert re.fullmatch(
        rf".*: rebuilt from 0 events\.({said}: Studies lists them\.)?\n", told := capsys.readouterr().out
    )
    assert ("set aside" in told) == bool(said)


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


def test_a_name_that_two_studies_have_is_not_guessed(store):
    """Whoever cancels by name cancels what they mean."""
    for study in ("s-1", "s-2"):
        store.write(StudyCreated(study, "Same", {"corpus": "default"}))
    with pytest.raises(Problem, match=r"2 have that name\. Give an id: s-1, s-2|s-2, s-1"):
        studies.get(store, "Same")
    assert studies.get(store, "s-2").id == "s-2"


def test_what_an_expert_saw_is_told_by_its_texts_domains(store):
    """A merge study that varies layers has more coordinates than domains."""
    spec = {"name": "M", "corpus": "default", "merge": {"by": "layer"}}
    names = [f"{domain} @ layer {k}" for domain in DOMAINS for k in (0, 1)]
    run = {"id": "m-00001", "number": 1, "role": "expert", "weights": [0.0] * 4, "seed": 1, "job": "m-experts"}
    metrics = [{"metric": one, "unit": "bits per byte", "higher_is_better": False, "domain": one} for one in DOMAINS]
    corpus = {"domains": {name: {"train_tokens": 1e6} for name in DOMAINS}, "experts": DOMAINS}
    store.write(StudyCreated(study="m", name="M", spec=spec))
    job = {"job": "m-experts", "spec": {"kind": "train"}}
    store.write(StudyPlanned(study="m", domains=names, corpus=corpus, runs=[run], jobs=[job], metrics=metrics))
    store.spool.submit({"kind": "train"}, "m-experts")
    with journal_of(store, "m-experts") as journal:
        journal.write(finished("m-00001", 1.0))
    store.ingest()
    assert runs.corrupt_lines(store) == []
    (row,) = list_runs(store, "m")
    assert row["shares"] == dict.fromkeys(DOMAINS, 0.5) and set(row["weights"]) == set(names)


def test_a_curve_of_many_points_is_thinned_by_averaging_them(store):
    planned(store, count=1)
    losses = [None if place == 3 else float(place) for place in range(9)]  # after 10, 20, ... steps, then 5 more
    steps = [10 * place for place in range(1, 9)] + [85]
    with journal_of(store, "demo-train") as journal:
        for step, loss in zip(steps, losses, strict=True):
            progress = {"runs": ["demo-1"], "step": step, "steps": 85, "tokens": 2 * step, "loss": [loss]}
            journal.write(line("runs.progress", **progress, tokens_per_second=1.0))
    store.ingest()
    found = runs.curves(store, "demo", points=4).to_pydict()
    assert found["step"] == [20, 40, 60, 80, 85] and found["tokens"] == [40, 80, 120, 160, 170]
    assert found["loss"] == [0.5, 2.0, 4.5, 6.5, 8.0]  # the fourth was not a number
    assert len(runs.curves(store, "demo")) == 9
