"""The stacked model: members are independent, hand-written passes equal plain ones, sizes are true."""

import dataclasses
import json

import pytest
import torch

from engine.core.errors import Problem
from engine.proxies import cpu_layers as lean
from engine.proxies import cpu_matmul as products
from engine.proxies.model import PLAIN, Stack, stack
from engine.spec.fidelity import PRESETS, Fidelity, larger

SMALL = Fidelity(context=16, batch=2, tokens=1024)
VARIANTS = {
    "swiglu tied": SMALL,
    "wide": dataclasses.replace(SMALL, width=128, heads=4),
    "gelu untied, two heads": dataclasses.replace(SMALL, heads=2, activation="gelu", tie_embeddings=False),
}
variants = pytest.mark.parametrize("fidelity", VARIANTS.values(), ids=VARIANTS.keys())


def shaken(fidelity: Fidelity, seeds: list[int], vocabulary: int = 50) -> Stack:
    """A stack moved off its initial zeros, so that every gradient is alive; equal for equal seeds."""
    model = Stack(fidelity, vocabulary, seeds)
    for g, seed in enumerate(seeds):
        model.flat[g] += 0.1 * torch.randn(model.parameters, generator=torch.Generator().manual_seed(seed + 99))
    return model


def tokens(members: int, vocabulary: int = 50) -> torch.Tensor:
    return torch.randint(vocabulary, (members, 2, 17), generator=torch.Generator().manual_seed(5))


def gradients(model: Stack, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    losses = model.losses(batch)
    model.backward(losses)
    return losses.detach(), model.flat.grad.clone()


@variants
def test_hand_written_passes_equal_plain_ones(fidelity, monkeypatch):
    batch = tokens(3)
    lean_losses, lean_gradient = gradients(shaken(fidelity, [1, 2, 3]), batch)
    for name in ("embed", "normed", "attend", "mlp", "nll"):
        monkeypatch.setattr(lean, name, getattr(PLAIN, name))
    plain_losses, plain_gradient = gradients(shaken(fidelity, [1, 2, 3]), batch)
    torch.testing.assert_close(lean_losses, plain_losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(lean_gradient, plain_gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "plain products"])
@variants
def test_evaluation_measures_what_training_does(fidelity, onednn, monkeypatch):
    """The forward pass of its own, by either library, against the passes that are trained through."""
    if onednn and not products.ONEDNN:
        pytest.skip("this torch was built without oneDNN")
    monkeypatch.setattr(products, "ONEDNN", onednn)
    monkeypatch.setattr(products, "pays_in_stacks", lambda: True)
    model, batch = shaken(fidelity, [1, 2, 3]), tokens(3)
    measured = model.token_nll(batch)
    assert measured.shape == (3, 2, 16)
    torch.testing.assert_close(measured.mean((1, 2)), model.losses(batch).detach(), rtol=1e-5, atol=1e-6)


@variants
def test_stacks_are_trained_alike_by_either_library(fidelity, monkeypatch):
    batch, found = tokens(3), []
    for pays in (True, False):
        monkeypatch.setattr(products, "pays_in_stacks", lambda pays=pays: pays)
        found.append(gradients(shaken(fidelity, [1, 2, 3]), batch))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-6)


def test_the_faster_library_is_timed_once_a_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ask, times = products.pays_in_stacks.__wrapped__, []
    monkeypatch.setattr(products, "timed", lambda: bool(times.append(1)) or True)
    assert ask() and ask() and len(times) == 1
    (tmp_path / "mixdesk" / "products.json").write_text('{"another machine": false')
    assert ask() and len(times) == 2, "a damaged file is written again"
    monkeypatch.setattr(products, "processor", lambda: "another machine")
    assert ask() and ask() and len(times) == 3
    assert len(json.loads((tmp_path / "mixdesk" / "products.json").read_text())) == 2, "of a home that machines share"
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert ask() and ask() and len(times) == 5, "where nothing can be kept"
    assert isinstance(products.processor(), str)


