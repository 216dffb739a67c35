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
from engine.spec.merge import layers_of
from engine.spec.stacks import stacks_of, tensor_names

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


def test_coefficients_by_layer_are_refused_for_several_stacks(tmp_path, kind):
    """One coordinate "layer 0" would stand for the first layers of all of them."""
    stacks, _ = KINDS[kind]
    if len(stacks) == 1:
        assert layers_of(tmp_path / "a") == 4
        return
    with pytest.raises(Problem, match="several stacks") as told:
        layers_of(tmp_path / "a")
    assert all(f"{stack} {count}" in str(told.value) for stack, count in stacks.items())


def test_an_index_tells_the_stacks_too(tmp_path):
    found = {"encoder.block.0.x": "m-1.safetensors", "decoder.block.1.x": "m-2.safetensors", "shared.weight": "m-1"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": found}))
    assert stacks_of(tensor_names(tmp_path)) == {"encoder.block": 1, "decoder.block": 2}


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 8, b"\xff" * 20, b"\x02" + bytes(7) + b"[]", b"\x02" + bytes(7) + b"{"]
)
def test_damaged_files_tell_no_stacks(tmp_path, data):
    (tmp_path / "model.safetensors").write_bytes(data)
    assert tensor_names(tmp_path) == []
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 3}))
    assert layers_of(tmp_path) == 3
