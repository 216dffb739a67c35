"""Experts of a mixture of experts, fused in one checkpoint and separate in another: merged as one, or named."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight

BLOCK = "model.layers.0.mlp"
PARTS = {"gate_proj": (6, 4), "up_proj": (6, 4), "down_proj": (4, 6)}


def halfway(folder, base, expert):
    models = [{"model": expert, "parameters": {"weight": 0.5}}]
    return from_dict({"merge_method": "task_arithmetic", "base_model": base, "models": models}, folder)


@pytest.mark.parametrize("lead", ["split", "fused"])
@pytest.mark.parametrize("kind", ["Mixtral", "Qwen3Moe"])
@pytest.mark.slow
def test_two_layouts_of_transformers_merge(tmp_path, kind, lead):
    """Mixtral's also names the block and the matrices otherwise. The output loads, and lies between the two."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 24}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8}
    config = getattr(transformers, f"{kind}Config")(num_local_experts=3, num_experts=3, **sizes)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    model.save_pretrained(tmp_path / "split")
    for value in model.parameters():
        value.data += 0.01 * torch.randn_like(value)
    model.save_pretrained(tmp_path / "fused", save_original_format=False)
    assert any("gate_up_proj" in name for name in load_file(tmp_path / "fused" / "model.safetensors"))
    config = halfway(tmp_path, lead, {"split": "fused", "fused": "split"}[lead])
    found = preflight(config, tmp_path / "out")
    assert found.refusals == [] and any("are fused" in said for said in found.warnings)
    merge(config, tmp_path / "out")
    states = [type(model).from_pretrained(tmp_path / one).state_dict() for one in ("out", "split", "fused")]
    for name, value in states[0].items():
        torch.testing.assert_close(value, (states[1][name] + states[2][name]) / 2)


def written(folder, experts=2, turned=False, **config):
    """One layer in both layouts."""
    split = {f"{BLOCK}.experts.{n}.{name}.weight": torch.ones(shape) for n in range(2) for name, shape in PARTS.items()}
    fused = {f"{BLOCK}.experts.gate_up_proj": torch.ones((experts, 4, 12) if turned else (experts, 12, 4))}
    fused |= {f"{BLOCK}.experts.down_proj": torch.ones(experts, 4, 6)}
    for name, tensors in (("split", split), ("fused", fused)):
        (folder / name).mkdir()
        save_file(tensors | {f"{BLOCK}.gate.weight": torch.ones(2, 4)}, folder / name / "model.safetensors")
        (folder / name / "config.json").write_text(json.dumps({"model_type": "qwen2_moe"} | config))


@pytest.mark.parametrize("lead", ["split", "fused"])
@pytest.mark.parametrize("other", [{"experts": 3}, {"turned": True}, {"model_type": "llama4_text"}])
def test_other_layouts_are_named(tmp_path, other, lead):
    written(tmp_path, **other)
    (said,) = preflight(halfway(tmp_path, lead, {"split": "fused", "fused": "split"}[lead]), tmp_path / "out").refusals
    assert "two layouts of one architecture" in said and "experts.down_proj'" in said and "experts.0." in said
    assert str(tmp_path / "split") in said and str(tmp_path / "fused") in said
