"""A workspace is made in a new or an empty folder; where somebody's files lie, nothing is touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.command_line import main
from engine.core.errors import Problem
from engine.core.workspace import Workspace, refuse_foreign

CHECKOUT = Path(__file__).parents[2]
FOREIGN = ("thesis.tex", ".git/HEAD", "photos/a.jpg", ".bashrc", "journal/2026-12-01.md", "data.csv")


def laid(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("mine")
    return root


def there(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_of_other_things_is_refused_and_stays_as_it_is(tmp_path, name, capsys):
    root = laid(tmp_path / "Documents", name)
    before = there(root)
    with pytest.raises(Problem, match=rf"holds other things \('{name.split('/')[0]}'\).*Nothing was changed"):
        Workspace.open(root)
    study = tmp_path / "study.toml"
    study.write_text('name = "x"')
    assert main(["--workspace", str(root), "start", str(study)]) == 1
    assert "holds other things" in capsys.readouterr().err
    assert there(root) == before


@pytest.mark.parametrize("program", ["dashboard", "engine.worker"])
def test_page_and_worker_refuse_it_too(tmp_path, program):
    root = laid(tmp_path, "thesis.tex")
    done = subprocess.run(
        [sys.executable, "-m", program],
        cwd=CHECKOUT,
        env={**os.environ, "MIXDESK_WORKSPACE": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "holds other things ('thesis.tex')" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and there(root) == ["thesis.tex"]


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("lost+found/x", ".DS_Store"),
        ("imports/runs.csv", "experts/a/model.safetensors"),
        ("access.toml", "note.txt"),
        ("mixdesk.duckdb", "odd"),
        ("journal/owner/events.jsonl", "notes.md"),
        ("jobs/queued/x", "odd"),
        ("worker.log", "nohup.out"),
    ],
)
def test_an_empty_folder_or_one_that_is_meant_for_it_becomes_a_workspace(tmp_path, names):
    root = laid(tmp_path / "w", *names)
    root.mkdir(exist_ok=True)
    assert Workspace.open(root).root == root and (root / "version").is_file()
    laid(root, "notes.txt")
    assert Workspace.open(root), "it is one already"
    assert Workspace.open(tmp_path / "new" / "one")


def test_who_starts_beside_another_takes_the_workspace_that_it_made(tmp_path):
    """Page and worker start together: between two looks of one, the other one made the folder a workspace."""
    refuse_foreign(laid(tmp_path / "w", "version", "web.json", "jobs/queued/x"))


def test_a_version_that_is_none_is_named_and_waited_for_by_nobody(tmp_path):
    for content, said in (("", "holds ''"), ("x" * 5000, "holds 'xxx"), ("2", "knows up to 1"), ("9" * 90, "up to 1")):
        root = tmp_path / "w"
        root.mkdir(exist_ok=True)
        (root / "version").write_text(content)
        with pytest.raises(Problem, match=f"Cannot open the workspace .*{said}.*Nothing was changed"):
            Workspace.open(root)
    os.mkfifo(laid(tmp_path / "pipe", "access.toml") / "version")
    with pytest.raises(Problem, match="not a regular file"):
        Workspace.open(tmp_path / "pipe")
