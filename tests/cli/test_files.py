"""What commands read and write: pipes are read, and no link, pipe, device or existing file is written over."""

import os
import threading
from argparse import Namespace
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from dashboard.report.desk import write_page
from engine.__main__ import main
from engine.cli.files import as_file, new_output, numbers_in
from engine.cli.importing import copied
from engine.cli.recipes import write
from engine.commands.contract import check_json
from engine.core.errors import Problem
from engine.core.files import given_path, nearest
from engine.core.workspace import Workspace
from engine.importing import read_table
from engine.service.backup import backup
from engine.service.restore import restore
from store.database import Store

CSV = b"w/web,w/code,loss\n0.5,0.5,2.1\n0.25,0.75,2.0\n"


@pytest.fixture
def piped(tmp_path):
    """A pipe from which some bytes come, once."""
    writers = []

    def one(content: bytes, name: str = "pipe") -> Path:
        path = tmp_path / name
        os.mkfifo(path)
        writers.append(threading.Thread(target=path.write_bytes, args=(content,)))
        writers[-1].start()
        return path

    yield one
    for writer in writers:
        writer.join(5)


def parquet() -> bytes:
    out = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table({"w/web": [0.5, 0.25], "w/code": [0.5, 0.75]}), out)
    return out.getvalue().to_pybytes()


@pytest.mark.parametrize("content", [CSV, parquet()])
def test_a_table_may_come_through_a_pipe(piped, content):
    with as_file(piped(content)) as file:
        table = read_table(file)
    assert table.numbers("w/web").tolist() == [0.5, 0.25]


def test_an_import_may_come_through_pipes(tmp_path, piped):
    workspace = Workspace.open(tmp_path / "workspace")
    names = [copied(workspace, "Mine", piped(CSV, role), role) for role in ("weights", "metrics")]
    assert names == ["Mine/weights.csv", "Mine/metrics.csv"]
    assert (workspace.root / "imports" / names[1]).read_bytes() == CSV


def test_two_files_of_one_name_are_two(tmp_path):
    """In two folders, as losses/train.csv stands beside mixtures/train.csv."""
    workspace = Workspace.open(tmp_path / "workspace")
    for role, content in (("weights", CSV), ("metrics", b"run,loss\n1,2\n")):
        (tmp_path / role).mkdir()
        (tmp_path / role / "train.csv").write_bytes(content)
    names = [copied(workspace, "Mine", tmp_path / role / "train.csv", role) for role in ("weights", "metrics")]
    assert [(workspace.root / "imports" / name).read_bytes() for name in names] == [CSV, b"run,loss\n1,2\n"]


@pytest.mark.parametrize("text", ['domain,tokens\nweb,"1,200"\ncode,"3,400"\n', "Domäne,tokens\nweb,3\n"])
def test_numbers_that_may_be_read_in_two_ways_are_refused(tmp_path, text):
    """Where nobody can be asked."""
    (tmp_path / "tokens.csv").write_text(text, "latin-1")
    with pytest.raises(Problem, match=r"Cannot read tokens.csv: .*\? Write plain numbers"):
        numbers_in(tmp_path / "tokens.csv")


@pytest.mark.parametrize("content", [b'{"web": 3, "code": 4}', b"domain,tokens\nweb,3\ncode,4\n"])
def test_numbers_may_come_through_a_pipe(piped, content):
    assert numbers_in(piped(content)) == {"web": 3, "code": 4}


def test_a_backup_may_come_through_a_pipe(tmp_path, piped):
    Store(Workspace.open(tmp_path / "workspace")).close()
    backup(Workspace.there(tmp_path / "workspace"), tmp_path / "a.tar.zst")
    told = restore(piped((tmp_path / "a.tar.zst").read_bytes()), tmp_path / "again")
    assert Workspace.there(tmp_path / "again").root == Path(told["workspace"])


def test_a_corpus_from_a_pipe_is_refused(tmp_path, capsys):
    """Its job would find nothing there."""
    os.mkfifo(tmp_path / "pipe")
    wish = ["corpus", "--workspace", str(tmp_path / "workspace"), "--file", f"web={tmp_path / 'pipe'}"]
    assert main(wish) == 1 and "Cannot read 'web' from a pipe" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "why"), [("nowhere", "there is no such file"), ("folder", "it is a folder")])
def test_what_cannot_be_read_is_named(tmp_path, name, why):
    (tmp_path / "folder").mkdir()
    with pytest.raises(Problem, match=f"{name}: {why}"), as_file(tmp_path / name):
        pass


