"""Archives from strangers: whatever is in one is restored or a sentence; waiting jobs are asked about."""

import io
import json
import subprocess
import sys
import tarfile

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCreated
from engine.jobs.parts import WHOLE, part_of
from engine.service import backup
from engine.service.restore import restore
from store import jobs
from store.database import Store
from tests.support.mutations import CHANGES, FUZZ, damaged, json_values
from tests.support.running import ROOT


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A backup of a workspace with a waiting job: (its path, its tar, unpacked)."""
    root = tmp_path_factory.mktemp("archive")
    store = Store(Workspace.open(root / "workspace"))
    store.write(StudyCreated("s", "S", {"corpus": "default"}))
    store.submit("corpus-x", {"kind": "corpus", "corpus": "x", "source": {"type": "folder", "path": "/etc"}})
    backup.backup(store.workspace, root / "b.tar.zst")
    store.close()
    with pa.CompressedInputStream(str(root / "b.tar.zst"), "zstd") as data:
        return root / "b.tar.zst", data.read()


def packed(path, data: bytes):
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(data)
    return path


def test_waiting_jobs_are_asked_about(archive, tmp_path):
    with pytest.raises(Problem, match="1 waiting jobs"):
        restore(archive[0], tmp_path / "w")
    assert not (tmp_path / "w").exists() and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("wish", "state"), [("run", "queued"), ("cancel", "cancelled")])
def test_they_run_or_are_cancelled_as_said(archive, tmp_path, wish, state):
    restore(archive[0], tmp_path / "w", wish)
    store = Store(Workspace.open(tmp_path / "w"))
    store.ingest()
    assert jobs.find(store, "corpus-x").state == state
    assert (store.spool.find("corpus-x").parent.name == "queued") == (wish == "run")
    store.close()


HALF = """
import sys, time
from pathlib import Path
from engine.jobs.parts import WHOLE, part_of

with part_of(Path(sys.argv[1])) as part:
    (part / WHOLE).mkdir()
    print("begun", flush=True)
    time.sleep(60)
"""


def left_by_the_killed(target):
    """What a process leaves that is killed while it writes there."""
    with subprocess.Popen([sys.executable, "-c", HALF, str(target)], stdout=subprocess.PIPE, cwd=ROOT) as half:
        assert half.stdout.readline() == b"begun\n"
        half.kill()
    return list(target.parent.glob(f".{target.name}.part-*/whole"))


def test_what_a_killed_restore_left_is_cleared_whatever_its_name(archive, tmp_path):
    assert left_by_the_killed(tmp_path / "monday")
    restore(archive[0], tmp_path / "tuesday", "cancel")
    assert [one.name for one in tmp_path.iterdir()] == ["tuesday"]


def test_what_a_killed_backup_left_is_cleared_whatever_its_name(tmp_path):
    assert left_by_the_killed(tmp_path / "monday.tar.zst")
    store = Store(Workspace.open(tmp_path / "workspace"))
    backup.backup(store.workspace, tmp_path / "tuesday.tar.zst")
    store.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["tuesday.tar.zst", "workspace"]


def test_a_link_to_nothing_is_no_place(archive, tmp_path):
    (tmp_path / "w").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Problem, match="a link to what is not there"):
        restore(archive[0], tmp_path / "w", "cancel")
    assert not (tmp_path / "nowhere").exists()


def test_what_another_restore_is_writing_stays(archive, tmp_path):
    with part_of(tmp_path / "w") as part:
        (part / WHOLE).mkdir()
        restore(archive[0], tmp_path / "w", "cancel")
        assert (part / WHOLE).is_dir()


def unharmed(path, root) -> None:
    """An archive is restored, or refused with a sentence, and then nothing of it is there."""
    try:
        restore(path, root / "w", "cancel")
    except Problem as problem:
        assert str(problem).startswith("Cannot restore") and not (root / "w").exists()
    assert not list(root.glob(".w.*"))


JSON = json_values()
NAMES = st.sampled_from(
    ["jobs/queued/owner/spec.json", "jobs/x", "jobs/queued", "journal/owner/events.jsonl", "a/\ud800", "a/b" * 400]
) | st.text(max_size=9)


def with_manifest(path, manifest: object, names: list[str]):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT, errors="surrogatepass") as archive:
        for name, content in [*((name, b"x") for name in names), ("manifest.json", json.dumps(manifest).encode())]:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed(path, data.getvalue())


FRAME = {"format": 1, "workspace_version": 1, "checkpoints": False}
ENTRY = st.fixed_dictionaries({"bytes": JSON | st.just(1), "sha256": JSON})
MANIFESTS = JSON | st.builds(lambda files: {**FRAME, "files": files}, st.dictionaries(NAMES, ENTRY | JSON, max_size=3))


@settings(FUZZ, max_examples=25)
@given(manifest=MANIFESTS, names=st.lists(NAMES, max_size=3))
def test_any_list_of_files_is_checked(tmp_path_factory, manifest, names):
    root = tmp_path_factory.mktemp("list")
    unharmed(with_manifest(root / "x.tar.zst", manifest, names), root)


def takes_any(archive, root, changes, packing: bool) -> None:
    path = root / "x.tar.zst"
    if packing:
        path.write_bytes(damaged(archive[0].read_bytes(), changes))
    else:
        packed(path, damaged(archive[1], changes))
    unharmed(path, root)


@settings(FUZZ, max_examples=25)
@given(changes=CHANGES, packing=st.booleans())
def test_any_bytes_are_a_sentence(archive, tmp_path_factory, changes, packing):
    takes_any(archive, tmp_path_factory.mktemp("any"), changes, packing)


@pytest.mark.soak
@settings(FUZZ, max_examples=5000)
@given(changes=CHANGES, packing=st.booleans())
def test_any_bytes_are_a_sentence_long(archive, tmp_path_factory, changes, packing):
    takes_any(archive, tmp_path_factory.mktemp("any"), changes, packing)


def test_places_that_are_of_another_kind_are_called_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match="it is a folder"):
        restore(tmp_path, tmp_path / "new")
    with pytest.raises(Problem, match="it is not a folder"):
        restore(tmp_path / "file", tmp_path / "file")
    assert not (tmp_path / "new").exists()
