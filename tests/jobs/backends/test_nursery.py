"""The process that forks jobs: kinds are imported once, jobs outlive it, and it ends when nobody asks."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.jobs.backends import nursery
from engine.jobs.backends.local import Local
from engine.jobs.devices import Lease
from engine.jobs.kinds import KINDS, kind_of
from engine.jobs.spool import try_lock
from engine.jobs.supervisor import CHILD_ENVIRONMENT
from tests.support.running import ROOT, until
from tests.support.working import read_events, small_text

pytestmark = pytest.mark.skipif(not nursery.SAFE, reason="jobs are not forked on this system")


@pytest.fixture
def local():
    made = Local(slots=2)
    yield made
    made.nursery.close()


@pytest.fixture
def job(tmp_path, local):
    """Starts a job's process: its folder and its handle."""

    def start(name: str, **spec) -> tuple[Path, str]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "spec.json").write_text(json.dumps({"version": 2, "kind": "corpus", "corpus": name, **spec}))
        lease = Lease(name, attempt="first", cpus=1)
        (folder / "lease.json").write_text(json.dumps(lease.to_dict()))
        argv = [*nursery.COMMAND, str(folder), str(tmp_path), "first", "--locked"]
        with try_lock(folder) as lock:
            return folder, local.submit(name, argv, CHILD_ENVIRONMENT, lease, folder / "log.txt", lock)

    return start


def ended(local, handle):
    return until(lambda: (found := local.status(handle)).state == "ended" and found)


def test_jobs_are_forked_from_one_process_and_their_ends_are_known(local, job, tmp_path):
    text = str(small_text(tmp_path / "text"))
    good, first = job("good", source={"type": "folder", "path": text})
    begun = local.nursery.process.pid
    bad, second = job("bad", source={"type": "folder", "path": str(tmp_path / "nowhere")})
    assert (ended(local, first).code, ended(local, second).code) == (0, 1)
    assert local.nursery.process.pid == begun and first != second
    assert read_events(good)[-1]["kind"] == "job.finished" and read_events(bad)[-1]["kind"] == "job.failed"
    assert local.status(first).code == 0  # asked once more


def test_a_job_that_nobody_can_read_fails_as_a_process_of_its_own_would(local, job):
    folder, handle = job("odd", kind="unheard_of")
    assert ended(local, handle).code == 1
    assert "unheard_of" in read_events(folder)[-1]["message"]


def test_a_job_outlives_the_process_that_forked_it(local, job, tmp_path):
    text = str(small_text(tmp_path / "text"))
    folder, handle = job("orphan", source={"type": "folder", "path": text})
    os.kill(int(handle), signal.SIGSTOP)  # at once, while it holds what its parent did
    local.nursery.process.kill()
    local.nursery.process.wait()
    assert local.status(handle).state == "ended"  # nobody can tell: its lock does, and that is asked first
    with try_lock(folder) as lock:
        assert lock is None
    os.kill(int(handle), signal.SIGCONT)
    until(lambda: read_events(folder) and read_events(folder)[-1]["kind"] == "job.finished")
    again, later = job("again", source={"type": "folder", "path": text})
    assert ended(local, later).code == 0 and read_events(again)[-1]["kind"] == "job.finished"
    assert local.status(handle).state == "ended"  # not "running" for ever, as one that the new process does not know


@pytest.mark.slow
def test_it_ends_when_nobody_asks_and_is_started_again_for_the_next_job(local, job, tmp_path):
    local.nursery.idle = 0.05
    nowhere = {"type": "folder", "path": str(tmp_path / "nowhere")}
    _, handle = job("first", source=nowhere)
    ended(local, handle)
    begun = local.nursery.process
    begun.wait(60)
    folder, handle = job("second", source=nowhere)
    assert ended(local, handle).code == 1 and read_events(folder)[-1]["kind"] == "job.failed"
    assert local.nursery.process is not begun and begun.returncode == 0


def test_it_ends_with_its_worker(local, job, tmp_path):
    _, handle = job("one", source={"type": "folder", "path": str(tmp_path / "nowhere")})
    ended(local, handle)
    local.nursery.channel.close()
    assert local.nursery.process.wait(60) == 0


@pytest.mark.slow
def test_no_kind_of_job_starts_a_thread_by_its_imports():
    """A fork takes only one thread along: a lock that another held would stay locked in every job. Arrow's allocator
    has one, which it stops and starts around forks by itself."""
    kinds = [kind_of(name).work.split(":")[0] for name in KINDS]
    code = f"import importlib, pathlib; [importlib.import_module(name) for name in {[*kinds, *nursery.LATE]!r}]; "
    code += "print(*[path.read_text().strip() for path in pathlib.Path('/proc/self/task').glob('*/comm')])"
    environment = {**os.environ, **CHILD_ENVIRONMENT}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    others = [name for name in done.stdout.split() if not name.startswith("jemalloc")]
    assert len(others) == 1, done.stdout + done.stderr


def test_one_that_does_not_answer_is_replaced(local, job, tmp_path):
    """Stopped, or stuck in an import: its worker would watch no job for as long."""
    nowhere = {"type": "folder", "path": str(tmp_path / "nowhere")}
    _, first = job("first", source=nowhere)
    ended(local, first)
    stopped, local.nursery.patience = local.nursery.process, 0.2
    os.kill(stopped.pid, signal.SIGSTOP)
    assert local.status(first).state == "ended" and stopped.returncode == -signal.SIGKILL
    local.nursery.patience = nursery.ANSWER_SECONDS
    folder, second = job("second", source=nowhere)
    assert ended(local, second).code == 1 and read_events(folder)[-1]["kind"] == "job.failed"
    os.kill(local.nursery.process.pid, signal.SIGSTOP)
    local.nursery.close(0.1)  # at the worker's end, too
    assert local.nursery.process is None
