"""Every method of the table: shares, cost and direction on text whose helpful domain is known; their single steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import corpus as corpora
from engine.core.errors import Problem
from engine.corpus import CorpusSpec, expert_tokens
from engine.proxies.model import Stack
from engine.proxies.rivals import aioli, doremi, fastmix, mixmin
from engine.proxies.rivals.ask import Answer, Ask
from engine.proxies.rivals.online import Online
from engine.space.expert_mixture import lowest
from engine.spec.fidelity import Fidelity
from engine.spec.rivals import RIVALS, rounds_of

DOMAINS = ["kin", "noise", "wanted"]  # of kin and wanted, one rule makes the text; only wanted counts
WEIGHTS = np.array([0.0, 0.0, 1.0])
SIZE = Fidelity(width=16, layers=1, context=16, batch=4, tokens=180 * 64, eval_tokens=1024)
ALPHABET = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def texts(domain: str):
    """Words that repeat, or letters at random."""
    rng = np.random.default_rng(DOMAINS.index(domain))
    words = ["".join(np.random.default_rng(word).choice(ALPHABET, 5)) for word in range(8)]
    for _ in range(50):
        yield "".join(rng.choice(ALPHABET, 2000)) if domain == "noise" else " ".join(rng.choice(words, 340))


@pytest.fixture(scope="module")
def ask(tmp_path_factory) -> Ask:
    root = tmp_path_factory.mktemp("rivals")
    for domain in DOMAINS:
        (root / "text" / domain).mkdir(parents=True)
        for number, text in enumerate(texts(domain)):
            (root / "text" / domain / f"{number}.txt").write_text(text)
    corpora.build(CorpusSpec(source={"type": "folder", "path": str(root / "text")}), root / "corpus", processes=1)
    return Ask(
        corpus=corpora.load(root / "corpus"),
        domains=DOMAINS,
        fidelity=SIZE,
        seed=3,
        weights=WEIGHTS,
        prior=np.full(3, 1 / 3),
        tokens_file=root / "tokens.npz",
    )


@pytest.fixture(scope="module")
def answers(ask) -> dict[str, Answer]:
    return {name: rival.function()(ask) for name, rival in RIVALS.items()}


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.slow
def test_a_method_gives_a_mixture_at_its_stated_cost(answers, ask, name):
    found, stated = answers[name], RIVALS[name].cost(SIZE, len(DOMAINS), False)
    assert found.shares.shape == (3,) and found.shares.sum() == pytest.approx(1) and found.shares.min() >= 0
    assert found.cost.trained == stated.trained and found.cost.read == pytest.approx(stated.read, rel=0.05)
    assert all(one.sum() == pytest.approx(1) and 0 < step <= SIZE.steps for step, one in found.path)
    assert stated.runs(SIZE) < 3 + len(DOMAINS)


@pytest.mark.parametrize("name", RIVALS)
def test_a_method_moves_towards_the_domain_that_helps(answers, name):
    """Noise helps nothing. DoReMi is asked at its end: first its run lags behind everywhere, which its mean keeps."""
    kin, noise, wanted = answers[name].path[-1][1] if name == "doremi" else answers[name].shares
    assert noise < 0.28 and wanted > noise and wanted + kin > 0.72


def test_the_same_seed_finds_the_same(ask):
    short = replace(ask, fidelity=replace(SIZE, tokens=48 * 64))
    one, other = aioli.mixture(short), aioli.mixture(short)
    assert np.allclose(one.shares, other.shares, atol=1e-3) and one.cost == other.cost


def test_experts_are_kept_and_score_any_mixture(answers, ask):
    kept = expert_tokens.load(ask.tokens_file)
    assert kept.domains == DOMAINS and [one.shape[1] for one in kept.probabilities] == [3, 3, 3]
    alone = kept.bits(np.eye(3)[2])
    assert alone[2] < 3 < alone[1], "an expert of words knows nothing of random letters"
    best = answers["mixmin"].shares
    assert kept.bits(best)[2] <= min(kept.bits(one)[2] for one in np.eye(3)) + 1e-4
    even = lowest(*kept.joined(np.full(3, 1 / 3)))
    assert even.shares[1] > 0.2, "where noise counts, it needs its expert"


def test_experts_that_are_there_cost_no_run(ask):
    stack = Stack(SIZE, ask.corpus.vocabulary, [0, 1, 2])
    given = replace(ask, experts=[stack.member(g) for g in range(3)], tokens_file=ask.tokens_file.parent / "given.npz")
    found = mixmin.mixture(given)
    assert found.cost.trained == 0 and found.cost.read == pytest.approx(9 * SIZE.eval_tokens, rel=0.05)


def test_damaged_tokens_are_refused(tmp_path: Path):
    (tmp_path / "tokens.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(Problem, match="Find MixMin's mixture again"):
        expert_tokens.load(tmp_path / "tokens.npz")


def test_the_gradient_of_the_head_is_that_of_autograd(ask):
    apart = replace(SIZE, tie_embeddings=False)
    stack = Stack(apart, ask.corpus.vocabulary, [1])
    tokens = torch.from_numpy(np.random.default_rng(0).integers(97, 110, (3, 17)))
    stack.backward(stack.losses(tokens[None]))
    found, count = fastmix.head_gradient(stack, tokens)
    wanted = dict(zip(stack.weights, stack.gradients, strict=True))["head"][0]
    assert torch.allclose(found / count, wanted, atol=1e-5)


def test_weighted_losses_follow_the_shares(ask):
    """Of a batch of one domain the loss of DoReMi's run is that of any other; its shares rise with the excess."""
    reference = Stack(SIZE, ask.corpus.vocabulary, [5])
    run = doremi.Excess(ask, reference)
    tokens = run.batch(0)
    run.domain = np.zeros(4, int)
    assert run.weighted(tokens).item() == pytest.approx(run.stack.losses(tokens).item(), abs=1e-5)
    assert run.weighed[0] > 1 / 3 and run.read == 64
    run.domain, run.weighed, run.excess = np.array([0, 0, 1, 2]), np.full(3, 1 / 3), np.zeros(3)
    run.move(np.array([16.0, 16.0, 8.0, 0.0]), np.full(4, 16.0))
    raised = np.exp([1.0, 0.5, 0.0])
    assert run.excess.tolist() == [1.0, 0.5, 0.0]
    assert run.weighed == pytest.approx((1 - doremi.SMOOTHING) * raised / raised.sum() + doremi.SMOOTHING / 3)


