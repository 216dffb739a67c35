"""Quantised models are refused as such, whatever made them, by config.json or by their tensors."""

import json

import pytest
import torch
from safetensors.torch import save_file

from engine.merging.preflight import preflight
from tests.support.checkpoints import CONFIG, FILE, family, llama, merging

LAYER = "model.layers.0.mlp.up_proj"
KINDS = {
    "bitsandbytes": [f"{LAYER}.weight.absmax", f"{LAYER}.weight.quant_state.bitsandbytes__nf4"],
    "gptq": [f"{LAYER}.qweight", f"{LAYER}.scales"],
    "awq": [f"{LAYER}.qzeros"],
    "fp8": [f"{LAYER}.weight_scale_inv"],
    "compressed-tensors": [f"{LAYER}.weight_packed"],
    "hqq": [f"{LAYER}.W_q"],
    "aqlm": [f"{LAYER}.codes"],
    "fp4": [f"{LAYER}.weight_scale_2", f"{LAYER}.weight_global_scale"],
    "mlx": [f"{LAYER}.biases"],
    "exl2": [f"{LAYER}.q_weight"],
    "exl3": [f"{LAYER}.trellis"],
    "quip": [f"{LAYER}.Qidxs"],
    "vptq": [f"{LAYER}.centroids.weight"],
    "mxfp4": ["model.layers.0.mlp.experts.gate_up_proj_blocks"],
}


@pytest.fixture
def zoo(tmp_path):
    return family(tmp_path)


def refused(zoo, **config) -> str:
    (zoo / "one" / "config.json").write_text(json.dumps(CONFIG | config))
    (said,) = preflight(merging(zoo), zoo / "out").refusals
    assert str(zoo / "one") in said and "bfloat16" in said
    return said


@pytest.mark.parametrize("kind", KINDS)
def test_by_its_config(zoo, kind):
    assert f"quantised ({kind})" in refused(zoo, quantization_config={"quant_method": kind})


@pytest.mark.parametrize(
    "config",
    [
        {"quantization_config": {"load_in_4bit": True}},
        {"compression_config": "int8"},
        {"quantization": {"group_size": 64, "bits": 4}},  # as MLX says it
    ],
)
def test_of_a_kind_that_is_not_named(zoo, config):
    assert "of an unnamed kind" in refused(zoo, **config)
    assert "of an unnamed kind" in refused(zoo, text_config=config)


@pytest.mark.parametrize("tensor", [name for names in KINDS.values() for name in names if not name.endswith(".scales")])
def test_by_its_tensors(zoo, tensor):
    save_file(llama(1) | {tensor: torch.ones(2, 2)}, zoo / "one" / FILE)
    assert f"it has {tensor!r}" in refused(zoo)


def test_a_bare_file_is_refused_too(zoo):
    save_file({f"{LAYER}.qweight": torch.ones(2, 2)}, zoo / "one.safetensors")
    (said,) = preflight(merging(zoo, ["one.safetensors"]), zoo / "out").refusals
    assert "GPTQ or AWQ" in said


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32])
def test_matrices_of_whole_numbers_are_codes(zoo, dtype):
    """Whatever made them: they would be copied where they are the same, and blamed on each other where not."""
    for n, name in enumerate(("base", "one")):
        save_file(llama(n) | {f"{LAYER}.weight": torch.ones(48, 32).to(dtype)}, zoo / name / FILE)
    (said,) = preflight(merging(zoo, ["one"]), zoo / "out").refusals
    assert f"'{LAYER}.weight' holds whole numbers ({str(dtype).removeprefix('torch.')})" in said and "bfloat16" in said


def test_codes_in_a_type_that_is_not_read_are_named_by_their_scales(zoo):
    codes = {f"{LAYER}.weight": torch.ones(48, 32).to(torch.float8_e4m3fn), f"{LAYER}.weight_scale": torch.ones(1)}
    save_file(llama(1) | codes, zoo / "one" / FILE)
    assert "with scales" in refused(zoo)
