"""Merges learned from text: known answers on a table of bigrams, and fusion-bench's formulas."""

import contextlib
import io

import numpy as np
import pytest
import torch

from engine.core.errors import Stopped
from engine.merging.learning import (
    adamerging,
    atlas,
    concrete,
    fisher,
    lm_cocktail,
    logit_fusion,
    regmean,
    scalearn,
    twin,
)
from engine.merging.learning.base import Run
from engine.proxies import cpu_matmul as products
from engine.proxies.model import Stack
from engine.spec.fidelity import Fidelity
from tests.support.learning import Bigrams

# Known answers -----------------------------------------------------------------------------------------------


def test_fisher_values_are_those_of_a_table_of_bigrams():
    """F of logit (t, c) is, a window, the number of times t stands there x p_c (1 - p_c)."""
    family = Bigrams()
    weights = {"table": family.expert(0)["table"].requires_grad_()}
    tokens, total = family.batch("d0", 1, 0), {"table": torch.zeros(5, 5)}
    draws = 6000
    for n in range(draws):
        fisher.squared_scores(family, weights, tokens, Run().generator(n), total)
    p = weights["table"].detach().softmax(1)
    counts = torch.bincount(tokens[0, :-1], minlength=5)[:, None]
    torch.testing.assert_close(total["table"] / draws, counts * p * (1 - p), rtol=0.12, atol=0.03)


