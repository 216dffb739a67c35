"""muP: standard training at its base width, and steps that change logits alike at every width."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.proxies.adam import AdamW
from engine.proxies.model import Stack, shrinking
from engine.spec.fidelity import BASE, Fidelity, larger, sized

TINY = Fidelity(width=BASE, layers=1, context=16, batch=4, tokens=4096)
TOKENS = torch.from_numpy(np.random.default_rng(0).integers(0, 64, (1, 4, 17)))


def moved(fidelity: Fidelity, steps: int = 4, rate: float = 1e-2) -> tuple[Stack, float]:
    """A stack after a few steps, and how far its logits moved in the last of them (root mean square)."""
    stack = Stack(fidelity, 64, [1])
    optimiser = AdamW([stack.flat], rate, fused=True, shrinks=shrinking(fidelity, stack.shapes))
    for _ in range(steps):
        with torch.no_grad():
            before = stack.forward(TOKENS[..., :-1])
        stack.backward(stack.losses(TOKENS))
        optimiser.step()
    with torch.no_grad():
        return stack, float((stack.forward(TOKENS[..., :-1]) - before).square().mean().sqrt())


def test_at_the_base_width_nothing_changes():
    plain, mup = moved(TINY)[0], moved(replace(TINY, mup=True))[0]
    assert torch.equal(plain.flat, mup.flat) and replace(TINY, mup=True).shrinks == 1


def test_logits_move_alike_at_every_width():
    """The coordinate check of Yang et al. 2022: without muP the same rate moves wide models' logits much more."""
    wide = replace(TINY, width=8 * BASE)
    plain = moved(wide)[1] / moved(TINY)[1]
    mup = moved(replace(wide, mup=True))[1] / moved(TINY)[1]
    assert plain > 2.5 and mup < 0.7 * plain and 0.3 < mup < 3


def test_evaluation_and_training_agree():
    stack = moved(replace(TINY, width=2 * BASE, mup=True))[0]
    mean = stack.token_nll(TOKENS).mean((1, 2))
    assert torch.allclose(mean, stack.losses(TOKENS).detach(), atol=1e-5)
    assert stack.fidelity.shrinks == 0.5


def test_a_fidelity_without_it_is_written_as_before():
    assert "mup" not in TINY.to_dict() and Fidelity.from_dict(TINY.to_dict()) == TINY
    one = replace(TINY, mup=True)
    assert Fidelity.from_dict(one.to_dict()) == one
    assert larger(one, 4).learning_rate == one.learning_rate
    assert larger(sized(32), 4).learning_rate == pytest.approx(3e-3)
