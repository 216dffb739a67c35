"""Switches of training: unmixed batches, and sharpness-aware minimisation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine import corpus as corpora
from engine.corpus import CorpusSpec
from engine.jobs.runs import TaskRun
from engine.proxies.sampling import Sampler
from engine.proxies.train import Training
from engine.spec.fidelity import Fidelity

SIZE = Fidelity(width=16, layers=1, context=16, batch=4, tokens=30 * 64, warmup=0.0, clip=1e9, eval_tokens=256)
DOMAINS, SHARES = ["letters", "digits"], [0.7, 0.3]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("switches"), np.random.default_rng(0)
    for domain, letters in zip(DOMAINS, ("abcde ", "01234 "), strict=True):
        (root / "text" / domain).mkdir(parents=True)
        for k in range(40):
            (root / "text" / domain / f"{k}.txt").write_text("".join(rng.choice(list(letters), 2000)))
    corpora.build(CorpusSpec(source={"type": "folder", "path": str(root / "text")}), root / "corpus", processes=1)
    return corpora.load(root / "corpus")


def training(corpus, fidelity: Fidelity, seeds=(1, 2)) -> Training:
    runs = [TaskRun(id=f"r{seed}", weights=SHARES, seed=seed) for seed in seeds]
    return Training(fidelity, corpus, DOMAINS, runs, "cpu")


def test_an_unmixed_batch_is_of_one_domain_and_shares_stay():
    shards = [np.arange(5000, dtype=np.uint16)] * 2
    made = Sampler(shards, DOMAINS, np.array([SHARES]), [1], 16, 402, together=4)
    batches = made.domain[0, :400].reshape(100, 4)
    assert (batches == batches[:, :1]).all() and made.domain.shape == (1, 402)
    assert made.shares()[0] == pytest.approx(SHARES, abs=0.02)
    mixed = Sampler(shards, DOMAINS, np.array([SHARES]), [1], 16, 402)
    assert (mixed.domain[0, :400].reshape(100, 4).std(1) > 0).mean() > 0.5


def test_a_study_may_ask_for_unmixed_batches(corpus):
    one = training(corpus, replace(SIZE, batches="unmixed"))
    digits = [{int(row.max()) < 58 for row in one.batch(step)[0]} for step in range(8)]
    assert all(len(kinds) == 1 for kinds in digits) and len(set(map(tuple, digits))) == 2


def test_the_gradient_is_that_where_the_loss_rises_fastest(corpus):
    """As worked out by hand: the gradient at w + r g / |g|, each member by itself; the weights end where they were."""
    radius = 0.5
    one, other = training(corpus, replace(SIZE, sharpness=radius)), training(corpus, SIZE)
    tokens, before = one.batch(0), one.stack.flat.clone()
    one.stack.backward(one.stack.losses(tokens))
    plain = one.stack.flat.grad.clone()
    one.look_uphill(tokens)
    assert torch.equal(one.stack.flat, before) and not torch.allclose(one.stack.flat.grad, plain, rtol=1e-2)
    with torch.no_grad():
        other.stack.flat += radius * plain / plain.norm(dim=1, keepdim=True)
    other.stack.backward(other.stack.losses(tokens))
    assert torch.allclose(one.stack.flat.grad, other.stack.flat.grad, atol=1e-5)


def test_switches_change_training_and_cost_and_none_is_written_where_it_is_off(corpus):
    runs = {}
    for name, fidelity in {"plain": SIZE, "sharp": replace(SIZE, sharpness=0.2)}.items():
        runs[name] = training(corpus, fidelity)
        for _ in range(10):
            runs[name].advance()
    assert not torch.allclose(runs["plain"].stack.flat, runs["sharp"].stack.flat, atol=1e-3)
    assert replace(SIZE, sharpness=0.2).flops(256) == 2 * SIZE.flops(256)
    assert not {"batches", "sharpness", "mup"} & set(SIZE.to_dict())
    switched = replace(SIZE, sharpness=0.2, batches="unmixed", mup=True)
    assert Fidelity.from_dict(switched.to_dict()) == switched
