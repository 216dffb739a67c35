"""Training and measuring stacks on a small real corpus: common random numbers, resume, divergence, units."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from engine import corpus as corpora
from engine.core.errors import Problem, Stopped
from engine.corpus import CorpusSpec
from engine.jobs.runs import TaskRun
from engine.jobs.spool import Job
from engine.metrics.base import Text
from engine.metrics.loss import bits_per_byte
from engine.proxies import reporter
from engine.proxies.evaluate import evaluate, validation_windows
from engine.proxies.model import stack
from engine.proxies.sampling import Sampler
from engine.proxies.train import Training, run
from engine.spec.fidelity import LEARNING_RATES, Fidelity
from tests.support.running import ROOT
from tests.support.working import read_events

QUICK = Fidelity(context=16, batch=4, tokens=200 * 64, eval_tokens=1024)
DOMAINS = ["birds", "fish", "trees"]
MIXED = [[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [1.0, 0.0, 0.0]]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A workspace with one text in two corpora: as bytes and as BPE. Domains have words of their own."""
    root, rng = tmp_path_factory.mktemp("workspace"), np.random.default_rng(0)
    for domain in DOMAINS:
        (root / "text" / domain).mkdir(parents=True)
        letters = list("aeioulnrst" + domain[-3:])
        words = ["".join(rng.choice(letters, rng.integers(2, 8))) for _ in range(15)]
        for k in range(60):
            text = " ".join(rng.choice(words, 300))
            (root / "text" / domain / f"{k}.txt").write_text(text)
    source = {"type": "folder", "path": str(root / "text")}
    for name, tokenizer in (("bytes", "bytes"), ("bpe", {"type": "bpe", "vocabulary": 400})):
        corpora.build(CorpusSpec(source=source, tokenizer=tokenizer), root / "corpora" / name, processes=1)
    return root


def runs(weights=MIXED, seed=3) -> list[TaskRun]:
    return [TaskRun(id=f"run-{g}", weights=w, seed=seed) for g, w in enumerate(weights)]


def specs(weights=MIXED) -> list[dict]:
    return [run.to_dict() for run in runs(weights)]


def make_job(workspace: Path, folder: Path, **changes) -> Job:
    folder.mkdir(exist_ok=True)
    spec = {
        "kind": "train",
        "study": "s",
        "corpus": "bytes",
        "domains": DOMAINS,
        "runs": specs(),
        "device": "cpu",
    }
    return Job(folder, workspace, {**spec, "fidelity": QUICK.to_dict(), **changes})


def finished(folder: Path) -> dict[str, dict]:
    return {event["run"]: event for event in read_events(folder) if event["kind"] == "run.finished"}


def trained(workspace: Path, members: list[TaskRun], fidelity=QUICK, corpus="bytes") -> Training:
    training = Training(fidelity, corpora.load(workspace / "corpora" / corpus), DOMAINS, members, "cpu")
    while training.step < fidelity.steps:
        training.advance()
    return training


@pytest.mark.slow
def test_member_trained_in_a_stack_is_what_it_is_alone(workspace):
    together, alone = trained(workspace, runs()), trained(workspace, runs()[1:2])
    corpus = corpora.load(workspace / "corpora" / "bytes")
    ours, theirs = (evaluate(training.stack, corpus, DOMAINS, 1024)[0] for training in (together, alone))
    np.testing.assert_allclose(ours[1], theirs[0], atol=1e-4)


def test_whole_job_learns_reports_and_saves(workspace, tmp_path):
    run(make_job(workspace, tmp_path / "job", save="models/kept"))
    events, done = read_events(tmp_path / "job"), finished(tmp_path / "job")
    assert {"runs.started", "runs.progress", "runs.evaluated", "run.finished"} <= {event["kind"] for event in events}
    assert list(done) == ["run-0", "run-1", "run-2"] and list(done["run-0"]["losses"]) == DOMAINS
    assert done["run-2"]["losses"]["birds"] < done["run-1"]["losses"]["birds"]
    assert done["run-1"]["losses"]["trees"] < done["run-2"]["losses"]["trees"]
    assert done["run-0"]["tokens"] == QUICK.tokens and done["run-0"]["parameters"] == QUICK.parameters(256)
    model = stack(QUICK, 256, [load_file(workspace / "models" / "kept" / "run-1.safetensors")])
    corpus = corpora.load(workspace / "corpora" / "bytes")
    again, _ = evaluate(model, corpus, DOMAINS, QUICK.eval_tokens)
    np.testing.assert_allclose(again[0], list(done["run-1"]["losses"].values()), atol=1e-5)


