"""Cross-entropy a chunk of logits at a time: the same loss and gradients as at once, with far fewer logits."""

from dataclasses import replace

import pytest
import torch

from engine.proxies import chunked
from engine.proxies.evaluate import A_PASS, rows_at_once
from engine.proxies.model import PLAIN, Stack
from engine.spec.fidelity import Fidelity

SMALL = Fidelity(width=16, layers=1, context=12, batch=3, tokens=1024)
VOCABULARY = 301


@pytest.fixture
def tokens():
    found = torch.randint(0, VOCABULARY, (3, 2, 13), generator=torch.Generator().manual_seed(0))
    found[1, :, 5:] += VOCABULARY  # never predicted
    return found


def small_chunks(monkeypatch, rows: int) -> None:
    """Chunks of so many rows of logits of one member, of those at all sizes."""
    monkeypatch.setattr(chunked, "CHUNK_CPU", 4 * VOCABULARY * rows)
    monkeypatch.setattr(chunked, "WHOLE", 0)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("rows", [1, 5, 1000])
def test_chunks_give_the_loss_and_gradients_of_all_logits_at_once(monkeypatch, tokens, rows, tied):
    fidelity = replace(SMALL, tie_embeddings=tied)
    whole, parts = (Stack(fidelity, VOCABULARY, [1, 2, 3]) for _ in range(2))
    expected = whole.losses(tokens)
    whole.backward(expected)
    small_chunks(monkeypatch, rows)
    found = parts.losses(tokens)
    parts.backward(found)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(parts.flat.grad, whole.flat.grad, rtol=1e-4, atol=1e-6)


def test_a_loss_is_scaled_in_the_backward_pass(monkeypatch, tokens):
    small_chunks(monkeypatch, 4)
    stack = Stack(SMALL, VOCABULARY, [1, 2, 3])
    stack.backward(stack.losses(tokens))
    once = stack.flat.grad.clone()
    stack.backward(stack.losses(tokens) * torch.tensor([1.0, 2.0, 0.0]))
    torch.testing.assert_close(stack.flat.grad, once * torch.tensor([[1.0], [2.0], [0.0]]), rtol=1e-5, atol=1e-7)


def test_no_more_logits_exist_than_a_chunk_has(monkeypatch, tokens):
    small_chunks(monkeypatch, 4)
    seen = []
    monkeypatch.setattr(
        chunked,
        "scored",
        lambda x, head, targets, real=chunked.scored: seen.append(len(x) * x.shape[1]) or real(x, head, targets),
    )
    stack = Stack(SMALL, VOCABULARY, [1, 2, 3])
    stack.losses(tokens)
    assert max(seen) == 4 and sum(seen) == 3 * 24, "every target once"


def test_token_losses_are_those_of_plain_operations(monkeypatch, tokens):
    stack = Stack(SMALL, VOCABULARY, [1, 2, 3])
    inputs, targets = tokens[..., :-1], tokens[..., 1:].flatten(1) % VOCABULARY
    small_chunks(monkeypatch, 5)
    with torch.no_grad():
        hidden = stack.hidden(inputs)
        found = chunked.token_losses(hidden, stack.head, targets)
        torch.testing.assert_close(found, PLAIN.nll(hidden, stack.head, targets))


def test_rows_of_tables_are_looked_up_as_gather_does(tokens):
    table = torch.randn(3, VOCABULARY, 16)
    ids = tokens.flatten(1) % VOCABULARY
    expected = table.gather(1, ids.unsqueeze(-1).expand(-1, -1, 16))
    torch.testing.assert_close(PLAIN.embed(table, ids), expected, rtol=0, atol=0)


def test_what_a_card_evaluates_at_once_fits(monkeypatch):
    """RegMix's shape: 8 members of width 256, 2,048 positions, 50,304 tokens, on a device that allocates nothing."""
    regmix = Fidelity(width=256, heads=8, layers=2, context=2048, batch=1, tokens=1 << 20)
    with torch.device("meta"):
        monkeypatch.setattr(
            "engine.proxies.model.initial",
            lambda table, seed: torch.empty(sum(a * b for a, b in table.values()), device="meta"),
        )
        stack = Stack(regmix, 50_304, [1] * 8, "meta")
    rows = rows_at_once(stack, 2048)
    assert rows == 1 and A_PASS > 4 * 8 * 2048 * 50_304
    assert 4 * 8 * 64 * 50_304 * rows_at_once(stack, 64) < A_PASS
    pieces = list(chunked.chunks(8, 2048, 50_304, "cuda"))
    assert all(4 * 8 * 50_304 * (places.stop - places.start) <= chunked.CHUNK_CARD for _, places in pieces)
    loss = stack.losses(torch.zeros(8, 1, 2049, dtype=torch.int64, device="meta"))
    assert loss.shape == (8,)
