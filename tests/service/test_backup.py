"""Backup and move: a whole workspace through one archive while it is written to, every table equal; runs as tables."""

import tarfile
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from engine.core.errors import Problem
from engine.core.people import NotSignedIn, Person, as_person
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyPaused
from engine.jobs.spool import Spool
from engine.service import api_tokens, backup
from engine.service.owner import Owner
from engine.service.restore import restore
from store.database import Store
from tests.service.test_archives import nothing_left
from tests.store.test_store import everything, journal_of, line, planned
from tests.store.test_store import finished as finished_line
from tests.support.running import Page, answer, copied, engine


def open_store(folder) -> Store:
    return Store(Workspace.open(folder))


def archive_of(store, tmp_path, **options):
    target = tmp_path / "backup.tar.zst"
    return target, backup.backup(store.workspace, target, **options)


def test_the_same_backup_asked_six_times_at_once_is_one(tmp_path):
    store, start, found = open_store(tmp_path / "here"), threading.Barrier(6), []
    planned(store)

    def ask():
        start.wait()
        try:
            found.append(archive_of(store, tmp_path)[1]["files"])
        except Problem as problem:
            found.append(str(problem))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert sum(isinstance(one, int) for one in found) == 1, found
    assert all("it exists" in one for one in found if isinstance(one, str)), found
    restore(tmp_path / "backup.tar.zst", tmp_path / "there", jobs="cancel")


@pytest.fixture(scope="module")
def moved(finished, tmp_path_factory):
    """(a finished workspace, what a backup under a running page made of it elsewhere)."""
    root = tmp_path_factory.mktemp("moved")
    copied(finished, root / "here")
    page = Page(root / "here")
    try:
        told = answer(root / "here", "backup", str(root / "b.tar.zst"))
    finally:
        page.stop()
    done = answer(root / "here", "restore", str(root / "b.tar.zst"), str(root / "there"))
    assert told["files"] == done["files"] and told["bytes"] > told["archive_bytes"] > 0
    return root / "here", root / "there"


@pytest.mark.slow
def test_a_whole_workspace_moves(moved):
    """From the command line, under a running page: every table of a real study is the same, and it answers."""
    here, there = (open_store(folder) for folder in moved)
    try:
        assert everything(here) == everything(there)
        assert all(everything(there)[table] for table in ("studies", "runs", "curve", "leagues", "results", "corpora"))
    finally:
        here.close()
        there.close()
    wish = ("export", "Small", "--format", "json", "--candidate", "best", "--out")
    files = [answer(folder, *wish, str(folder.parent / f"{folder.name}-out")) for folder in moved]
    texts = [[Path(name).read_text() for name in one["written"]] for one in files]
    assert texts[0] == texts[1]
    assert answer(moved[1], "trade-off", "Small", "--metric", "prose", "--metric", "python")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_runs_as_a_table_come_back_as_a_study(moved, tmp_path, suffix):
    path = tmp_path / f"runs{suffix}"
    assert answer(moved[1], "export-runs", "Small", str(path)) == {"written": str(path), "runs": 22}
    table = (csv.read_csv if suffix == ".csv" else parquet.read_table)(path)
    rows = answer(moved[1], "runs", "Small")
    for name in ("digits", "prose", "python"):
        assert table.column(f"share/{name}").to_pylist() == [row["weights"][name] for row in rows]
        assert table.column(f"metric/{name}").to_pylist() == [row["losses"][name] for row in rows]
    assert table.column("seed").to_pylist() == [row["seed"] for row in rows]
    said = engine(moved[1], "export-runs", "Small", str(path), check=False).stderr
    assert "it exists" in said and "Traceback" not in said
    wish = ("import", "--study", f"Again{suffix}", "--format", "flat", "--weights", str(path))
    done = answer(moved[1], *wish)
    assert done["domains"] == ["digits", "prose", "python"] and done["runs"] == 22


@pytest.fixture
def busy(store, tmp_path):
    """Two studies: one has measured, one has a job at work."""
    planned(store, "one")
    planned(store, "two")
    with journal_of(store, "one-train") as journal:
        journal.write(line("job.started") + finished_line("one-1", 1.0) + line("job.finished"))
    store.spool.move(store.spool.find("one-train"), "ended")
    store.spool.move(store.spool.find("two-train"), "active")
    with journal_of(store, "two-train") as journal:
        journal.write(line("job.started") + finished_line("two-1", 2.0) + b'{"kind": "run.fin')  # torn: being written
    for name in ("lock", "lease.json", "beat", "checkpoint-two-1.safetensors", "log.txt", ".half"):
        (store.spool.find("two-train") / name).write_text(name)
    (store.workspace.root / "corpora" / "c").mkdir(parents=True)
    (store.workspace.root / "corpora" / "c" / "train.bin").write_bytes(bytes(range(256)) * 1000)
    (store.workspace.root / "access.toml").write_text("client_secret")
    api_tokens.create(store, "CI")
    store.ingest()
    return store