@pytest.mark.slow
def test_learns_more_than_letter_counts(workspace):
    fidelity = dataclasses.replace(QUICK, batch=16, tokens=400 * 256)
    training = trained(workspace, runs([[1.0, 0.0, 0.0]]), fidelity)
    corpus = corpora.load(workspace / "corpora" / "bytes")
    shares = np.bincount(corpus.valid("birds"), minlength=256) / len(corpus.valid("birds"))
    entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
    losses, _ = evaluate(training.stack, corpus, DOMAINS, 1024)
    assert losses[0, 0] < 0.85 * entropy < losses[0, 1]


class StopAt(Job):
    """A job that is told to stop when it has come so far."""

    stop_at = 0

    def progress(self, done, total, note=""):
        self.stopping = done >= self.stop_at
        super().progress(done, total, note)


@pytest.mark.parametrize("share", [0.37, 1.0], ids=["while training", "while measuring"])
@pytest.mark.slow
def test_stopped_job_goes_on_as_if_it_never_stopped(workspace, tmp_path, share):
    run(make_job(workspace, tmp_path / "unbroken"))
    job = make_job(workspace, tmp_path / "broken")
    stopped = StopAt(job.folder, workspace, job.spec)
    stopped.stop_at = int(share * 3 * QUICK.tokens)
    with pytest.raises(Stopped):
        run(stopped)
    assert list(job.folder.glob("checkpoint-*.safetensors")) and not finished(job.folder)
    run(make_job(workspace, tmp_path / "broken"))
    whole, mended = finished(tmp_path / "unbroken"), finished(tmp_path / "broken")
    assert all(whole[name]["losses"] == mended[name]["losses"] for name in whole)
    steps = [event["step"] for event in read_events(job.folder) if event["kind"] == "runs.progress"]
    assert steps == sorted(steps)  # went on, did not begin again
    before = len(read_events(job.folder))
    run(make_job(workspace, tmp_path / "broken"))
    assert len(read_events(job.folder)) == before  # nothing is measured twice


