"""A config.json that says other things than the weights is told of: loaders make up what is missing without a word."""

from pathlib import Path

import pytest

from engine.core.errors import Problem
from engine.merging.checkpoints.adapters import open_model
from engine.merging.checkpoints.files import find
from engine.merging.checkpoints.stated import differences

LAYERS = {f"model.layers.{n}.mlp.up_proj.weight": (4, 4) for n in range(4)}
WHOLE = {**LAYERS, "model.embed_tokens.weight": (8, 4), "lm_head.weight": (8, 4)}
CONFIG = {"num_hidden_layers": 4, "vocab_size": 8, "architectures": ["LlamaForCausalLM"]}
EYES = {f"visual.blocks.{n}.attn.qkv.weight": (4, 4) for n in range(6)}
PEOPLED = {"base_model.model.x.lora_A.default.weight": (2, 4)}


def without(end: str) -> dict:
    return {name: shape for name, shape in WHOLE.items() if end not in name}


@pytest.mark.parametrize(
    ("shapes", "config", "tied", "words"),
    [
        (without(".3."), {}, False, "4 layers, and there is no tensor of layer 3 in model.layers"),
        (without(".1."), {}, False, "no tensor of layer 1"),
        (WHOLE, {"num_hidden_layers": 3}, False, "3 layers, and model.layers has layer 3 too"),
        (without("lm_head"), {}, False, "no tensor is one"),
        (WHOLE, {"vocab_size": 9}, False, "vocab_size 9, and model.embed_tokens.weight has 8 rows"),
        (WHOLE | PEOPLED, {}, False, "the product of merged factors"),
        (
            without(".3.") | EYES,
            {"text_config": {"num_hidden_layers": 4}},
            False,
            "no tensor of layer 3 in model.layers",
        ),
    ],
)
def test_what_differs_is_told(shapes, config, tied, words):
    parts = [{**CONFIG, **config}, *([config["text_config"]] if "text_config" in config else [])]
    (said,) = differences(Path("m"), shapes, parts, tied)
    assert words in said


@pytest.mark.parametrize(
    ("shapes", "parts", "tied"),
    [
        (WHOLE, [CONFIG], False),
        (without("lm_head"), [CONFIG], True),
        (without("lm_head"), [CONFIG], None),  # the loader's own default counts
        (without("lm_head"), [CONFIG | {"architectures": ["LlamaModel"]}], False),
        (WHOLE | EYES, [{}, {"num_hidden_layers": 4, "vocab_size": 8}], False),
        (WHOLE | EYES, [CONFIG | {"num_hidden_layers": 5}], False),  # of which stack is not said
        ({"albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight": (4, 4)}, [CONFIG], None),
        ({"x.weight": (1,)}, [], None),
        ({"x.weight": ()}, [{"architectures": "odd", "num_hidden_layers": "4", "vocab_size": None}], False),
    ],
)
def test_what_fits_or_may_be_is_not(shapes, parts, tied):
    assert not differences(Path("m"), shapes, parts, tied)


def test_a_part_of_a_model_is_none(tmp_path):
    """One of several files, or an adapter by its file: its tensors would have been merged as a whole model's."""
    for name in ("model-00001-of-00002.safetensors", "model-00001-of-00001.safetensors", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(Problem, match=r"it is one of 2 files of a model's weights\. Name the folder"):
        find(tmp_path / "model-00001-of-00002.safetensors")
    assert len(find(tmp_path / "model-00001-of-00001.safetensors").files) == 1
    with pytest.raises(Problem, match=r"it is a LoRA adapter\. Name its base before it"):
        open_model(str(tmp_path / "adapter_model.safetensors"))
