"""An output in a folder that is not there: every command that writes one refuses it, and makes nothing."""

import argparse

import pytest

from dashboard.report import desk, html
from engine.cli.command_line import main, parser
from engine.cli.files import new_output
from engine.core.errors import Problem
from engine.core.files import refuse_below
from engine.core.workspace import Workspace

# Command -> its words; OUT is the output, and IN a file that is there.
COMMANDS = {
    "backup": ["OUT"],
    "restore": ["IN", "OUT"],
    "export-runs": ["x", "OUT.csv"],
    "export": ["x", "--format", "json", "--out", "OUT"],
    "export-design": ["x", "--format", "json", "--out", "OUT"],
    "predict": ["--study", "x", "--weights", "IN", "--out", "OUT.csv"],
    "count-tokens": ["--format", "megatron", "web=IN", "--out", "OUT.json"],
    "merge": ["IN", "OUT"],
    "extract-lora": ["IN", "IN", "OUT", "--rank", "1"],
    "merge-adapters": ["IN", "--out", "OUT"],
}
NO_PATH = {"write-merge": "a name below exports/"}  # whose output is no path


def writing(root) -> set[str]:
    """The commands with an option or a place for an output."""
    (commands,) = [one for one in root._actions if isinstance(one, argparse._SubParsersAction)]
    return {
        name
        for name, one in commands.choices.items()
        if any(action.dest in ("out", "to") or "write" in (action.help or "") for action in one._actions)
    }


def test_the_table_knows_every_command_with_an_output():
    assert writing(parser()) - set(COMMANDS) - set(NO_PATH) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_folder_of_an_output_is_named_and_not_made(tmp_path, command, capsys):
    (tmp_path / "there").write_text("{}")
    root = Workspace.open(tmp_path / "workspace").root
    before = {path.name for path in tmp_path.iterdir()}
    out = tmp_path / "typo" / "deep" / "out"
    words = [word.replace("OUT", str(out)).replace("IN", str(tmp_path / "there")) for word in COMMANDS[command]]
    assert main(["--workspace", str(root), command, *words]) == 1
    said = capsys.readouterr().err
    assert f"there is no folder {out.parent}. Make it first, or choose another place." in said, said
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("page", [desk, html])
def test_so_it_is_for_reports(tmp_path, page, monkeypatch, capsys):
    Workspace.open(tmp_path / "workspace")
    place = tmp_path / "typo" / "a.html"
    words = ["x", "--out", str(place), "--workspace", str(tmp_path / "workspace")]
    monkeypatch.setattr("sys.argv", ["report", *words])
    assert page.main() == 1
    assert f"there is no folder {place.parent}" in capsys.readouterr().err and not place.parent.exists()


def test_the_folder_for_exports_of_a_workspace_is_made(tmp_path):
    root = Workspace.open(tmp_path / "workspace").root
    (root / "journal").mkdir(exist_ok=True)
    refuse_below(root / "exports" / "runs.csv")
    refuse_below(tmp_path / "new.csv")
    for place in (root / "exports" / "runs.csv", root / "exports" / "of" / "today" / "runs.csv"):
        new_output(place)
        assert place.parent.is_dir() and not place.exists()
    for place in (tmp_path / "new" / "new.csv", root / "typo" / "new.csv"):
        with pytest.raises(Problem, match=r"there is no folder|lies inside the workspace"):
            new_output(place)
        assert not place.parent.exists()
