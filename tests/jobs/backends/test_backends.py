"""One suite for all backends: this machine, a real Ray cluster of two nodes, and Slurm's path by submitit's local
executor. First the interface, a command line; then whole training jobs through the worker, with kills."""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from engine.core.errors import Problem
from engine.jobs import backends
from engine.jobs.backends.cluster_file import RayOptions
from engine.jobs.decisions import PlannedJob, RunsAdded, StudyCreated, StudyPlanned
from engine.jobs.devices import Lease
from engine.jobs.runs import PlannedRun
from engine.jobs.spec import JobSpec
from engine.jobs.spool import Spool
from engine.spec.study import StudySpec
from tests.support.clusters import RayCluster, SlurmCluster
from tests.support.running import Page, until
from tests.support.working import corpus_job, kinds, last, place, read_events, small_text, training_job, worker

pytestmark = pytest.mark.slow

CHILD = "import time, pathlib, sys; pathlib.Path(sys.argv[1]).write_text('there'); time.sleep(1000)"
STUBBORN = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", {CHILD!r}, sys.argv[1]])
time.sleep(1000)
"""
POLITE = """
import os, pathlib, signal, sys, time
def leave(*_):
    pathlib.Path(sys.argv[1] + ".left").write_text("kept a checkpoint")
    os._exit(75)
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1]).write_text("there")
time.sleep(1000)
"""


@pytest.fixture(scope="session")
def ray_cluster():
    cluster = RayCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def slurm_cluster():
    cluster = SlurmCluster()
    yield cluster
    cluster.stop()


HAS_SLURM = all(shutil.which(name) for name in SlurmCluster.needs)
REAL_SLURM = pytest.param(
    "slurm",
    id="slurm on a node",
    marks=[pytest.mark.soak, pytest.mark.skipif(not HAS_SLURM, reason="needs root and Debian's slurm-wlm")],
)


@pytest.fixture(params=[*backends.BACKENDS, REAL_SLURM])
def backend_name(request) -> str:
    return request.param


@pytest.fixture
def real_slurm(request, monkeypatch):
    """The one-node cluster, for a test that its parameter or its own fixtures name; else None."""
    if "slurm on a node" not in request.node.name:
        return None
    cluster = request.getfixturevalue("slurm_cluster")
    monkeypatch.setenv("SLURM_CONF", str(cluster.file))
    return cluster


@pytest.fixture
def options(backend_name, request, real_slurm) -> list[str]:
    """What the worker is told about the backend."""
    if backend_name == "ray":
        address = request.getfixturevalue("ray_cluster").address
        return ["--backend", "ray", "--address", address, "--card-mb", "16000"]
    return [
        "--backend",
        backend_name,
        *(["--slurm", "cluster=local"] if backend_name == "slurm" and not real_slurm else []),
    ]


@pytest.fixture
def make(backend_name, tmp_path, request, real_slurm):
    """Makes the backend, as often as one likes: each is like that of a new worker."""
    if backend_name == "ray":
        cluster = request.getfixturevalue("ray_cluster")
        return lambda: backends.make("ray", slots=4, options=RayOptions(cluster.address, 16000))
    if backend_name == "slurm":
        settings = [] if real_slurm else ["cluster=local"]
        return lambda: backends.make("slurm", slots=4, folder=tmp_path / "slurm", settings=settings)
    return lambda: backends.make(backend_name, slots=4)


class Command:
    """One command in a backend's hands."""

    def __init__(self, backend, folder: Path, name: str, code: str, *arguments: str, **env: str):
        self.backend, self.log, place = backend, folder / f"{name}.txt", backend.place(JobSpec("train"), [])
        lease = Lease(name, backend=backend.name, **place)
        argv = [sys.executable, "-c", code, *arguments]
        self.handle = backend.submit(f"{name}-{time.time_ns()}", argv, env, lease, self.log)

    def ended(self, seconds: float = 60):
        return until(lambda: (found := self.backend.status(self.handle)).state == "ended" and found, seconds)

    def printed(self) -> str:
        return self.backend.logs(self.handle, self.log)


