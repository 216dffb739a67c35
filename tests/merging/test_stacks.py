"""Models of several stacks of layers: depth is counted in each, and slices of them are refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.core.errors import Problem
from engine.merging.checkpoints.reader import Checkpoint
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight

KINDS = {  # stacks, and how a tensor in one of their layers goes on
    "vision-language": ({"model.layers": 3, "visual.blocks": 6}, "mlp.fc1.weight"),
    "since 4.52": ({"model.language_model.layers": 3, "model.visual.blocks": 2}, "norm.weight"),
    "T5": ({"encoder.block": 4, "decoder.block": 2}, "layer.0.SelfAttention.q.weight"),
    "Whisper": ({"model.encoder.layers": 2, "model.decoder.layers": 5}, "self_attn.q_proj.weight"),
    "CLIP": ({"visual.transformer.resblocks": 3, "transformer.resblocks": 2}, "ln_1.weight"),
    "one": ({"transformer.h": 4}, "attn.c_attn.weight"),
}


def written(folder, kind, value):
    stacks, rest = KINDS[kind]
    names = [f"{stack}.{n}.{rest}" for stack, count in stacks.items() for n in range(count)]
    folder.mkdir()
    save_file({name: torch.full((2, 2), value) for name in [*names, "head.weight"]}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"text_config": {"num_hidden_layers": 3}, "num_layers": 4}))


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    written(tmp_path / "a", request.param, 1.0)
    written(tmp_path / "b", request.param, 0.0)
    return request.param


def test_gradients_run_over_each_stack(tmp_path, kind):
    """b is 0 and a 1, so a merged value is a's weight: 0 in the first layer of every stack, 1 in the last."""
    weights = {"a": [0.0, 1.0], "b": [1.0, 0.0]}
    models = [{"model": name, "parameters": {"weight": weight}} for name, weight in weights.items()]
    merge(from_dict({"merge_method": "linear", "models": models}, tmp_path), tmp_path / "out")
    merged, (stacks, rest) = load_file(tmp_path / "out" / "model.safetensors"), KINDS[kind]
    assert Checkpoint(tmp_path / "a").stacks == stacks
    for stack, count in stacks.items():
        found = [float(merged[f"{stack}.{n}.{rest}"][0, 0]) for n in range(count)]
        assert found == pytest.approx([n / (count - 1) for n in range(count)])
    assert float(merged["head.weight"].sum()) == 0


def test_slices_are_refused(tmp_path, kind):
    if kind == "one":
        pytest.skip("it has one stack")
    sources = [{"model": name, "layer_range": [0, 2], "parameters": {"weight": 1.0}} for name in "ab"]
    config = from_dict({"merge_method": "linear", "slices": [{"sources": sources}]}, tmp_path)
    said = preflight(config, tmp_path / "out").refusals[0]
    assert "several stacks" in said and all(f"{stack} {count}" in said for stack, count in KINDS[kind][0].items())
    with pytest.raises(Problem, match="several stacks"):
        merge(config, tmp_path / "out")
