"""Language models without single modules' changes: one model in memory, which is as it was afterwards."""

import numpy as np
import pytest
import torch

from engine.merging.measuring.ablation import modules_of
from tests.support.learning import llama_task

pytestmark = pytest.mark.slow


def test_modules_are_taken_out_and_put_back(learning_desk):
    pytest.importorskip("transformers", reason="transformers is not installed: requirements-transformers.txt")
    from engine.merging.measuring.language_models import ModelMerges

    merges, point = ModelMerges(llama_task(), learning_desk, "cpu"), np.array([0.4, 0.7])
    modules = modules_of(merges.tensors)
    assert {"model.embed_tokens", "model.layers.0.mlp", "model.layers.0.self_attn"} <= modules.keys()
    every = [name for names in modules.values() for name in names]
    whole, *single, none = merges.without(point, [*modules.values(), every])
    after = {name: merges.places[name].clone() for name in merges.tensors}
    merges.build(point)
    assert all(torch.equal(value, merges.places[name]) for name, value in after.items())
    base = next(iter(merges.without(np.zeros(2), [])))
    for domain in merges.domains:
        assert none[domain][0] == pytest.approx(base[domain][0], rel=1e-6)
        changes = [np.abs(own[domain][0] - whole[domain][0]).max() for own in single]
        assert len(changes) == len(modules) and max(changes) > 1e-3
