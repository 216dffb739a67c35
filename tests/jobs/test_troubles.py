"""One job's trouble in a worker: it is told, and stands in no other job's way."""

import errno
import json

import pytest

from engine.core.errors import Problem
from engine.jobs.backends.local import Local
from engine.jobs.events import JobFinished, JobStarted
from engine.jobs.journal import write_event
from engine.jobs.supervisor import Supervisor
from tests.support.running import until
from tests.support.working import corpus_job, last, place, read_events


@pytest.fixture
def job(spool):
    """Submits a small corpus job of that id."""
    return lambda name, **settings: spool.submit(corpus_job(spool.workspace.parent / "text", name, **settings), name)


@pytest.mark.parametrize("lease", ["[]", '{"begins": "x"}', '{"backend": []}', '{"handle": 1, "begins": -1}', "{"])
def test_a_job_with_a_damaged_lease_ends_as_others_do(spool, job, lease):
    job("one")
    folder = spool.move(spool.find("one"), "active")
    (folder / "lease.json").write_text(lease)
    write_event(folder, JobStarted(pid=1))
    write_event(folder, JobFinished())
    supervisor = Supervisor(spool.workspace, Local(slots=1))
    supervisor.watch_all([folder])
    supervisor.report()
    assert place(spool, "one") == "ended" and not supervisor.troubles.known


def test_a_job_that_cannot_be_watched_keeps_no_other_from_its_end(spool, job, capsys):
    supervisor = Supervisor(spool.workspace, Local(slots=1))
    for name in ("bad", "good"):
        job(name)
        folder = spool.move(spool.find(name), "active")
        write_event(folder, JobStarted(pid=1))
        write_event(folder, JobFinished())
    (spool.find("bad") / "lock").mkdir()
    supervisor.watch_all(spool.folders("active"))
    supervisor.watch_all(spool.folders("active"))
    assert place(spool, "good") == "ended" and place(spool, "bad") == "active"
    assert capsys.readouterr().out.count("cannot handle job bad: [Errno 21] Is a directory") == 1
    supervisor.report()
    (trouble,) = json.loads((spool.root / "devices.json").read_text())["troubles"]
    assert "Cannot handle bad: [Errno 21] Is a directory" in trouble


def test_a_job_that_cannot_be_started_waits_while_others_have_their_turn(spool, job):
    job("a-bad", priority=-1.0)
    job("b-good")
    (spool.root / "queued" / ".DS_Store").write_text("no job")
    (spool.find("a-bad") / "lease.json").mkdir()
    supervisor = Supervisor(spool.workspace, Local(slots=1))
    until(lambda: supervisor.step() or place(spool, "b-good") == "ended")
    assert last(spool, "b-good")["kind"] == "job.finished" and read_events(spool.find("a-bad")) == []
    assert place(spool, "a-bad") == "queued" and "Is a directory" in supervisor.troubles.told()[0]
    spool.cancel("a-bad")
    supervisor.step()
    assert not supervisor.troubles.known
    supervisor.local.nursery.close()


def test_a_worker_outlives_its_own_mistakes(spool, job, capsys):
    """Whatever a pass raises, the next one comes; a full disk is everybody's, and none of one job."""
    supervisor, passes = Supervisor(spool.workspace, Local(slots=1)), []

    def step():
        passes.append(1)
        supervisor.stopping = len(passes) > 2
        raise TypeError("a mistake")

    supervisor.step = step
    supervisor.run()
    assert len(passes) == 3 and capsys.readouterr().out.count("worker: TypeError: a mistake") == 1
    for name in "abcde":  # a cluster that is down fails all of them: that is one trouble
        with supervisor.troubles.of(name):
            raise Problem("Cannot submit a job to Slurm: no answer.")
    assert supervisor.troubles.told() == [
        "Cannot handle a, b, c and 2 more: Cannot submit a job to Slurm: no answer. It is tried again."
    ]
    assert capsys.readouterr().out.count("Slurm") == 1
    supervisor.troubles.keep([])
    with pytest.raises(OSError), supervisor.troubles.of("any"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not supervisor.troubles.known