def test_a_job_that_ended_while_it_was_backed_up_does_not_wait(store, tmp_path):
    """Its last line is there before its worker has seen that its process is gone: nobody is asked about it."""
    planned(store)
    with journal_of(store, "demo-train") as journal:
        journal.writelines([line("job.started"), *(finished_line(f"demo-{n}", 1.0) for n in (1, 2, 3))])
        journal.write(line("job.finished"))
    store.spool.move(store.spool.find("demo-train"), "active")
    store.write(StudyPaused("demo"))
    archive, _ = archive_of(store, tmp_path)
    restore(archive, tmp_path / "new")
    assert Spool(tmp_path / "new").find("demo-train").parent.name in ("ended", "sealed")


def names_in(path) -> set[str]:
    with pa.CompressedInputStream(str(path), "zstd") as data, tarfile.open(fileobj=data, mode="r|") as archive:
        return {member.name for member in archive}


def test_every_table_is_the_same_elsewhere(busy, tmp_path):
    before = everything(busy)
    archive, told = archive_of(busy, tmp_path)
    done = restore(archive, tmp_path / "new", "run")
    assert told["files"] == done["files"] == len(names_in(archive)) - 1 and done["events"] > 5
    again = open_store(tmp_path / "new")
    try:
        assert everything(again) == before
        assert (tmp_path / "new/corpora/c/train.bin").read_bytes() == bytes(range(256)) * 1000
        assert again.spool.find("one-train").parent.name in ("ended", "sealed")
        waiting = again.spool.find("two-train")  # what ran there waits here, and its torn line is gone
        assert waiting.parent.name == "queued" and {path.name for path in waiting.iterdir()} == {
            "spec.json",
            "events.jsonl",
            "log.txt",
        }
        assert (waiting / "events.jsonl").read_bytes().endswith(b"}\n")
    finally:
        again.close()


def test_what_belongs_to_no_workspace_is_left_out_and_named(busy, tmp_path):
    """With it the archive could not be restored."""
    root = busy.workspace.root
    for odd in (".cache/x", "old.corpora/y", "corpora/c/a\\b", "jobs/sealed/Owner/spec.json"):
        (root / odd).parent.mkdir(parents=True, exist_ok=True)
        (root / odd).write_text("odd")
    archive, told = archive_of(busy, tmp_path)
    names = ["jobs/sealed/Owner/spec.json", "corpora/c/a\\b", "old.corpora/y"]
    assert told["left_out"] == {"files": 3, "first": names}, "hidden files are nobody's"
    assert restore(archive, tmp_path / "new", "run")["files"] == told["files"]


def test_links_are_left_out_and_named(busy, tmp_path):
    """Also of a whole folder, as where a corpus was moved to a larger disk: a backup without it said nothing."""
    root, disk = busy.workspace.root, tmp_path / "disk"
    for place in ("corpora/big", "tasks", "jobs/two-train"):
        (disk / place).mkdir(parents=True)
        (disk / place / "x.bin").write_text("x")
    for link, target in (
        ("corpora/big", "corpora/big"),
        ("moved", "tasks"),
        ("corpora/c/link.bin", "tasks/x.bin"),
        ("jobs/active/two-train/linked", "jobs/two-train"),
        ("jobs/ended/elsewhere", "jobs/two-train"),
    ):
        (root / link).symlink_to(disk / target)
    archive, told = archive_of(busy, tmp_path)
    names = {"corpora/big", "moved", "corpora/c/link.bin", "jobs/queued/two-train/linked", "jobs/ended/elsewhere"}
    assert told["left_out"]["files"] == 5 and set(told["left_out"]["first"]) == names
    assert restore(archive, tmp_path / "new", "run")["files"] == told["files"]


def test_what_a_killed_owner_was_about_to_submit_is_cleared(workspace):
    half = Spool(workspace.root).root / "incoming" / "x.1234"
    half.mkdir()
    (half / "spec.json").write_text("{")
    Owner(workspace).close()
    assert not half.exists()