def test_a_command_gets_its_words_and_environment_and_its_end_is_known(make, tmp_path):
    backend, odd = make(), 'it\'s $HOME; "a" `b`'
    says = "import os, sys; print(sys.argv[1], os.environ['WORD'], sep='|'); sys.exit(int(sys.argv[2]))"
    good = Command(backend, tmp_path, "good", says, odd, "0", WORD="ä b")
    bad = Command(backend, tmp_path, "bad", says, odd, "3", WORD="c")
    killed = Command(backend, tmp_path, "killed", "import os; os.kill(os.getpid(), 9)")
    found = good.ended()
    assert found.code == 0 and "no result" in found.cause
    assert f"{odd}|ä b" in good.printed()
    assert (found := bad.ended()).code == 3 and "exited with code 3" in found.cause
    assert f"{odd}|c" in bad.printed()
    assert "killed (out of memory, or by hand)" in killed.ended().cause


def test_cancel_asks_first_and_kill_takes_the_children_too(make, tmp_path):
    backend = make()
    polite = Command(backend, tmp_path, "polite", POLITE, str(tmp_path / "polite"))
    stubborn = Command(backend, tmp_path, "stubborn", STUBBORN, str(tmp_path / "child"))
    until(lambda: (tmp_path / "polite").exists() and (tmp_path / "child").exists())
    assert {backend.status(one.handle).state for one in (polite, stubborn)} == {"running"}
    backend.cancel(polite.handle)
    backend.cancel(stubborn.handle)
    polite.ended()
    assert (tmp_path / "polite.left").read_text() == "kept a checkpoint"
    backend.cancel(stubborn.handle, kill=True)
    stubborn.ended()
    until(lambda: not running(str(tmp_path / "child")), 30)
    backend.cancel(polite.handle)  # harmless where it has ended
    backend.cancel(stubborn.handle, kill=True)


def running(words: str) -> bool:
    """Whether a process has these words in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if words.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


def test_a_new_worker_finds_commands_of_the_last_one(make, tmp_path, backend_name):
    if backends.named(backend_name).local:
        pytest.skip("local commands are known by their job's lock: tests/jobs/test_worker.py")
    command = Command(make(), tmp_path, "lives", POLITE, str(tmp_path / "lives"))
    until(lambda: (tmp_path / "lives").exists())
    command.backend = make()
    assert command.backend.status(command.handle).state == "running"
    command.backend.cancel(command.handle)
    command.ended()


def test_no_more_commands_than_slots(make):
    backend = make()
    taken = [Lease(f"job-{n}", backend=backend.name) for n in range(4)]
    assert backend.place(JobSpec("train"), taken[:3]) is not None
    assert backend.place(JobSpec("train"), taken) is None


# Whole jobs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def spool(spool, tmp_path) -> Spool:
    """Its corpus is the job `corpus`."""
    spool.submit(corpus_job(tmp_path / "text", "small"), "corpus")
    return spool


def train(tokens: int, prefix: str, **settings) -> dict:
    own = {"after": ["corpus"], "checkpoint_seconds": 0.2, "device": "auto"}
    ids = [f"{prefix}-{n}" for n in range(2)]
    return training_job("small", {"ones": 0.3, "twos": 0.7}, ids, tokens, **own, **settings)


def pid_in(spool: Spool, job_id: str) -> int:
    """The job's own process: the clusters of these tests run on this machine."""
    events = read_events(spool.find(job_id))
    return next((event["pid"] for event in reversed(events) if event["kind"] == "job.started"), 0)