def test_a_law_moves_shares_to_what_lowers_the_losses_that_count():
    law = np.array([[3.0, 0.0], [0.0, 1.0]])  # domain 0 lowers loss 0 by 3
    plain = aioli.moved(np.full(2, 0.5), law, np.full(2, 0.5))
    assert plain[0] == pytest.approx(np.exp(0.75) / (np.exp(0.75) + np.exp(0.25)))
    other = aioli.moved(np.full(2, 0.5), law, np.array([0.0, 1.0]))
    assert other[1] > 0.5 and aioli.moved(np.full(2, 0.5), law - 2, np.full(2, 0.5)).sum() == pytest.approx(1)
    solved = np.linalg.solve(aioli.pieces(2), (law @ aioli.pieces(2)).T).T
    assert np.allclose(solved, law), "pieces that are mostly one domain tell the law"


def test_a_run_takes_the_sequences_of_its_seed(ask):
    run, plain = Online(ask), Online(ask)
    first = run.batch(0)
    run.shares = np.array([1.0, 0.0, 0.0])
    run.batch(1)
    assert torch.equal(first, plain.batch(0)) and set(run.domain) == {0}
    assert len({tuple(row) for step in range(3) for row in run.batch(step + 2)[0].tolist()}) == 12, "each once"


def test_a_run_that_is_too_short_is_refused():
    with pytest.raises(Problem, match="takes at least 24"):
        rounds_of(Fidelity(tokens=20 * 256), 3)
    assert rounds_of(Fidelity(tokens=24 * 256), 3) == (1, 1)
