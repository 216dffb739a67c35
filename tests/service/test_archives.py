"""Archives that are wrong or hostile: refused before anything is written."""

import hashlib
import io
import json
import tarfile

import pyarrow as pa
import pytest

from engine.core.errors import Problem
from engine.core.people import SYSTEM, as_person
from engine.core.workspace import Workspace
from engine.service.restore import restore
from engine.spec.study import StudySpec
from engine.studies import advance
from store.database import Store
from tests.support.working import small_text


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
        "jobs/active/x/spec.json",
        "jobs/queued/x",
        "jobs/queued/x/lease.json",
        "jobs/ended/x/events.jsonl/y",
        "jobs/ended/x\n/events.jsonl",
        "jobs/paused/a/b",
        *(f"jobs/queued/{name}/spec.json" for name in ("owner", "Owner", "OWNER.", "\uff4f\uff57\uff4e\uff45\uff52")),
        *(f"{name}/x" for name in ("secret", "version", "web.json", "access.toml", "owner.lock", "mixdesk.duckdb")),
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


def decided(*decisions: dict) -> tuple[tarfile.TarInfo, bytes]:
    """An owner's journal with these decisions."""
    data = b"".join(json.dumps({"t": 1.0, "by": "eve", **one}).encode() + b"\n" for one in decisions)
    return sized("journal/owner/events.jsonl", data), data


STUDY = {"kind": "study.created", "study": "s", "name": "S"}
STUDY |= {"spec": StudySpec.from_dict({"name": "S", "corpus": "evil", "runs": 8}).to_dict()}


@pytest.mark.parametrize(("said", "job"), [("1 waiting jobs", "evil"), ("1 unfinished studies", "corpus-evil")])
def test_what_only_the_owners_journal_plans_does_not_run_unasked(tmp_path, said, job):
    """A job without a folder is put into the queue by the next start, and a study builds the corpus that it needs."""
    source = {"type": "folder", "path": str(small_text(tmp_path / "text"))}
    planned = {"kind": "job.planned", "job": "evil", "spec": {"kind": "corpus", "corpus": "evil", "source": source}}
    corpus = {"kind": "corpus.planned", "corpus": "evil", "spec": {"source": source}}
    path = made(tmp_path / "x.tar.zst", [decided(*([planned] if job == "evil" else [corpus, STUDY]))])
    with pytest.raises(Problem, match=said):
        restore(path, tmp_path / "new")
    nothing_left(tmp_path)
    for wish, queued in (("cancel", []), ("run", [job])):
        restore(path, tmp_path / wish, wish)
        store = Store(Workspace.there(tmp_path / wish))
        with as_person(SYSTEM):
            advance.recover(store)
        assert [folder.name for folder in store.spool.folders("queued")] == queued
        store.close()


def test_a_job_that_is_in_two_places_is_refused(tmp_path):
    spec = json.dumps({"kind": "corpus", "corpus": "x", "source": {"type": "default"}}).encode()
    members = [(sized(f"jobs/{place}/x/spec.json", spec), spec) for place in ("queued", "sealed")]
    with pytest.raises(Problem, match="the job 'x' is in two places"):
        restore(made(tmp_path / "x.tar.zst", members), tmp_path / "new", "run")
    nothing_left(tmp_path)
