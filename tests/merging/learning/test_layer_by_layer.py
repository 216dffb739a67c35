"""Learners that look at layers' inputs one after another or on the base: RegMean++ and AIM."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from engine.core.errors import Problem
from engine.merging.learning import aim, regmean, regmean_plus
from engine.merging.learning.base import Run
from engine.spec.merge import MergeSpec
from tests.support.learning import Bigrams

WIDTHS = (5, 6, 7, 5)


class Layered(Bigrams):
    """Three linear layers with tanh between them, on one number a token and a domain's own shift of it."""

    def __init__(self, count: int = 3):
        super().__init__(count=count, domains=count)
        generator = torch.Generator().manual_seed(3)
        shapes = {f"layers.{n}.weight": (out, into) for n, (into, out) in enumerate(itertools.pairwise(WIDTHS))}
        self.base = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        self.deltas = {name: 0.3 * torch.randn(count, *shape, generator=generator) for name, shape in shapes.items()}

    def inputs(self, tokens):
        """(B, T, 5): features of a token; far from one-hot, so that Gram matrices are full."""
        table = torch.randn(self.size, WIDTHS[0], generator=torch.Generator().manual_seed(4))
        return table[tokens % self.size]

    def logits(self, weights, tokens):
        hidden = self.inputs(tokens)
        for name in weights:
            hidden = nn.functional.linear(hidden if name == "layers.0.weight" else hidden.tanh(), weights[name])
        return hidden


def test_a_layer_is_fitted_to_what_the_merged_ones_before_it_give():
    """Written out: each layer's inputs by the merged layers so far, RegMean's formula, the next layer."""
    family = Layered()
    run = Run(weight=(1.0, 0.5, 2.0))
    found = regmean_plus.learn(family, run, windows=3, alpha=0.8)
    streams = [
        torch.cat([family.inputs(family.batch(family.experts[k], 1, n)[:, :-1]).reshape(-1, 5) for n in range(3)])
        for k in range(3)
    ]
    for name in family.base:
        own = torch.stack([family.expert(k)[name] for k in range(3)]).double()
        grams = torch.stack([x.double().T @ x.double() / len(x) for x in streams])
        known = regmean.solved(own, grams, 0.8, run.weight).float()
        torch.testing.assert_close(found.weights[name], known, rtol=1e-4, atol=1e-5)
        streams = [(x @ known.T).tanh() for x in streams]
    plain = regmean.learn(family, run, windows=3, alpha=0.8).weights
    torch.testing.assert_close(found.weights["layers.0.weight"], plain["layers.0.weight"], rtol=1e-5, atol=1e-6)
    assert float((found.weights["layers.2.weight"] - plain["layers.2.weight"]).abs().max()) > 1e-3
    assert "3 of 3 tensors" in found.note and "3 steps" in found.note


class Chain(nn.Module):
    """The same layers as modules, as fusion-bench takes models."""

    def __init__(self, weights):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleDict({"map": nn.Linear(into, out, bias=False)}) for into, out in itertools.pairwise(WIDTHS)
        )
        for layer, value in zip(self.layers, weights.values(), strict=True):
            layer["map"].weight.data = value.clone()


def theirs(family: Layered, ratio: float):
    """fusion-bench's merge of the family, with what its package leaves to a kind of model: its layers, and what goes
    into them."""
    from fusion_bench import BaseModelPool
    from fusion_bench.method.regmean_plusplus.regmean_plusplus import RegMeanAlgorithmPlusPlus

    class Pool(BaseModelPool):
        def load_train_dataset(self, name):
            return [family.inputs(family.batch(name, 1, n)[:, :-1]) for n in range(3)]

    class Algorithm(RegMeanAlgorithmPlusPlus):
        def merge_embedding_layer(self, models_to_merge_dict):
            return {}

        def get_input_for_first_layer(self, model, train_dataset):
            return train_dataset

        def get_layers(self, model):
            return model.layers

        def update_merged_params_dict(self, merged_params_dict, new_merged_params, layer_idx):
            return merged_params_dict | {f"layers.{layer_idx}.{name}": one for name, one in new_merged_params.items()}

        def layer_batches_forward(self, layer, batches_input):
            return [layer["map"](one).tanh() for one in batches_input]

        def get_regmean_weights(self, model_name, layer, batches_input, linear_modules_to_merge):
            rows = torch.cat([one.reshape(-1, one.shape[-1]) for one in batches_input])
            return {name: rows.T @ rows / len(rows) for name in linear_modules_to_merge}

    models = {"_pretrained_": Chain(family.base)}
    models |= {name: Chain(family.expert(k)) for k, name in enumerate(family.experts)}
    given = {"num_regmean_examples": 3, "exclude_param_names_regex": [], "weight_transpose": True}
    return Algorithm(reduce_non_diagonal_ratio=ratio, **given).run(Pool(models))


@pytest.mark.slow
def test_fusion_bench_comes_to_the_same_by_regmean_plus_plus():
    pytest.importorskip("fusion_bench", reason="fusion-bench is not installed: it comes with requirements-dev.txt")
    family = Layered()
    found = regmean_plus.learn(family, Run(weight=(1.0,) * 3), windows=3, alpha=0.7)
    for layer, name in zip(theirs(family, 0.7).layers, family.base, strict=True):
        torch.testing.assert_close(found.weights[name], layer["map"].weight.data, rtol=1e-3, atol=1e-4)


def test_names_of_layers_of_one_or_several_stacks():
    assert regmean_plus.layer_of("model.layers.11.mlp.up.weight") == "model.layers.11"
    assert regmean_plus.layer_of("encoder.block.0.layer.1.wi") == "encoder.block.0"
    assert regmean_plus.layer_of("lm_head.weight") == "lm_head.weight"


def test_a_change_is_taken_back_where_the_base_has_large_inputs():
    """The formula of the paper, by hand, on the study's own method; omega 1 leaves its merge as it is."""
    family = Layered()
    family.merge = MergeSpec(method="ties", knobs={"density": 0.5})
    run, plain = Run(weight=(0.4, 0.5, -0.2)), aim.learn(family, Run(weight=(0.4, 0.5, -0.2)), windows=2, omega=1.0)
    found = aim.learn(family, run, windows=2, omega=0.25)
    rows = [family.inputs(family.mixed_batch(1, n)[:, :-1]).reshape(-1, 5) for n in range(2)]
    hidden, base = torch.cat(rows), family.base
    for name in base:
        sizes = hidden.abs().mean(0)
        kept = 1 - 0.75 * sizes / sizes.max()
        known = base[name] + kept * (plain.weights[name] - base[name])
        torch.testing.assert_close(found.weights[name], known, rtol=1e-4, atol=1e-5)
        assert float((plain.weights[name] - base[name]).abs().max()) > 0
        hidden = (hidden @ base[name].T).tanh()
    assert "keep 100%" in plain.note and "keep 100%" not in found.note
    turned = aim.relaxed(torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([1.0, 0.5]), 0.0, inputs_first=True)
    assert np.allclose(turned, [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_a_study_that_searches_a_parameter_has_no_one_merge_to_finish():
    family = Layered()
    family.merge = MergeSpec(method="ties", tuned={"density": (0.1, 1.0)})
    with pytest.raises(Problem, match="density of ties has no one value"):
        aim.learn(family, Run(weight=(1.0,) * 3), windows=1, omega=0.4)
