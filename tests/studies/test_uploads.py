"""Text that came through the browser: kept once, in a folder that says what it holds."""

from pathlib import Path

import pytest

from engine.core.errors import Problem
from engine.corpus.layouts import of_folder
from engine.studies.corpora import keep_text


def test_uploaded_text_becomes_a_folder_of_domains(workspace):
    files = {"text/web/a.txt": b"one", "text/web/b.txt": b"two", "text/code.txt": b"three"}
    folder = keep_text(workspace, list(files.items()))
    assert {name: len(found) for name, found in of_folder(folder).domains.items()} == {"web": 2, "code": 1}
    assert keep_text(workspace, list(reversed(files.items()))) == folder, "the same files are kept once"
    other = keep_text(workspace, list({**files, "text/code.txt": b"four"}.items()))
    assert other != folder and (Path(folder) / "code.txt").read_bytes() == b"three"


def test_an_upload_stays_in_its_folder(workspace):
    for name in ("../../journal/x.txt", "/etc/x.txt"):
        with pytest.raises(Problem, match="must not leave it"):
            keep_text(workspace, [(name, b"x"), ("fine.txt", b"y")])
    assert not (workspace.root / "journal" / "x.txt").exists()


def test_two_files_of_one_name_are_not_made_one(workspace):
    """Chosen one by one, they come from two folders that the browser does not name."""
    with pytest.raises(Problem, match=r"two files of the name 'a\.txt'"):
        keep_text(workspace, [("a.txt", b"x"), ("b.txt", b"y"), ("a.txt", b"z")])
