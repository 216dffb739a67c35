"""Slurm as clusters are: options, preemption, time limits, on one real node; and what a cluster file may say."""

import os
import shlex

import pytest

from engine.core.errors import Problem
from engine.jobs import backends
from engine.jobs.backends.cluster_file import Container, RayOptions, SlurmOptions, read_cluster
from engine.jobs.backends.ray_jobs import entrypoint
from engine.jobs.backends.slurm import launcher, parameters
from engine.jobs.devices import Lease
from engine.jobs.spec import JobSpec
from tests.jobs.backends.test_backends import HAS_SLURM, slurm_cluster  # noqa: F401
from tests.support.running import until
from tests.support.working import corpus_job, kinds, last, place, read_events, training_job, worker

on_a_node = [pytest.mark.soak, pytest.mark.skipif(not HAS_SLURM, reason="needs root and Debian's slurm-wlm")]


# The file -------------------------------------------------------------------------------------------------


def test_a_cluster_file_is_read_and_the_workspaces_own_is_found(tmp_path):
    text = """
        [slurm]
        partition = "gpu"
        gpu = "a100"
        memory_gb = 1.5
        setup = ["module load cuda"]
        options = {reservation = "lm", hold = true}
        [slurm.container]
        image = "/images/mixdesk.sqsh"
        mounts = ["/data:/data", "/scratch:/scratch"]
    """
    (tmp_path / "cluster.toml").write_text(text)
    found = read_cluster(tmp_path, None, "slurm").slurm
    assert (found.partition, found.time_minutes, found.options["hold"]) == ("gpu", 1440, True)
    asked = parameters(found)
    assert asked["slurm_setup"] == ["set -e", "module load cuda"] and asked["slurm_mem"] == "1536M"
    mounts = "--container-mounts=/data:/data,/scratch:/scratch"
    assert asked["slurm_srun_args"] == ["--container-image=/images/mixdesk.sqsh", mounts]
    assert asked["slurm_account"] is None
    other = tmp_path / "other.toml"
    other.write_text("[ray]\ncard_mb = 80000\nresources = {a100 = 0.001}")
    assert read_cluster(tmp_path, other, "ray").ray == RayOptions(card_mb=80000, resources={"a100": 0.001})
    with pytest.raises(Problem, match=r"it has no table \[slurm\]"):
        read_cluster(tmp_path, other, "slurm")
    assert read_cluster(tmp_path / "elsewhere", None, "slurm").slurm == SlurmOptions()


@pytest.mark.parametrize(
    "text, said",
    [
        ("[slurm]\npartion = 'gpu'", "has no field 'partion'. Its fields: partition, account"),
        ("[slurm]\ntime_minutes = '4h'", "its 'time_minutes' is '4h', and must be a whole number"),
        ("[slurm]\nsetup = 'module load cuda'", "its 'setup' is"),
        ("[slurm]\ntime_minutes = 1", "Cannot use time_minutes = 1 with grace_seconds = 90"),
        ("[slurm.container]\nimage = 'a'\nruntime = 'docker'", "Cannot run containers by 'docker'"),
        ("[slurm.container]\nruntime = 'pyxis'", "its 'image' is missing"),
        ("[ray]\nadress = 'a'", "has no field 'adress'"),
        ("[kubernetes]\nimage = 'a'", "has no field 'kubernetes'"),
        ("[slurm", "Cannot read"),
    ],
)
def test_what_no_backend_knows_is_refused_by_name(tmp_path, text, said):
    (tmp_path / "cluster.toml").write_text(text)
    with pytest.raises(Problem) as refused:
        read_cluster(tmp_path, None, "slurm")
    assert said in str(refused.value)


def test_words_for_shells_stay_whole():
    inside = SlurmOptions(container=Container("a b.sif", "apptainer", ["/x y:/z"]))
    words = ["apptainer", "exec", "--nv", "--bind", "/x y:/z", "a b.sif", "/opt/my python"]
    assert shlex.split(launcher(inside, "/opt/my python")) == words
    assert parameters(inside)["slurm_srun_args"] is None
    assert shlex.split(launcher(SlurmOptions(), "/opt/my python")) == ["/opt/my python"]
    line = entrypoint(["export WORD='a b'"], [os.sys.executable, "-c", "import os; print(os.environ['WORD'])"])
    assert os.popen(line).read() == "a b\n"
    assert os.waitstatus_to_exitcode(os.system(entrypoint(["false"], ["true"]))) == 1, "a line that fails ends it"


# A node ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(slurm_cluster, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.file))
    return slurm_cluster


def made(tmp_path, **options):
    return backends.make("slurm", slots=4, folder=tmp_path / "slurm", options=SlurmOptions(**options))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"partition": "night"}, "Invalid partition"),
        ({"gpu": "h100"}, "Requested node configuration is not available"),
        ({"memory_gb": 1e6}, "Requested node configuration is not available"),
        ({"options": {"clouds": "many"}}, "unrecognized option '--clouds=many'"),
    ],
)
@pytest.mark.parametrize("node", [pytest.param("", marks=on_a_node)])
def test_what_slurm_does_not_have_is_said_before_any_job(cluster, tmp_path, options, said, node):
    with pytest.raises(Problem) as refused:
        made(tmp_path, **options)
    assert "Slurm says" in str(refused.value) and said in str(refused.value)


