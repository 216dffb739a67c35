"""GPUs, found by a real executable `nvidia-smi` on the PATH that says what a file tells it to: shared by memory, and
seen when they vanish, when the driver does not answer, and when torch has no CUDA."""

import json
import os
import stat
from pathlib import Path

import pytest

from engine.jobs import devices
from engine.jobs.devices import Gpu, Lease
from engine.spec.compute import Compute, group_and_lanes, members_that_fit, stack_bytes
from engine.spec.fidelity import Fidelity
from tests.support.running import until
from tests.support.working import corpus_job, faults, kinds, last, place, read_events, training_job, worker

pytestmark = pytest.mark.slow
CARDS = """0, GPU-aaa, NVIDIA H100 80GB HBM3, 81559, 4, 0
1, GPU-bbb, "NVIDIA A100, 40 GB", 40960, 500, [N/A]
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """An nvidia-smi that answers with the file `answer`; a line `exit N` or `sleep` there is carried out."""
    folder = tmp_path / "bin"
    folder.mkdir()
    answer = folder / "answer"
    answer.write_text(CARDS)
    script = folder / "nvidia-smi"
    script.write_text(
        f"#!/bin/sh\ncase $(head -1 {answer}) in\nexit*) tail -n +2 {answer}; $(head -1 {answer});;\n"
        f"sleep) exec sleep 60;;\n*) cat {answer};;\nesac\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return answer


def test_cards_are_found(smi):
    found = devices.find()
    assert found.trouble is None
    assert found.gpus == (
        Gpu("GPU-aaa", 0, "NVIDIA H100 80GB HBM3", 81559, 4, 0),
        Gpu("GPU-bbb", 1, "NVIDIA A100, 40 GB", 40960, 500, 0),
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("exit 9\nNVIDIA-SMI has failed because it couldn't communicate with the driver.\n", "couldn't communicate"),
        ("exit 255\n", "exit code 255"),
        ("sleep\n", "timed out"),
        ("0, GPU-aaa, NVIDIA H100, [GPU is lost]\n", "answered '0,GPU-aaa,NVIDIA H100,[GPU is lost]' for a GPU"),
    ],
)
def test_a_driver_that_does_not_answer_is_a_trouble_in_words(smi, monkeypatch, answer, said):
    monkeypatch.setattr(devices, "SECONDS", 0.5)
    smi.write_text(answer)
    found = devices.find()
    assert found.gpus == () and said in found.trouble and "Check" in found.trouble


def test_a_machine_without_nvidia_smi_has_no_gpus_and_no_trouble(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.find() == devices.Found()


BIG, SMALL = Gpu("big", 0, "H100", 80_000, 0, 0), Gpu("small", 1, "A100", 40_000, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "held", "used", "chosen"),
    [
        (0, [], 0, ("big", 80_000)),  # none declared: a whole card, the one with the most room
        (20_000, [], 0, ("big", 20_000)),
        (20_000, [("big", 60_000)], 0, ("small", 20_000)),
        (20_000, [("big", 60_000), ("small", 40_000)], 0, ("big", 20_000)),
        (20_000, [("big", 60_000), ("small", 40_000)], 70_000, None),  # somebody else's memory counts as well
        (0, [("big", 1)], 0, ("small", 40_000)),  # a card of which a bit is leased is not whole
        (0, [("big", 1), ("small", 1)], 0, None),
        (0, [], 10_000, ("small", 40_000)),  # nor is one that somebody else uses
        (200_000, [], 0, ("big", 80_000)),  # more than any card has: the job sizes itself to the largest
        (200_000, [("big", 10)], 0, None),
    ],
)
def test_cards_are_shared_by_declared_memory(wanted, held, used, chosen):
    gpus = [Gpu("big", 0, "H100", 80_000, used, 0), SMALL]
    leases = [Lease("job", gpu=uuid, gpu_memory_mb=memory) for uuid, memory in held]
    found = devices.choose(gpus, leases, wanted)
    assert (found and (found[0].uuid, found[1])) == chosen


def test_a_group_sizes_itself_to_the_card():
    """More memory, more members, up to the largest group; what is estimated to fit does fit its own estimate."""
    fidelity = Fidelity(width=128, layers=4, heads=2, context=256, batch=16, tokens=10**6, learning_rate=0.01)
    sizes = [members_that_fit(fidelity, 4096, memory) for memory in (1_000, 8_000, 16_000, 80_000, 10**7)]
    assert sizes == sorted(sizes) and sizes[0] >= 1 and sizes[-1] == 64
    assert stack_bytes(fidelity, 4096, sizes[2]) <= 16_000 * 2**20
    assert group_and_lanes(Compute(gpu_memory_mb=8_000), fidelity, 4096, [BIG, SMALL], 4) == (sizes[1], 15)
    assert group_and_lanes(Compute(gpu_memory_mb=8_000, max_parallel=3), fidelity, 4096, [BIG], 4) == (sizes[1], 3)
    assert group_and_lanes(Compute(group=5, device="cpu"), fidelity, 4096, [BIG], 4) == (5, 4)


def test_a_group_on_a_cpu_sizes_itself_to_the_machine():
    """RegMix's shape takes a gigabyte each: of 24 GB two jobs side by side take no more than they may."""
    regmix = Fidelity(width=256, heads=8, layers=2, context=2048, batch=4, tokens=10**6)
    size, lanes = group_and_lanes(Compute(device="cpu"), regmix, 50_304, [], 2, 24_000)
    assert lanes == 2 and 1 <= size <= 4 and stack_bytes(regmix, 50_304, size, "cpu") <= 12_000 * 2**20
    assert group_and_lanes(Compute(device="cpu"), regmix, 50_304, [], 2, 3_000) == (1, 2), (
        "one, which says so if it cannot"
    )
    assert group_and_lanes(Compute(device="cpu"), Fidelity(), 257, [], 2, 24_000) == (8, 2)


