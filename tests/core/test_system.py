"""What cannot be read is told by what the system says, or by what is in the file, with a cure that fits."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.importing import constraints_in, numbers_in
from engine.core.errors import Problem
from engine.corpus.tokenizers import from_file
from engine.merging.config import read_config
from engine.spec.study import StudySpec
from tests.support.running import engine

ROOT = Path(__file__).parents[2]
READERS = {
    "a study": (StudySpec.from_toml, "a = " + "[" * 5000),
    "constraints": (constraints_in, "a = " + "[" * 5000),
    "a merge": (read_config, "[" * 5000),
    "numbers": (numbers_in, "[" * 100_000),
    "a tokenizer": (from_file, '{"a": ' * 5000),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_cannot_be_read_is_told_with_a_cure_that_fits(tmp_path, reader):
    read, deep = READERS[reader]
    path = tmp_path / "file.json"
    said = []
    for make in (lambda: None, path.mkdir, lambda: path.write_bytes(b"\xff\xfe\x00"), lambda: path.write_text(deep)):
        if path.is_dir():
            path.rmdir()
        make()
        with pytest.raises(Problem) as told:
            read(path)
        said.append(str(told.value))
    gone, folder, *_ = said
    assert "check the path" in gone.lower() and "file.json" in gone
    assert "folder" in folder or "no such file" in folder
    assert not any("Errno" in one or "codec" in one or "recursion" in one.lower() for one in said), said


def test_a_spec_that_is_gone_is_told_so(tmp_path):
    done = engine(tmp_path / "workspace", "submit", str(tmp_path / "gone.json"), check=False)
    assert done.returncode == 1 and "There is nothing of that name: check the path." in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("dashboard", "--port", "3"), 1, "the page takes no arguments"),
        (("dashboard", "--help"), 0, "MIXDESK_WORKSPACE"),
        (("store.rebuild", "--workspace", "typo"), 1, "there is no workspace"),
    ],
)
def test_a_mistyped_start_makes_nothing(tmp_path, words, code, told):
    command = [sys.executable, "-m", *words]
    env = {"PATH": "", "PYTHONPATH": str(ROOT), "MIXDESK_WORKSPACE": str(tmp_path / "typo")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code and told in done.stdout + done.stderr
    assert not (tmp_path / "typo").exists()