@pytest.mark.parametrize("node", [pytest.param("", marks=on_a_node)])
def test_a_card_is_taken_where_there_is_one(cluster, tmp_path, node):
    backend = made(tmp_path)
    assert backend.has_cards
    asked = {device: backend.place(JobSpec("train", device=device), [])["gpus"] for device in ("auto", "cpu", "cuda")}
    assert asked == {"auto": 1.0, "cpu": 0.0, "cuda": 1.0}
    backend.has_cards = False
    asked = {device: backend.place(JobSpec("train", device=device), [])["gpus"] for device in ("auto", "cpu", "cuda")}
    assert asked == {"auto": 0.0, "cpu": 0.0, "cuda": 1.0}


@pytest.mark.parametrize("gpu", ["", "a100"])
@pytest.mark.parametrize("node", [pytest.param("", marks=on_a_node)])
def test_each_job_has_its_own_cards_whatever_the_one_before_had(cluster, tmp_path, gpu, node):
    backend = made(tmp_path, gpu=gpu)
    for cards in (1.0, 0.0, 1.0):
        lease = Lease("job", backend=backend.name, cpus=1, gpus=cards)
        handle = backend.submit("job", ["true"], {}, lease, tmp_path / "log")
        assert ("gres:gpu" in cluster.ask("scontrol", "show", "job", handle)) == bool(cards)


@pytest.mark.parametrize("node", [pytest.param("", marks=on_a_node)])
def test_lines_before_a_job_and_the_type_of_a_card(cluster, tmp_path, node):
    words = ["export WORD='a b'", f"echo set up > {tmp_path / 'up'}"]
    backend = made(tmp_path, gpu="a100", setup=words, options={"comment": "ours"})
    lease = Lease("job", backend=backend.name, cpus=1, gpus=1.0)
    says = "import os; print(os.environ['WORD'], os.environ['SLURM_JOB_ID'])"
    handle = backend.submit("job", [os.sys.executable, "-c", says], {}, lease, tmp_path / "log")
    told = cluster.ask("scontrol", "show", "job", handle)
    assert "gres:gpu:a100:1" in told and "Comment=ours" in told
    assert until(lambda: (found := backend.status(handle)).state == "ended" and found, 60).code == 0
    assert (tmp_path / "log").read_text() == f"a b {handle}\n" and (tmp_path / "up").exists()
    broken = made(tmp_path, setup=["module load nothing"])
    handle = broken.submit("job", [os.sys.executable, "-c", says], {}, lease, tmp_path / "log-2")
    found = until(lambda: (found := broken.status(handle)).state == "ended" and found, 60)
    assert "FAILED" in found.cause and not found.held_up
    assert "module" in broken.logs(handle, tmp_path / "log-2")


def train(tokens: int) -> dict:
    own = {"after": ["corpus"], "checkpoint_seconds": 0.2, "device": "cpu", "retries": 0}
    return training_job("small", {"ones": 0.3, "twos": 0.7}, ["a", "b"], tokens, **own)


@pytest.mark.parametrize("node", [pytest.param("", marks=on_a_node)])
def test_a_job_that_is_preempted_ten_times_ends_done(cluster, spool, tmp_path, node):
    """Each time it has come further; Slurm itself puts it back into its queue. No preemption is a failure."""
    spool.submit(corpus_job(tmp_path / "text", "small"), "corpus")
    spool.submit(train(3_000_000), "one")
    seen = 0
    with worker(spool, "--backend", "slurm"):
        for _ in range(10):
            until(lambda seen=seen: reports(spool) > seen, 120)
            seen = reports(spool)
            ours = cluster.ask("squeue", "--me", "--noheader", "--states=running", "--format=%i").split()
            cluster.ask("scontrol", "requeue", *ours)
            until(
                lambda ours=ours: "PENDING" in cluster.ask("squeue", "--noheader", "--format=%T", "--jobs", *ours), 30
            )
            cluster.ask("scontrol", "update", f"JobId={ours[0]}", "StartTime=now")  # else in two minutes
        until(lambda: place(spool, "one") == "ended", 240)
    assert last(spool, "one")["kind"] == "job.finished"
    found = kinds(spool, "one")
    assert "job.died" not in found and found.count("run.finished") == 2
    assert found.count("job.started") == 11


def reports(spool) -> int:
    """The furthest step that the job told of."""
    steps = [event["step"] for event in read_events(spool.find("one")) if event["kind"] == "runs.progress"]
    return max(steps, default=0)


@pytest.mark.parametrize("node", [pytest.param("", marks=on_a_node)])
def test_a_job_whose_time_is_up_goes_on_in_the_next_one(cluster, spool, tmp_path, node):
    (spool.workspace / "cluster.toml").write_text("[slurm]\ntime_minutes = 1\ngrace_seconds = 50")
    spool.submit(corpus_job(tmp_path / "text", "small"), "corpus")
    spool.submit(train(10**9), "one")
    with worker(spool, "--backend", "slurm"):
        until(lambda: kinds(spool, "one").count("job.started") == 3, 300)
        found, steps = kinds(spool, "one"), reports(spool)
        spool.cancel("one")
        until(lambda: place(spool, "one") == "ended", 60)
    assert found.count("job.paused") == 2 and "job.died" not in found and steps
    assert last(spool, "one")["kind"] == "job.cancelled"
