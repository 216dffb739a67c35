"""What cannot be read is told by what the system says, or by what is in the file, with a cure that fits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import surrogates
from engine.cli.files import numbers_in
from engine.cli.importing import constraints_in
from engine.core.errors import Problem
from engine.core.settings_text import text_of, toml
from engine.corpus import passages, windows
from engine.corpus.tokenizers import from_file
from engine.league.job import held_out_of
from engine.merging.config import read_config
from engine.search.pool import Pool
from engine.spec.study import StudySpec
from engine.tasks import outcomes
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


ARRAYS = {  # what is read -> its reader, and the array that this reads first
    "answers": (outcomes.load, "scores t"),
    "passages": (passages.load, "context"),
    "windows": (windows.load, "context"),
    "draws": (Pool.load, "points"),
    "a surrogate": (surrogates.load, "_surrogate"),
    "held-out predictions": (lambda path: held_out_of(path.parent, "gp"), "gp"),
}


@pytest.mark.parametrize("reader", ARRAYS)
def test_damaged_arrays_are_told(tmp_path, reader):
    """As zip files are damaged: cut, other bytes in a part, a part that is encrypted or compressed in another way."""
    path, (read, first) = tmp_path / "held_out.npz", ARRAYS[reader]
    np.savez_compressed(path, **{first: np.random.default_rng(0).random(100)})
    whole = path.read_bytes()
    entry = whole.index(b"PK\1\2")
    damaged = [whole[: len(whole) // 2], whole[:80] + bytes(60) + whole[140:]]
    damaged += [whole[:at] + bytes([value]) + whole[at + 1 :] for at, value in ((entry + 8, 1), (entry + 10, 99))]
    for data in (b"", *damaged):
        path.write_bytes(data)
        with pytest.raises(Problem, match="Cannot read the"):
            read(path)


@pytest.mark.parametrize("reader", [name for name in READERS if name != "a tokenizer"])
def test_what_has_no_end_is_not_read_to_it(reader):
    with pytest.raises(Problem, match=r"larger than|it is a device"):
        READERS[reader][0](Path("/dev/zero"))


LONG = ".".join(["a"] * 20_000)


@pytest.mark.parametrize("reader", ["a study", "constraints"])
@pytest.mark.parametrize(
    "text",
    [
        f"{LONG} = 1",
        f"[{LONG}]\nb = 1",
        f"[[{LONG}]]",
        f"a = {{{LONG} = 1}}",
        LONG.replace(".", " . ") + "= 1",
        LONG.replace("a", "'a'") + "= 1",
        f's = "a\\" # b"  # "\n{LONG} = 1',
        f's = """a"b""c\\"""\n"""""\n{LONG} = 1',
        f"s = '''a'b''\n'''\n{LONG} = 1",
    ],
)
def test_a_key_of_thousands_of_parts_is_refused_before_it_is_parsed(tmp_path, reader, text):
    """Each takes over a minute otherwise."""
    (tmp_path / "file.toml").write_text(text)
    with pytest.raises(Problem, match="a key has 20,000 parts"):
        READERS[reader][0](tmp_path / "file.toml")


def test_dots_in_texts_and_comments_are_no_parts(tmp_path):
    dots, three = "." * 500, "'" * 3
    lines = [
        f'name = "a{dots}"  # {dots} "',
        f'note = """\n{dots}"{dots}\n"""',
        f"last = {three}{dots}{three}",
        f"x = '{dots}'",
    ]
    (tmp_path / "file.toml").write_text("\n".join(lines))
    found = toml(text_of(tmp_path / "file.toml"))
    assert found == {"name": f"a{dots}", "note": f'{dots}"{dots}\n', "last": dots, "x": dots}


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


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_place_for_a_file(tmp_path, closed):
    """Or what a library prints at its end would be written into the database."""
    code = (
        "import os, sys; from engine.core.system import hold_standard_streams; hold_standard_streams(); "
        "sys.exit(10 + os.open(sys.argv[1], os.O_CREAT | os.O_RDWR))"
    )
    command = f'exec "$0" -c "$1" "$2" {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable, code, str(tmp_path / "file")], cwd=ROOT, check=False)
    assert done.returncode == 13
