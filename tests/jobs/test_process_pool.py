"""Processes that share a job's tasks: every task once, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.core.errors import Stopped
from engine.jobs.process_pool import process_pool
from tests.support.running import ROOT, until


def slowly(shared, number):
    time.sleep(0.05)
    return shared + number


def forever(shared):
    Path(shared).write_text(str(os.getpid()))
    time.sleep(600)


@pytest.mark.slow
def test_a_pool_does_every_task_once():
    with process_pool(2, 100) as do:
        assert sorted(do(slowly, [(n,) for n in range(6)], lambda *_: None)) == [(n, 100 + n) for n in range(6)]


@pytest.mark.slow
def test_a_pool_ends_when_told(tmp_path):
    """In the middle of a task, and with all of its processes."""
    place = tmp_path / "pid"

    def tick(*_):
        if place.exists() and place.read_text():
            raise Stopped

    with pytest.raises(Stopped), process_pool(2, str(place)) as do:
        list(do(forever, [()], tick))
    until(lambda: not alive(int(place.read_text())))


@pytest.mark.slow
def test_a_pool_ends_when_its_parent_is_killed(tmp_path):
    place = tmp_path / "pid"
    code = (
        "import sys; from engine.jobs.process_pool import process_pool\n"
        "from tests.jobs.test_process_pool import forever\n"
        "with process_pool(2, sys.argv[1]) as do: list(do(forever, [()], lambda *_: None))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(place)], cwd=ROOT)
    try:
        until(lambda: place.exists() and place.read_text())
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not alive(int(place.read_text())))


@pytest.mark.slow
def test_a_signal_to_all_of_a_job_leaves_its_end_to_the_parent(tmp_path):
    """A worker that stops tells a job's whole group: the parent says so, and no child ends before it."""
    place = tmp_path / "pid"
    code = (
        "import signal, sys\nfrom engine.jobs.process_pool import process_pool\n"
        "from engine.core.errors import Stopped\n"
        "from tests.jobs.test_process_pool import forever\nstopping = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))\n"
        "def tick(*_):\n    if stopping: raise Stopped\n"
        "try:\n    with process_pool(2, sys.argv[1]) as do: list(do(forever, [()], tick))\n"
        "except Stopped: print('stopped')\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(place)], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        until(lambda: place.exists() and place.read_text())
        os.killpg(parent.pid, signal.SIGTERM)
        assert parent.communicate(timeout=60)[0] == "stopped\n"
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not alive(int(place.read_text())))


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