@pytest.fixture(params=["a pipe", "a link", "a link to nothing", "a device", "a folder"])
def special(request, tmp_path):
    """Something that is no regular file, and what it is called."""
    path, kind = tmp_path / "out.csv", request.param
    (tmp_path / "there").write_text("mine")
    if kind == "a device":
        return Path(os.devnull), kind
    make = {
        "a pipe": lambda: os.mkfifo(path),
        "a link": lambda: path.symlink_to(tmp_path / "there"),
        "a link to nothing": lambda: path.symlink_to(tmp_path / "nowhere"),
        "a folder": path.mkdir,
    }
    make[kind]()
    return path, " ".join(kind.split()[:2])


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_file_is_never_written_over(tmp_path, special, force):
    path, kind = special
    before = os.lstat(path)
    for output in (lambda: new_output(path, force), lambda: write({path: b"x"}, path.parent, force)):
        with pytest.raises(Problem, match=f"it is {kind}, not a file"):
            output()
    with pytest.raises(Problem, match=f"it is {kind}"):
        backup(Workspace.open(tmp_path / "workspace"), path)
    assert os.lstat(path)[:4] == before[:4] and (tmp_path / "there").read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_no_report_is_written_over_what_is_no_file(tmp_path, special, force, capsys):
    Workspace.open(tmp_path / "workspace")
    path, kind = special
    before = os.lstat(path)
    options = Namespace(out=path, force=force, workspace=tmp_path / "workspace")
    assert write_page(options, lambda client: "x") == 1 and f"it is {kind}" in capsys.readouterr().err
    assert os.lstat(path)[:4] == before[:4] and (tmp_path / "there").read_text() == "mine"


def test_a_report_is_written_over_when_asked(tmp_path, capsys):
    options = Namespace(out=tmp_path / "a.html", force=False, workspace=Workspace.open(tmp_path / "workspace").root)
    assert write_page(options, lambda client: "one") == 0 and write_page(options, lambda client: "two") == 1
    assert options.out.read_text() == "one" and "it exists" in capsys.readouterr().err
    options.force = True
    assert write_page(options, lambda client: "two") == 0 and options.out.read_text() == "two"


def test_a_file_is_written_over_when_asked(tmp_path):
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(Problem, match=r"it exists.* add --force"):
        new_output(tmp_path / "out.csv")
    write({tmp_path / "out.csv": b"new", tmp_path / "more" / "b.csv": b"b"}, tmp_path, force=True)
    assert (tmp_path / "out.csv").read_text() == "new" and (tmp_path / "more" / "b.csv").read_text() == "b"
    with pytest.raises(Problem, match=r"out\.csv is not a folder"):
        new_output(tmp_path / "out.csv" / "a.csv", force=True)


@pytest.mark.parametrize("above", ["a file", "a link to nothing"])
def test_an_output_below_what_is_no_folder_is_refused_with_that_cure(tmp_path, above, monkeypatch):
    """Each command's output, before anything is read or computed for it."""
    workspace, place = Workspace.open(tmp_path / "workspace"), tmp_path / "above"
    Store(workspace).close()
    backup(workspace, tmp_path / "a.tar.zst")
    place.write_text("mine") if above == "a file" else place.symlink_to(tmp_path / "nowhere")
    outputs = [
        lambda: new_output(place / "x.csv"),
        lambda: backup(workspace, place / "deep" / "x"),
        lambda: write({place / "x" / "y.csv": b"x"}, place / "x", False),
    ]
    if above == "a file":  # whoever restores below a link to nothing gets the folder that it names
        outputs.append(lambda: restore(tmp_path / "a.tar.zst", place / "x"))
    for output in outputs:
        with pytest.raises(Problem, match="above is not a folder"):
            output()
    assert nearest(Path("/")) == Path("/")


def test_a_path_is_read_as_a_shell_reads_it_and_an_empty_one_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given_path("~/x.csv") == tmp_path / "x.csv" and given_path("a~b") == Path("a~b")
    for path, said in {"": "the path is empty", os.fsdecode(b"a\xff"): "no UTF-8 text"}.items():
        with pytest.raises(SystemExit):
            main(["backup", path])
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", "domain,tokens\nweb,1\nweb,2\n"), ("a.json", '{"web": 1, "web": 2}')]
)
def test_a_name_that_a_file_counts_twice_is_asked_about(tmp_path, name, text):
    """Neither number is taken in silence."""
    (tmp_path / name).write_text(text)
    with pytest.raises(Problem, match="'web' is there twice"):
        numbers_in(tmp_path / name)


def test_a_folder_in_place_of_a_file_is_called_one(tmp_path):
    with pytest.raises(Problem, match="it is a folder"):
        numbers_in(tmp_path)


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (10**400, "smaller"),
        (-1e300, "smaller"),
        (5e-324, "give 0, or a number of at least"),
    ],
)
def test_a_number_is_refused_with_its_own_cure(number, cure):
    with pytest.raises(Problem, match=cure):
        check_json({"tokens": number}, "repetition")
    check_json({"tokens": [0, -0.0, 1e-9, 1e18]}, "repetition")


@pytest.mark.parametrize("place", ["journal/owner/events.jsonl", "journal/x.csv", "jobs/incoming/x.csv", "x.csv"])
def test_no_output_lies_among_what_a_workspace_keeps(tmp_path, place):
    """Not even where it was asked to replace what is there: journals are the source of everything else."""
    root = Workspace.open(tmp_path / "w").root
    (root / "journal" / "owner").mkdir(parents=True, exist_ok=True)
    (root / "journal" / "owner" / "events.jsonl").write_text("{}\n")
    with pytest.raises(Problem, match="inside the workspace"):
        new_output(root / place, force=True)
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(Problem, match="inside the workspace"):
        new_output(tmp_path / "link" / place, force=True)
    new_output(root / "exports" / "x.csv")
    new_output(tmp_path / "beside.csv")
