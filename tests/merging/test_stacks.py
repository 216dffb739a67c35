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


@pytest.mark.parametrize("lead", ["split", "fused"])
def test_experts_in_two_layouts_are_named(tmp_path, lead):
    """Of a mixture of experts: a tensor each in one file, fused in the other."""
    head = "model.layers.0.mlp"
    router = {f"{head}.gate.weight": torch.ones(2, 4)}
    parts = {"gate_proj": (6, 4), "up_proj": (6, 4), "down_proj": (4, 6)}
    split = {f"{head}.experts.{n}.{name}.weight": torch.ones(shape) for n in range(2) for name, shape in parts.items()}
    fused = {f"{head}.experts.gate_up_proj": torch.ones(2, 12, 4), f"{head}.experts.down_proj": torch.ones(2, 4, 6)}
    for name, tensors in (("split", split), ("fused", fused)):
        (tmp_path / name).mkdir()
        save_file(tensors | router, tmp_path / name / "model.safetensors")
    other = {"split": "fused", "fused": "split"}[lead]
    models = [{"model": other, "parameters": {"weight": 0.5}}]
    config = from_dict({"merge_method": "task_arithmetic", "base_model": lead, "models": models}, tmp_path)
    (said,) = preflight(config, tmp_path / "out").refusals
    assert "two layouts of one architecture" in said and "experts.down_proj'" in said and "experts.0." in said
    assert str(tmp_path / lead) in said and str(tmp_path / other) in said
