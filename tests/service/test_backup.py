"""Backup and move: a whole workspace through one archive while it is written to, every table equal; runs as tables."""

import hashlib
import io
import json
import tarfile
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from engine.core.errors import Problem
from engine.core.people import NotSignedIn, Person, as_person
from engine.core.workspace import Workspace
from engine.service import api_tokens, backup
from engine.service.restore import restore
from store.database import Store
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
            restore(archive, tmp_path / f"at-{number}")
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


# What is refused -------------------------------------------------------------------------------------------


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


def made(path, members, manifest=True, **about):
    """An archive of [(TarInfo, data)], with a manifest that fits unless told otherwise."""
    files = {}
    with pa.CompressedOutputStream(str(path), "zstd") as out, tarfile.open(fileobj=out, mode="w|") as archive:
        for entry, data in members:
            archive.addfile(entry, io.BytesIO(data))
            files[entry.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        text = json.dumps({"format": 1, "workspace_version": 1, "files": files, **about}).encode()
        if manifest:
            archive.addfile(sized("manifest.json", text), io.BytesIO(text))
    return path


def sized(name: str, data: bytes = b"", **fields) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def nothing_left(tmp_path):
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/tmp/evil",
        "jobs/../../evil",
        "a//b",
        "./x/y",
        "evil",
        "access.toml",
        "secret",
        "mixdesk.duckdb",
        "jobs/.hidden",
        ".x/y",
        "a\\b/c",
        "x/" + "y" * 1200,
    ],
)
def test_paths_that_do_not_belong_are_refused(tmp_path, name):
    with pytest.raises(Problem, match="does not belong into a workspace"):
        restore(made(tmp_path / "x.tar.zst", [(sized(name, b"x"), b"x")]), tmp_path / "new")
    nothing_left(tmp_path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    entry = sized("corpora/x", type=kind, linkname="/etc/passwd")
    with pytest.raises(Problem, match="does not belong into a workspace"):
        restore(made(tmp_path / "x.tar.zst", [(entry, b"")]), tmp_path / "new")
    nothing_left(tmp_path)


def test_absurd_sizes_are_refused_before_anything_is_written(tmp_path):
    with pa.CompressedOutputStream(str(tmp_path / "x"), "zstd") as out:
        out.write(sized("corpora/x", size=1 << 60).tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(Problem, match="there is room for"):
        restore(tmp_path / "x", tmp_path / "new")
    with pa.CompressedOutputStream(str(tmp_path / "y"), "zstd") as out:
        out.write(sized("x", type=tarfile.XHDTYPE, size=1 << 40).tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(Problem, match="a header of"):
        restore(tmp_path / "y", tmp_path / "new")
    nothing_left(tmp_path)


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


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"format": 2}, "a newer Mixdesk"),
        ({"workspace_version": 99}, "a newer Mixdesk"),
        ({"files": 3}, "list"),
        ({"files": {}}, "is not what was backed up"),
        ({"files": {"corpora/x": {"bytes": 1, "sha256": "0"}}}, "is not what was backed up"),
        ({"files": {"corpora/x": {"bytes": 1, "sha256": "0"}, "corpora/y": {"bytes": 1, "sha256": "0"}}}, "is not"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path, about, said):
    path = made(tmp_path / "x.tar.zst", [(sized("corpora/x", b"x"), b"x")], **about)
    with pytest.raises(Problem, match=said):
        restore(path, tmp_path / "new")
    nothing_left(tmp_path)


def test_an_archive_without_its_end_is_refused(tmp_path):
    path = made(tmp_path / "x.tar.zst", [(sized("corpora/x", b"x"), b"x")], manifest=False)
    with pytest.raises(Problem, match="it ends too early"):
        restore(path, tmp_path / "new")
    nothing_left(tmp_path)


def test_the_same_file_twice_is_refused(tmp_path):
    entry = sized("corpora/x", b"x")
    with pytest.raises((Problem, FileExistsError)):
        restore(made(tmp_path / "x.tar.zst", [(entry, b"x"), (entry, b"x")]), tmp_path / "new")
    nothing_left(tmp_path)