def test_a_point_of_a_curve_averages_several_batches(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(reporter, "REPORT_SECONDS", 0.0)  # as where every step takes longer than that
    for count, gaps in ((100, [2] * 50), (3, [1] * 3)):  # of three steps there are no more
        short = dataclasses.replace(QUICK, tokens=count * QUICK.batch * QUICK.context).to_dict()
        run(make_job(workspace, tmp_path / str(count), fidelity=short, runs=specs(MIXED[:1])))
        steps = [event["step"] for event in read_events(tmp_path / str(count)) if event["kind"] == "runs.progress"]
        assert np.diff([0, *steps]).tolist() == gaps


def test_divergence_stays_with_its_member(workspace, tmp_path):
    corpus = corpora.load(workspace / "corpora" / "bytes")
    sick, sound = (Training(QUICK, corpus, DOMAINS, runs(), "cpu") for _ in range(2))
    sick.stack.flat[1, 7] = math.nan
    for _ in range(20):
        sick.advance(), sound.advance()
    assert sick.alive.tolist() == [True, False, True] and sick.diverged_at.tolist() == [-1, 0, -1]
    torch.testing.assert_close(sick.stack.flat[[0, 2]], sound.stack.flat[[0, 2]])


def test_divergence_of_all_ends_the_job_and_is_reported(workspace, tmp_path):
    wild = dataclasses.replace(QUICK, learning_rate=1e4, warmup=0.0)
    run(make_job(workspace, tmp_path / "job", fidelity=wild.to_dict()))
    events = read_events(tmp_path / "job")
    assert [event["run"] for event in events if event["kind"] == "run.diverged"] == [
        "run-0",
        "run-1",
        "run-2",
    ]
    assert not finished(tmp_path / "job")


def test_common_random_numbers_are_common():
    """The k-th sequence of a domain is the same for every mixture of a seed, and not of another."""
    shards = [np.arange(1000, dtype=np.uint16) + 1000 * j for j in range(3)]
    sampler = Sampler(shards, DOMAINS, np.array(MIXED[:2] * 2), [3, 3, 4, 4], context=10, slots=150)
    taken = sampler.tokens(0, 150)  # (4, 150, 11)
    for j in range(3):
        firsts = [taken[g, sampler.domain[g] == j, 0] for g in range(4)]
        shared = min(len(first) for first in firsts)
        assert np.array_equal(firsts[0][:shared], firsts[1][:shared])
        assert not np.array_equal(firsts[0][:shared], firsts[2][:shared])
    assert (np.diff(taken, axis=2) == 1).all()  # whole windows, never across two domains
    assert np.array_equal(taken[:, 40:60], sampler.tokens(40, 60))


def test_realised_shares_are_the_weights_and_zero_is_never():
    weights = np.array([[0.123, 0.0, 0.877], [0.0, 0.5, 0.5], [0.31, 0.69, 0.0], [0.0, 1.0, 0.0]])
    sampler = Sampler([np.zeros(500, np.uint8)] * 3, DOMAINS, weights, [1, 2, 3, 4], context=10, slots=1000)
    np.testing.assert_allclose(sampler.shares(), weights, atol=0.004)
    assert (sampler.shares()[weights == 0] == 0).all()


def test_an_epoch_takes_every_window_once():
    sampler = Sampler([np.arange(101)] * 2, DOMAINS[:2], np.array([[1.0, 0.0]]), [0], context=10, slots=30)
    starts = sampler.start[0].reshape(3, 10)
    assert (np.sort(starts, 1) == np.arange(0, 100, 10)).all() and not np.array_equal(starts[0], starts[1])


def test_simulated_epochs_are_those_of_the_target():
    """10,000 slots stand for a target of 40,000: each domain is cut to a quarter and repeated four times as often."""
    shards = [np.arange(40_001), np.arange(4_001)]
    whole, cut = (
        Sampler(shards, DOMAINS[:2], np.array([[0.5, 0.5]] * 2), [0, 1], context=10, slots=10_000, keep=keep)
        for keep in (1.0, 0.25)
    )
    for j, windows in enumerate((4000, 400)):
        starts = [{*sampler.start[0, sampler.domain[0] == j].tolist()} for sampler in (whole, cut)]
        assert [len(one) for one in starts] == [windows, windows // 4]
        assert starts[1] == {*cut.start[1, cut.domain[1] == j].tolist()}, "the same text for every seed"
        assert (cut.domain[0] == j).sum() / len(starts[1]) == pytest.approx(0.5 * 40_000 / windows, rel=0.01)
    np.testing.assert_array_equal(whole.shares(), cut.shares())


def test_a_dose_cuts_one_domain_of_one_run():
    """The run with a dose sees a quarter of one domain, within what the others see; all else stays as it is."""
    shards, weights = [np.arange(4_001)] * 2, np.array([[0.5, 0.5]] * 2)
    keep = np.array([0.5, 1.0]) * np.array([[1, 1], [0.25, 1]])
    sampler = Sampler(shards, DOMAINS[:2], weights, [0, 0], context=10, slots=4000, keep=keep)
    seen = [[{*sampler.start[g, sampler.domain[g] == j].tolist()} for j in range(2)] for g in range(2)]
    assert [[len(one) for one in run] for run in seen] == [[200, 400], [50, 400]]
    assert seen[1][0] < seen[0][0]
    np.testing.assert_array_equal(sampler.start[0, sampler.domain[0] == 1], sampler.start[1, sampler.domain[1] == 1])


def test_evaluate_by_hand(workspace):
    corpus, training = corpora.load(workspace / "corpora" / "bpe"), trained(workspace, runs(), corpus="bpe")
    losses, errors = evaluate(training.stack, corpus, DOMAINS, 256)
    windows = torch.from_numpy(validation_windows(corpus.valid("fish"), 16, 256, "fish").astype(np.int64))
    nats, sizes = [], []
    for window in windows:
        logits = training.stack.forward(window[:-1].expand(3, 1, -1))[2, 0]
        nats.append(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item())
        sizes.append(sum(int(corpus.token_bytes[token]) for token in window[1:]))
    assert losses[2, 1] == pytest.approx(sum(nats) / math.log(2) / sum(sizes), abs=1e-4)
    rest = [n / math.log(2) - losses[2, 1] * s for n, s in zip(nats, sizes, strict=True)]
    deviation = np.std(rest, ddof=1) * math.sqrt(len(rest)) / sum(sizes)
    assert errors[2, 1] == pytest.approx(deviation, rel=1e-2)


def test_standard_error_of_windows_is_the_spread_of_repeats():
    rng = np.random.default_rng(0)
    draws = rng.gamma(9.0, size=(400, 64))  # 400 repeats of 64 windows, 10 bytes each
    losses, errors = bits_per_byte(draws, Text(np.full(64, 10), np.full(64, 10)))
    assert errors.mean() == pytest.approx(losses.std(), rel=0.1)


def test_even_guessing_costs_what_it_must_in_any_vocabulary(workspace):
    """All logits equal: 8 bits per byte of bytes; of BPE log2 V a token, spread over its bytes."""
    for name in ("bytes", "bpe"):
        corpus = corpora.load(workspace / "corpora" / name)
        training = Training(QUICK, corpus, DOMAINS, runs()[:1], "cpu")
        training.stack.flat.zero_()
        losses, _ = evaluate(training.stack, corpus, ["fish"], 10**9)
        valid = corpus.valid("fish")
        targets = valid[1 : (len(valid) - 1) // 16 * 16 + 1]
        expected = math.log2(corpus.vocabulary) * len(targets) / corpus.token_bytes[targets].sum()
        assert losses[0, 0] == pytest.approx(expected, rel=1e-6)
        assert name == "bpe" or expected == 8


def test_problems_are_told_before_training(workspace, tmp_path):
    wrong = {
        "sum to 1": {"runs": specs([[0.5, 0.3, 0.3]])},
        "'moss'": {"domains": ["birds", "fish", "moss"]},
        "'seed' is 1.5": {"runs": [{"id": "up", "weights": MIXED[0], "seed": 1.5}]},
        "no field 'sead'": {"runs": [{"id": "up", "weights": MIXED[0], "seed": 1, "sead": 1}]},
        "file name": {"runs": [{"id": "../up", "weights": MIXED[0], "seed": 1}]},
        "device 'tpu'": {"device": "tpu"},
        "two windows": {"fidelity": dataclasses.replace(QUICK, context=100_000).to_dict()},
    }
    for words, change in wrong.items():
        with pytest.raises(Problem, match=words):
            run(make_job(workspace, tmp_path / "job", **change))
    assert not read_events(tmp_path / "job")


def test_learning_rates_are_those_of_the_sweep():
    path = ROOT / "benchmarks" / "learning_rate.json"
    best = json.loads(path.read_text())["best"]
    assert {int(width): rate for width, rate in best.items()} == LEARNING_RATES


@pytest.mark.slow
def test_other_metrics_are_measured_beside_the_losses(workspace, tmp_path):
    plain, more = tmp_path / "plain", tmp_path / "more"
    run(make_job(workspace, plain))
    run(make_job(workspace, more, metrics=["accuracy"]))
    for one, other in zip(finished(plain).values(), finished(more).values(), strict=True):
        assert list(other["losses"]) == [*DOMAINS, *(f"{domain} accuracy" for domain in DOMAINS)]
        assert {name: other["losses"][name] for name in DOMAINS} == one["losses"]
        assert all(0 <= other["losses"][f"{domain} accuracy"] <= 1 for domain in DOMAINS)
    with pytest.raises(Problem, match="'bleu': the metrics are loss"):
        run(make_job(workspace, tmp_path / "bad", metrics=["bleu"]))