def test_equal_fishers_give_the_average_and_larger_ones_win():
    experts = [{"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, 6.0])}]
    same = [{"a": torch.tensor([2.0, 5.0])}] * 2
    torch.testing.assert_close(fisher.averaged(experts, same, torch.ones(2))["a"], torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(fisher.averaged(experts, same, torch.tensor([3.0, 1.0]))["a"], torch.tensor([1.5, 3.0]))
    none = [{"a": torch.zeros(2)}] * 2
    torch.testing.assert_close(fisher.averaged(experts, none, torch.ones(2))["a"], torch.tensor([2.0, 4.0]))
    unlike = [{"a": torch.tensor([10.0, 0.0])}, {"a": torch.tensor([0.0, 10.0])}]
    torch.testing.assert_close(fisher.averaged(experts, unlike, torch.ones(2))["a"], torch.tensor([1.0, 6.0]))


def test_regmean_of_regressions_is_the_regression_of_all_rows():
    """Two least squares fits, merged by their inputs alone, are the fit of the union of their rows."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (30, 30)]
    outputs = [torch.randn(30, 3, generator=generator, dtype=torch.float64) for _ in inputs]
    fits = torch.stack([torch.linalg.lstsq(x, y).solution.T for x, y in zip(inputs, outputs, strict=True)])
    grams = torch.stack([x.T @ x / len(x) for x in inputs])
    union = torch.linalg.lstsq(torch.cat(inputs), torch.cat(outputs)).solution.T
    torch.testing.assert_close(regmean.solved(fits, grams, 1.0, (1.0, 1.0)), union)
    dead = torch.diag_embed(torch.tensor([[1.0, 0, 0, 0]] * 2, dtype=torch.float64))
    found = regmean.solved(fits, dead, 1.0, (1.0, 1.0))  # what no input tells is the mean
    torch.testing.assert_close(found, fits.mean(0))


def test_inputs_are_seen_whichever_library_multiplies(monkeypatch):
    """A proxy of width 128 is multiplied by oneDNN where torch has it, a narrower one by torch's default library."""
    model = Stack(Fidelity(width=128, heads=4, context=16, tie_embeddings=False), 160, [0])
    model.flat += 0.1 * torch.randn(model.flat.shape, generator=torch.Generator().manual_seed(0))
    weights = {name: value[0].detach() for name, value in model.weights.items()}
    tokens = torch.arange(32).view(1, 2, 16)
    model.weights = {name: value[None] for name, value in weights.items()}
    seen = []
    for onednn in {products.ONEDNN, False}:
        monkeypatch.setattr(products, "ONEDNN", onednn)
        monkeypatch.setattr(products, "pays_in_stacks", lambda: True)
        watch = regmean.Watch(weights)
        with torch.no_grad(), watch:
            model.forward(tokens)
        seen.append(watch.means())
    assert set(seen[0]) == set(weights) - {"embedding"}
    torch.testing.assert_close(seen[0], seen[-1], rtol=1e-4, atol=1e-4)


def test_lm_cocktail_is_a_softmax_of_losses():
    found = lm_cocktail.weights_of(torch.tensor([2.0, 3.0]), 5.0)
    assert found.tolist() == pytest.approx([1 / (1 + np.exp(-0.2)), 1 / (1 + np.exp(0.2))], abs=1e-6)
    assert lm_cocktail.weights_of(torch.tensor([2.0, 3.0]), 0.01).tolist() == pytest.approx([1, 0], abs=1e-6)


def test_concrete_masks_have_mean_one_and_are_fair_at_the_start():
    mask = concrete.relaxed(torch.zeros(20_000), torch.Generator().manual_seed(0))
    assert float(mask.mean()) == pytest.approx(0.5, abs=0.02) and float(mask.min()) >= 0 and float(mask.max()) <= 1
    assert float(concrete.normalised(mask).mean()) == pytest.approx(1, abs=1e-5)
    sure = concrete.relaxed(torch.tensor([30.0, -30.0]), torch.Generator().manual_seed(0))
    assert sure.tolist() == pytest.approx([1, 0], abs=1e-4)
    family = Bigrams()
    start = concrete.learn(family, Run(), steps=1, rate=1e-9, batch=2, lam=0.3)  # even masks: task arithmetic
    torch.testing.assert_close(start.weights, family.combined({"": torch.full((2,), 0.3)}))


def test_twin_gives_an_expert_back_where_its_router_is_certain():
    family = Bigrams()
    whole = twin.Twin(family, rank=1.0, lam=0.3)
    for k in range(2):
        found = whole.weights(torch.eye(2)[k])
        torch.testing.assert_close(found["table"], family.expert(k)["table"])
    low = twin.Twin(family, rank=0.2, lam=0.3)
    assert [part.shape for part in low.factors[0]["table"]] == [(5, 1), (1, 5)]
    assert twin.factors(torch.ones(4), 0.1)[0].shape == (4,)


def test_logit_fusion_is_the_large_model_at_zero_and_the_expert_where_both_are_one():
    generator = torch.Generator().manual_seed(0)
    large, small = torch.randn(3, 7, generator=generator), torch.randn(3, 7, generator=generator)
    experts = torch.randn(2, 3, 7, generator=generator)
    assert torch.equal(logit_fusion.fused(large, small, experts, torch.zeros(2)), large)
    for matched in (True, False):
        found = logit_fusion.fused(small, small, experts, torch.tensor([0.0, 1.0]), matched)
        torch.testing.assert_close(found.softmax(-1), experts[1].softmax(-1), rtol=1e-4, atol=1e-4)


def test_alpha_matches_the_divergence_wherever_it_can():
    generator = torch.Generator().manual_seed(0)
    large, shift = torch.randn(50, 7, generator=generator), torch.randn(50, 7, generator=generator)
    wanted = torch.rand(50, generator=generator) * 3
    alpha = logit_fusion.matching(large, shift, wanted)
    found = logit_fusion.divergence(large + alpha * shift, large)
    inside = (alpha[:, 0] < 2 - 1e-4) & (wanted > 1e-3)
    assert 5 < int(inside.sum()) < 50 and ((alpha >= 0) & (alpha <= 2)).all()
    torch.testing.assert_close(found[inside], wanted[inside], rtol=1e-3, atol=1e-3)
    assert (found[~inside] < wanted[~inside] + 1e-3).all()


def test_trimmed_task_vectors_keep_what_agrees():
    deltas = {"a": torch.tensor([[3.0, -1.0, 0.2], [2.0, 4.0, -0.1]]), "b": torch.tensor([[0.1], [-5.0]])}
    found = adamerging.agreeing(deltas, 0.5)
    assert found["a"].tolist() == [[3, 0, 0], [0, 4, 0]] and found["b"].tolist() == [[0], [-5]]


def test_parts_of_a_tensor_have_coefficients_of_their_own():
    family = Bigrams()
    places = atlas.partition("table", family.base["table"], 3, 0)
    assert torch.equal(places, atlas.partition("table", family.base["table"], 3, 0)) and places.max() == 2
    same = atlas.scaled(family, "table", torch.full((2, 3), 0.4), places)
    torch.testing.assert_close(same, family.combined({"": torch.full((2,), 0.4)})["table"])
    rows = scalearn.by_rows(family, {"table": torch.full((2, 5), 0.4)})
    torch.testing.assert_close(rows, family.combined({"": torch.full((2,), 0.4)}))


@pytest.mark.parametrize("end", [Stopped, KeyboardInterrupt])
def test_a_descent_goes_on_where_it_was_stopped_or_killed(tmp_path, monkeypatch, end):
    from engine.merging.learning import descent

    family, asked = Bigrams(), {"by": "tensor", "steps": 10, "rate": 0.05, "batch": 4, "start": 0.3}
    whole = adamerging.learn(family, Run(), **asked)
    monkeypatch.setattr(descent, "CHECKPOINT_SECONDS", 0.0 if end is KeyboardInterrupt else 1e9)

    def stops(done, total, note=""):
        if done == 6:
            raise end

    with pytest.raises(end):
        adamerging.learn(family, Run(stops, tmp_path), **asked)
    seen = []
    again = adamerging.learn(family, Run(lambda done, total, note="": seen.append(done), tmp_path), **asked)
    assert seen[0] == 6 and torch.equal(again.coefficients["table"], whole.coefficients["table"])


# Against fusion-bench ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fusion_bench_comes_to_the_same_by_fisher_and_by_regmean():
    pytest.importorskip("fusion_bench", reason="fusion-bench is not installed: it comes with requirements-dev.txt")
    from fusion_bench.method.fisher_merging.fisher_merging import merging_with_fisher_weights
    from fusion_bench.method.regmean.regmean import merging_with_regmean_weights

    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    experts = [{"m.weight": drawn(6, 9), "m.bias": drawn(6)} for _ in range(3)]
    stacked = {name: [one[name] for one in experts] for name in experts[0]}
    fishers = [{name: drawn(*value.shape).square() for name, value in one.items()} for one in experts]
    known = merging_with_fisher_weights(stacked, fishers, torch.ones(3) / 3)
    found = fisher.averaged(experts, fishers, torch.ones(3) / 3)
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-5)
    inputs = [drawn(40, 9) for _ in experts]
    grams = [x.T @ x / len(x) for x in inputs]
    with contextlib.redirect_stdout(io.StringIO()):
        known = merging_with_regmean_weights(stacked, [{"m": gram.clone()} for gram in grams], 0.7, True)
    found = regmean.merged(experts, [{"m.weight": gram.double()} for gram in grams], 0.7, (1.0, 1.0, 1.0))
    torch.testing.assert_close(found, known, rtol=1e-5, atol=1e-5)


def test_fusion_bench_goes_down_on_the_same_entropy():
    pytest.importorskip("fusion_bench", reason="fusion-bench is not installed: it comes with requirements-dev.txt")
    from fusion_bench.method.adamerging.entropy_loss import entropy_loss

    family = Bigrams()
    tokens = family.batch("d0", 6, 0)
    known = entropy_loss(family.logits(family.base, tokens[:, :-1]).flatten(0, 1))
    torch.testing.assert_close(family.entropy(family.base, tokens), known, rtol=1e-5, atol=1e-5)


def test_masks_are_drawn_as_torch_draws_relaxed_bernoullis():
    logits = torch.linspace(-2, 2, 4000)
    theirs = torch.distributions.RelaxedBernoulli(torch.tensor(0.5), logits=logits)
    torch.manual_seed(0)
    known = torch.stack([theirs.rsample() for _ in range(60)])
    ours = torch.stack([concrete.relaxed(logits, torch.Generator().manual_seed(n)) for n in range(60)])
    assert float((ours.mean(0) - known.mean(0)).mean()) == pytest.approx(0, abs=0.01)
    assert float(ours.std() - known.std()) == pytest.approx(0, abs=0.01)