# Jobs on leased cards ---------------------------------------------------------------------------------------------


def leases(spool) -> dict:
    """The leases of the active jobs by name; one that was claimed a moment ago has none yet."""
    written = [path / "lease.json" for path in spool.folders("active")]
    return {path.parent.name: json.loads(path.read_text()) for path in written if path.exists()}


def test_jobs_share_cards_and_a_vanished_card_ends_its_jobs_and_no_others(smi, spool, tmp_path):
    """Two jobs of 30 GB fit the first card and one the second; the fourth waits. Then the first card falls off."""
    for n in range(4):
        spool.submit(corpus_job(tmp_path / "text", f"c{n}", device="cuda", gpu_memory_mb=30_000), f"silent-{n}")
    with worker(spool, "--slots", "8", **faults(tmp_path / "faults")):
        until(lambda: sum(bool(lease["handle"]) for lease in leases(spool).values()) == 3)
        cards = {name: lease["gpu"] for name, lease in leases(spool).items()}
        assert sorted(cards.values()) == ["GPU-aaa", "GPU-aaa", "GPU-bbb"] and place(spool, "silent-3") == "queued"
        lost = [name for name, card in cards.items() if card == "GPU-aaa"]
        (kept,) = set(cards) - set(lost)
        for name in lost:
            environment = Path("/proc", leases(spool)[name]["handle"], "environ").read_text().split("\0")
            assert "CUDA_VISIBLE_DEVICES=GPU-aaa" in environment and "MIXDESK_GPU_MEMORY_MB=30000" in environment
        smi.write_text(CARDS.splitlines()[1])
        until(lambda: all("job.died" in kinds(spool, name) for name in lost), 60)
        for name in lost:
            died = next(event for event in read_events(spool.find(name)) if event["kind"] == "job.died")
            assert "GPU GPU-aaa vanished: nvidia-smi does not list it any more" in died["message"]
            assert place(spool, name) == "queued"
        assert place(spool, kept) == "active" and kinds(spool, kept) == []


def test_a_job_that_wants_a_gpu_where_none_is_fails_with_what_to_do(spool, tmp_path, finished_corpus):
    spool.submit(finished_corpus | {"device": "cuda"}, "wants")
    with worker(spool):
        until(lambda: place(spool, "wants") == "ended")
    assert last(spool, "wants")["kind"] == "job.failed"
    assert "cuda" in last(spool, "wants")["message"].lower() and "cpu" in last(spool, "wants")["message"].lower()


def test_a_card_whose_driver_torch_cannot_use_is_said_and_the_cpu_trains(smi, spool, finished_corpus):
    """nvidia-smi lists cards, torch has no CUDA: a job that may choose goes on, and its note says why it is slow."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that torch can use")
    spool.submit(finished_corpus | {"device": "auto"}, "auto")
    with worker(spool):
        until(lambda: place(spool, "auto") == "ended")
    events = read_events(spool.find("auto"))
    assert events[-1]["kind"] == "job.finished"
    (note,) = [event for event in events if event["kind"] == "job.note"]
    assert "cannot use the GPU" in note["text"] and "training on the CPU" in note["text"]


@pytest.fixture
def finished_corpus(spool, tmp_path) -> dict:
    """A training job on the corpus `small`, which a job of its own builds first."""
    spool.submit(corpus_job(tmp_path / "text", "small"), "corpus")
    return training_job("small", {"ones": 0.5, "twos": 0.5}, ["r"], 10_000, after=["corpus"])