def test_nothing_secret_is_in_it(busy, tmp_path):
    token, _ = api_tokens.create(busy, "CI")
    archive, _ = archive_of(busy, tmp_path)
    assert not {"secret", "access.toml", "web.json", "mixdesk.duckdb", "owner.lock"} & names_in(archive)
    with pa.CompressedInputStream(str(archive), "zstd") as data:
        text = data.read()
    assert b"client_secret" not in text and token[-20:].encode() not in text
    restore(archive, tmp_path / "new", "run")
    again = open_store(tmp_path / "new")
    try:
        assert [one.label for one in api_tokens.listed(again)] == ["CI", "CI"]
        with pytest.raises(NotSignedIn):  # a copy has a secret of its own
            api_tokens.person_of(again, token, None)
    finally:
        again.close()


def test_checkpoints_come_where_they_are_asked_for(busy, tmp_path):
    archive, _ = archive_of(busy, tmp_path, checkpoints=True)
    assert "jobs/queued/two-train/checkpoint-two-1.safetensors" in names_in(archive)


@pytest.mark.slow
def test_a_backup_under_writes_is_a_moment_of_it(store, tmp_path):
    """While studies are planned, run and end, each archive holds a state that was: a study in it has its jobs, a
    finished job its losses."""
    stop = threading.Event()

    def write():
        for number in range(400):
            if stop.is_set():
                return
            study = f"s{number}"
            planned(store, study)
            store.spool.move(store.spool.find(f"{study}-train"), "active")
            with journal_of(store, f"{study}-train") as journal:
                journal.write(line("job.started"))
                for run in range(1, 4):
                    journal.write(finished_line(f"{study}-{run}", 1.0))
                journal.write(line("job.finished"))
            store.spool.move(store.spool.find(f"{study}-train"), "ended")
            store.ingest()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            archive = tmp_path / f"{number}.tar.zst"
            backup.backup(store.workspace, archive)
            restore(archive, tmp_path / f"at-{number}", "run")
    finally:
        stop.set()
        writer.join()
    for number in range(4):
        again = open_store(tmp_path / f"at-{number}")
        try:
            rows = again.rows(
                "SELECT jobs.state, count(*) FILTER (WHERE runs.state = 'done'), count(*) FROM jobs "
                "JOIN runs ON runs.job = jobs.id GROUP BY jobs.id, jobs.state"
            )
            orphans = again.rows("SELECT count(*) FROM jobs WHERE study NOT IN (SELECT id FROM studies)")
            spooled = {path.name for place in ("queued", "ended", "sealed") for path in again.spool.folders(place)}
            assert orphans == [(0,)] and spooled <= {job for (job,) in again.rows("SELECT id FROM jobs")}
            assert all(total == 3 and (done == 3 or state != "done") for state, done, total in rows)
            assert again.rows("SELECT count(*) FROM corrupt_lines") == [(0,)]
        finally:
            again.close()


def test_who_may(busy, tmp_path):
    with as_person(Person("rob@example.org", "reviewer")):
        for wish in (lambda: archive_of(busy, tmp_path), lambda: restore(tmp_path / "x", tmp_path / "y")):
            with pytest.raises(Problem, match="takes the role operator"):
                wish()


def test_nothing_is_written_over(busy, tmp_path):
    archive, _ = archive_of(busy, tmp_path)
    before = archive.read_bytes()
    with pytest.raises(Problem, match="it exists"):
        archive_of(busy, tmp_path)
    with pytest.raises(Problem, match="inside the workspace"):
        backup.backup(busy.workspace, busy.workspace.root / "deep" / "x.tar.zst")
    with pytest.raises(Problem, match="is not empty"):
        restore(archive, busy.workspace.root)
    with pytest.raises(Problem, match="no such file"):
        restore(tmp_path / "nothing", tmp_path / "new")
    assert archive.read_bytes() == before and not (tmp_path / "new").exists()


def test_damage_is_refused(busy, tmp_path):
    archive, _ = archive_of(busy, tmp_path)
    whole = archive.read_bytes()
    for name, data in {
        "cut": whole[: len(whole) // 2],
        "flipped": whole[:200] + bytes([whole[200] ^ 255]) + whole[201:],
        "empty": b"",
        "text": b"not an archive" * 100,
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Problem, match=f"Cannot restore .*{name}"):
            restore(tmp_path / name, tmp_path / "new")
        nothing_left(tmp_path)
