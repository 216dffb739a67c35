"""Ctrl-C ends every program quietly, whatever it is at: while it still reads its files, and when it is up."""

import os
import signal
import subprocess
import sys

import pytest

from engine.core.workspace import Workspace
from engine.jobs.decisions import StudyCreated
from store.database import Store
from tests.support.running import ROOT, Page, free_port, until

# A Ctrl-C at the import of the n-th module of a program that is called so, at the same place on any machine.
AT_IMPORT = """
import os, signal, sys

called, number = os.environ["CTRL_C_AT"].rsplit(" ", 1)


class Finder:
    seen = 0

    def find_spec(self, name, path=None, target=None):
        if called in sys.orig_argv:
            Finder.seen += 1
            if Finder.seen == int(number):
                os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)  # as at a terminal, wherever the tests were started
"""
PROGRAMS = {
    "engine": ("list",),
    "engine.worker": (),
    "store.rebuild": (),
    "dashboard": (),
    "dashboard.server.run": (),  # which the page becomes
}


@pytest.fixture
def desk(workspace):
    store = Store(workspace)
    store.write(StudyCreated("s", "S", {"corpus": "default"}))
    store.close()
    return workspace


def ended(desk: Workspace, tmp_path, program: str, number: int) -> tuple[int, str]:
    """The exit code and the words of a program that is interrupted at an import."""
    (tmp_path / "early").mkdir(exist_ok=True)
    (tmp_path / "early" / "sitecustomize.py").write_text(AT_IMPORT)
    first = "dashboard" if program.startswith("dashboard") else program
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "early"), "CTRL_C_AT": f"{program} {number}"}
    environment |= {"MIXDESK_WORKSPACE": str(desk.root), "PORT": str(free_port()), "MIXDESK_DEMO": "0"}
    command = [sys.executable, "-m", first, *PROGRAMS[program]]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [10, 30, 60])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_ctrl_c_while_files_are_read_ends_quietly(desk, tmp_path, program, number):
    code, said = ended(desk, tmp_path, program, number)
    assert (code, said.strip()) == (130, "") and not (desk.root / "rebuilt.duckdb").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [200, 400, 800])
@pytest.mark.parametrize("program", ["engine", "dashboard.server.run"])
def test_a_ctrl_c_while_many_files_are_read_ends_quietly(desk, tmp_path, program, number):
    code, said = ended(desk, tmp_path, program, number)
    assert code in (0, 130) and "Traceback" not in said and "nanobind" not in said, said


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_rebuild_that_is_stopped_leaves_what_was_there(desk, end):
    """In the middle of its reading: the journal is a pipe that nobody fills."""
    before = (desk.root / "mixdesk.duckdb").read_bytes()
    folder = desk.root / "jobs" / "active" / "j"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "events.jsonl")
    command = [sys.executable, "-m", "store.rebuild", "--workspace", str(desk.root)]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    until(lambda: (desk.root / "rebuilt.duckdb").exists())
    running.send_signal(end)
    said = running.communicate(timeout=60)[1]
    assert (running.returncode, said) == (128 + end, "")
    assert not list(desk.root.glob("rebuilt*")) and (desk.root / "mixdesk.duckdb").read_bytes() == before


def test_the_owner_clears_what_a_killed_rebuild_left(desk):
    from engine.service.owner import Owner

    for name in ("rebuilt.duckdb", "rebuilt.duckdb.wal"):
        (desk.root / name).write_bytes(b"half")
    Owner(desk).close()
    assert not list(desk.root.glob("rebuilt*"))


@pytest.mark.slow
def test_a_page_that_is_stopped_says_nothing_of_it(desk):
    """Neither a traceback, nor what libraries still held when the interpreter ended."""
    page = Page(desk.root)
    page.process.send_signal(signal.SIGINT)
    assert page.process.wait(timeout=60) in (0, 130)
    said = page.log.read_text()
    assert "Traceback" not in said and "nanobind" not in said and "leak" not in said, said
    assert not (desk.root / "web.json").exists()


def test_a_ctrl_c_that_duckdb_made_an_error_of_is_one():
    """In the middle of a query it tells of it in its own way."""
    from engine.core.system import INTERRUPTED, like_ctrl_c

    with pytest.raises(KeyboardInterrupt), like_ctrl_c():
        raise RuntimeError(INTERRUPTED)
    with pytest.raises(RuntimeError, match="other"), like_ctrl_c():
        raise RuntimeError("other")