@variants
def test_member_is_what_it_is_alone(fidelity):
    batch = tokens(3)
    together, gradient = gradients(shaken(fidelity, [1, 2, 3]), batch)
    alone, gradient_alone = gradients(shaken(fidelity, [2]), batch[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient[1:2], gradient_alone, rtol=1e-4, atol=1e-6)


def test_initial_weights_hang_on_the_seed_alone():
    assert torch.equal(Stack(SMALL, 50, [4, 7, 9]).flat[1], Stack(SMALL, 50, [7]).flat[0])
    assert not torch.equal(Stack(SMALL, 50, [4]).flat, Stack(SMALL, 50, [7]).flat)


@variants
def test_counts_its_parameters(fidelity):
    model = Stack(fidelity, 50, [0])
    assert fidelity.parameters(50) == model.parameters == sum(w.numel() for w in model.member(0).values())


def test_is_causal():
    model, batch = shaken(SMALL, [1]), tokens(1)[..., :-1]
    changed = batch.clone()
    changed[..., 9] = (changed[..., 9] + 1) % 50
    before, after = model.forward(batch), model.forward(changed)
    torch.testing.assert_close(before[..., :9, :], after[..., :9, :])
    assert not torch.allclose(before[..., 9:, :], after[..., 9:, :])


def test_losses_are_those_of_the_logits():
    model, batch = shaken(SMALL, [1, 2]), tokens(2)
    logits = model.forward(batch[..., :-1])
    nll = -logits.log_softmax(-1).gather(-1, batch[..., 1:, None]).squeeze(-1)
    torch.testing.assert_close(model.token_nll(batch), nll.detach(), rtol=1e-5, atol=1e-5)


def test_members_can_be_taken_out_and_stacked_again():
    model, batch = shaken(SMALL, [1, 2, 3]), tokens(3)
    again = stack(SMALL, 50, [model.member(2), model.member(0)])
    assert again.member(0)["embedding.weight"].shape == (50, 32)
    torch.testing.assert_close(again.losses(batch[[2, 0]]), model.losses(batch)[[2, 0]])


def test_the_graph_for_a_gpu_compiles_whole():
    """torch.compile sees one graph without breaks; the backend `eager` traces and generates no code."""
    qkv, output = 0.1 * torch.randn(2, 96, 32), 0.1 * torch.randn(2, 32, 32)
    turns = Stack(SMALL, 50, [0]).rotary
    attend = torch.compile(PLAIN.attend, backend="eager", fullgraph=True)
    x = torch.randn(2, 32, 32)
    torch.testing.assert_close(
        attend(x, qkv, output, turns, 1), lean.attend(x, qkv, output, turns, 1), rtol=1e-4, atol=1e-4
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_gpu_gives_the_losses_of_the_cpu():
    batch = tokens(3)
    on_gpu = Stack(SMALL, 50, [1, 2, 3], "cuda")
    here = Stack(SMALL, 50, [1, 2, 3])
    torch.testing.assert_close(on_gpu.losses(batch.cuda()).cpu(), here.losses(batch), rtol=1e-3, atol=1e-3)


def test_fidelity_round_trip_and_problems():
    for fidelity in PRESETS.values():
        assert Fidelity.from_dict(fidelity.to_dict()) == fidelity
    with pytest.raises(Problem, match="'depth'"):
        Fidelity.from_dict({"depth": 3})
    for field, value in {
        "width": 0,
        "heads": 3,
        "activation": "relu",
        "clip": float("nan"),
        "tokens": True,
    }.items():
        with pytest.raises(Problem, match=field):
            Fidelity.from_dict({field: value})


def test_dial_rises_and_larger_is_as_large_as_asked():
    costs = [fidelity.flops(256) for fidelity in PRESETS.values()]
    assert costs == sorted(costs)
    for factor in (4, 8):
        ratio = [f.layers * f.layer_parameters for f in (larger(PRESETS["demo"], factor), PRESETS["demo"])]
        assert 0.9 * factor < ratio[0] / ratio[1] < 1.1 * factor


def test_schedules_by_hand():
    """Warmup to the peak, then: cosine ends at a tenth, wsd at 0, constant stays."""
    ends = {"cosine": 0.1, "wsd": 0.0, "constant": 1.0}
    for schedule, end in ends.items():
        fidelity = Fidelity(schedule=schedule, warmup=0.1, learning_rate=1.0, tokens=256 * 10_000)
        rates = [fidelity.rate(step) for step in range(fidelity.steps)]
        assert max(rates) == pytest.approx(1.0, abs=1e-3) and rates[499] == pytest.approx(0.5, abs=1e-3)
        assert rates[-1] == pytest.approx(end, abs=1e-3)


def test_flops_by_hand():
    fidelity = Fidelity(width=32, layers=1, heads=1, context=16, batch=1, tokens=16, activation="gelu")
    assert fidelity.flops(50) == 6 * 16 * (50 * 32 + 12 * 32**2 + 32 * 16)