@pytest.mark.soak
def test_jobs_survive_kills_of_themselves_and_of_the_worker(spool, options):
    """Three jobs: one is let be, one is killed and goes on from its checkpoint, one is cancelled. The worker is killed
    while they run; nothing is doubled."""
    spool.submit(train(20_000, "easy"), "easy")
    spool.submit(train(400_000, "killed", gpu_memory_mb=8000), "killed")
    spool.submit(train(10**8, "cancelled", gpu_memory_mb=8000), "cancelled")
    with worker(spool, "--slots", "3", *options) as first:
        until(lambda: "runs.progress" in kinds(spool, "killed"))
        until(lambda: "runs.progress" in kinds(spool, "cancelled"))
        first.kill()
        first.wait()
        step = max(event["step"] for event in read_events(spool.find("killed")) if event["kind"] == "runs.progress")
        os.kill(pid_in(spool, "killed"), signal.SIGKILL)
        with worker(spool, "--slots", "3", *options):
            spool.cancel("cancelled")
            until(lambda: all(place(spool, job) == "ended" for job in ("corpus", "easy", "killed", "cancelled")), 180)
    assert [last(spool, job)["kind"] for job in ("corpus", "easy", "killed", "cancelled")] == [
        "job.finished",
        "job.finished",
        "job.finished",
        "job.cancelled",
    ]
    found = kinds(spool, "killed")
    assert found.count("job.started") == 2 and found.count("job.died") == 1 and found.count("run.finished") == 2
    events = read_events(spool.find("killed"))
    resumed = next(e for e in events[found.index("job.died") :] if e["kind"] == "runs.progress")
    assert resumed["step"] > step / 2, "it went on from a checkpoint"
    assert kinds(spool, "easy").count("job.started") == kinds(spool, "cancelled").count("job.started") == 1


def test_a_job_whose_interpreter_is_not_there_says_so(spool, options, backend_name):
    if backends.named(backend_name).local:
        pytest.skip("here the worker's own interpreter runs the jobs")
    spool.submit(train(20_000, "lost", retries=0), "lost")
    with worker(spool, *options, "--python", "/nowhere/python"):
        until(lambda: place(spool, "lost") == "ended")
    assert last(spool, "lost")["kind"] == "job.failed"
    log = spool.find("lost") / "log.txt"
    assert "/nowhere/python" in last(spool, "lost")["message"] + log.read_text()


@pytest.mark.soak
def test_nodes_without_the_folder_post_their_journals(tmp_path, ray_cluster):
    """Through the page's HTTP API, which is killed meanwhile; every line arrives once."""
    from engine.core.workspace import Workspace
    from store.database import Store

    workspace = tmp_path / "workspace"
    spec = train(300_000, "posted")
    store = Store(Workspace.open(workspace))
    store.submit("corpus", corpus_job(small_text(tmp_path / "text"), "small"))
    planned = [PlannedRun(**run, number=n, role="design", job="posted") for n, run in enumerate(spec["runs"], 1)]
    store.write(StudyCreated("s", "s", StudySpec.from_dict({"name": "s"}).to_dict()))
    store.write(StudyPlanned(study="s", domains=spec["domains"], corpus={}, runs=[], jobs=[]))
    store.write(RunsAdded("s", planned, [PlannedJob(job="posted", spec=spec)]))
    store.spool.submit(spec, "posted")
    store.close()
    page, spool = Page(workspace), Spool(workspace)
    try:
        with worker(spool, "--backend", "ray", "--address", ray_cluster.address, "--url", page.url):
            until(lambda: "runs.progress" in kinds(spool, "posted"))
            page.process.kill()
            page.process.wait()
            time.sleep(2)
            page.restart()
            until(lambda: place(spool, "posted") == "sealed", 180)
    finally:
        page.stop()
    found = kinds(spool, "posted")
    assert found[-1] == "job.finished" and found.count("run.finished") == 2 and found.count("job.started") == 1
    lines = (spool.find("posted") / "events.jsonl").read_bytes().splitlines()
    assert len(lines) == len(found) == len({json.dumps(event) for event in read_events(spool.find("posted"))})
    store = Store(Workspace.open(workspace))
    assert store.rows("SELECT count(*) FROM corrupt_lines") == [(0,)]
    assert store.rows("SELECT read_to FROM journals WHERE name = 'job/posted'")[0][0] == sum(
        len(li) + 1 for li in lines
    )
    store.close()


# What is missing or wrong ------------------------------------------------------------------------------------------


def test_an_unknown_backend_and_a_cluster_that_is_not_there():
    with pytest.raises(Problem, match=r"the backends are local, .*slurm"):
        backends.make("kubernetes")
    with pytest.raises(Problem, match="Cannot reach a Ray cluster at"):
        backends.make("ray", slots=1, options=RayOptions("http://127.0.0.1:9"))
    with pytest.raises(Problem, match="Cannot run jobs on Slurm"):
        backends.make("slurm", slots=1, folder=Path("/tmp"), settings=["slurm_partition=gpu"])
