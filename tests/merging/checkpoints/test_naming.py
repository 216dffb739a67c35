"""One tensor under two names: what meets, and what must not; checkpoints of old and new names merge as one."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.merging.checkpoints.adapters import open_model
from engine.merging.checkpoints.naming import meeting
from engine.merging.config import from_dict
from engine.merging.layout import opened
from engine.merging.merge import merge
from engine.merging.preflight import preflight

NEW, OLD = ("model.language_model.layers", "model.visual.blocks"), ("model.layers", "visual.blocks")


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["h.3.attn.c_attn.weight"], ["transformer.h.3.attn.c_attn.weight"]),
        (["model.language_model.layers.0.q.weight"], ["model.layers.0.q.weight"]),
        (["model.language_model.layers.0.q.weight"], ["language_model.model.layers.0.q.weight"]),
        (["model.visual.blocks.11.norm1.weight"], ["visual.blocks.11.norm1.weight"]),
        (["language_model.lm_head.weight"], ["lm_head.weight"]),
        (["bert.encoder.layer.0.x.LayerNorm.gamma"], ["encoder.layer.0.x.LayerNorm.weight"]),
        (["nomic_bert.encoder.layers.0.norm1.beta"], ["encoder.layers.0.norm1.bias"]),
        (["model.layers.0.mlp.experts.11.w1.weight"], ["layers.0.mlp.experts.11.w1.weight"]),
        (["module.model.layers.0.q.weight"], ["model.layers.0.q.weight"]),
        (["model.layers.0._checkpoint_wrapped_module.mlp.up.weight"], ["model.layers.0.mlp.up.weight"]),
        (["_orig_mod.layers.0._fsdp_wrapped_module.q.weight"], ["layers.0.q.weight"]),
        (["encoder.pos.conv.parametrizations.weight.original0"], ["wav2vec2.encoder.pos.conv.weight_g"]),
        (["encoder.pos.conv.parametrizations.weight.original1"], ["encoder.pos.conv.weight_v"]),
    ],
)
def test_names_that_meet(names, others):
    assert meeting(names, others) == dict(zip(names, others, strict=True))
    assert meeting(others, names) == dict(zip(others, names, strict=True))


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["encoder.layers.0.q.weight"], ["decoder.layers.0.q.weight"]),
        (["text_model.layers.0.q.weight"], ["vision_model.layers.0.q.weight"]),
        (["encoder.layers.0.q.weight", "decoder.layers.0.q.weight"], ["layers.0.q.weight"]),
        (["model.layers.0.q.weight"], ["model.layers.0.q.weight"]),
        (["norm.gamma"], ["norm.weight", "norm.gamma"]),
        (["model.norm.weight", "language_model.norm.weight"], ["norm.weight"]),
        (["0.q.weight"], ["q.weight"]),
        ([], ["a.weight"]),
    ],
)
def test_names_that_do_not(names, others):
    assert meeting(names, others) == {} == meeting(others, names)


def test_more_layers_than_the_other_meet_by_their_kind():
    names, others = [f"h.{n}.x" for n in range(4)], [f"transformer.h.{n}.x" for n in range(2)]
    assert meeting(names, others) == {f"h.{n}.x": f"transformer.h.{n}.x" for n in range(4)}


# Models of transformers -----------------------------------------------------------------------------------------------


def saved(folder, kind: str, name: str):
    """A tiny model of transformers and one near it, as today's library saves them."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "num_attention_heads": 2, "num_hidden_layers": 2, "hidden_size": 16}
    sizes |= {"intermediate_size": 24, "max_position_embeddings": 16}
    model = getattr(transformers, name)(getattr(transformers, f"{kind}Config")(**sizes))
    model.save_pretrained(folder / "base")
    for value in model.parameters():
        value.data += 0.01 * torch.randn_like(value)
    model.save_pretrained(folder / "expert")
    return type(model)


def renamed(folder, rename, source="base", name="old"):
    shutil.copytree(folder / source, folder / name)
    tensors = load_file(folder / name / "model.safetensors")
    named = {rename(key): value for key, value in tensors.items() if rename(key)}
    save_file(named, folder / name / "model.safetensors", {"format": "pt"})
    return named


def without(prefix):
    return lambda key: key.removeprefix(prefix) if "lm_head" not in key else None


def gamma(key):
    return key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.mark.parametrize(
    ("kind", "name", "rename"),
    [
        ("GPT2", "GPT2LMHeadModel", without("transformer.")),
        ("Bert", "BertModel", lambda key: f"bert.{gamma(key)}"),
        ("Bert", "BertForMaskedLM", gamma),
        ("Bert", "BertForMaskedLM", without("bert.")),
        ("Roberta", "RobertaModel", lambda key: f"roberta.{key}"),
        ("DistilBert", "DistilBertModel", lambda key: f"distilbert.{key}"),
    ],
)
@pytest.mark.parametrize("lead", ["old", "expert"])
@pytest.mark.slow
def test_old_names_merge_with_new_ones(tmp_path, kind, name, rename, lead):
    """Whichever leads: the output has its names, loads, and lies between the two."""
    model = saved(tmp_path, kind, name)
    renamed(tmp_path, rename)
    other = {"old": "expert", "expert": "old"}[lead]
    models = [{"model": other, "parameters": {"weight": 0.5}}]
    config = from_dict({"merge_method": "task_arithmetic", "base_model": lead, "models": models}, tmp_path)
    found = preflight(config, tmp_path / "out")
    assert found.refusals == [] and any("taken as one" in said for said in found.warnings)
    merge(config, tmp_path / "out")
    names = load_file(tmp_path / lead / "model.safetensors").keys()
    assert load_file(tmp_path / "out" / "model.safetensors").keys() <= names
    merged, base, expert = (model.from_pretrained(tmp_path / one).state_dict() for one in ("out", "base", "expert"))
    for key, value in merged.items():
        torch.testing.assert_close(value, (base[key] + expert[key]) / 2)


# Vision-language models -----------------------------------------------------------------------------------------------


def vision_language(folder, stacks, seed=0):
    """A model of a text and a vision stack, with names of before or after transformers 4.52."""
    text, vision = stacks
    generator = torch.Generator().manual_seed(seed)
    shapes = {f"{text}.{n}.self_attn.q_proj.weight": (6, 6) for n in range(3)}
    shapes |= {f"{vision}.{n}.attn.qkv.weight": (12, 4) for n in range(5)}
    shapes |= {f"{text.removesuffix('layers')}embed_tokens.weight": (9, 6), "lm_head.weight": (9, 6)}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    told = {"model_type": "qwen2_vl", "text_config": {"num_hidden_layers": 3}, "vision_config": {"depth": 5}}
    (folder / "config.json").write_text(json.dumps(told))
    return tensors


@pytest.mark.parametrize(("stacks", "others"), [(OLD, NEW), (NEW, OLD), (OLD, ("language_model.model.layers", NEW[1]))])
def test_adapters_of_before_and_after_the_renaming_meet(tmp_path, stacks, others):
    tensors = vision_language(tmp_path / "base", stacks)
    pairs = {}
    for module in (f"{others[0]}.1.self_attn.q_proj", f"{others[1]}.4.attn.qkv"):
        rows, columns = (6, 6) if "layers" in module else (12, 4)
        pairs[f"base_model.model.{module}.lora_A.weight"] = torch.randn(2, columns)
        pairs[f"base_model.model.{module}.lora_B.weight"] = torch.randn(rows, 2)
    (tmp_path / "adapter").mkdir()
    save_file(pairs, tmp_path / "adapter" / "adapter_model.safetensors")
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 2}')
    found = open_model(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    wanted = {f"{stacks[0]}.1.self_attn.q_proj.weight", f"{stacks[1]}.4.attn.qkv.weight"}
    assert found.changes.keys() == wanted and found.tensors.keys() == tensors.keys()
    a, b = list(pairs.values())[:2]
    name = f"{stacks[0]}.1.self_attn.q_proj.weight"
    torch.testing.assert_close(found.flat(name).view(6, 6), tensors[name] + b @ a)


def test_whole_models_of_before_and_after_the_renaming_meet(tmp_path):
    base, expert = (
        vision_language(tmp_path / name, names, n) for n, (name, names) in enumerate((("a", OLD), ("b", NEW)))
    )
    told = {"merge_method": "linear", "models": [{"model": n, "parameters": {"weight": 1.0}} for n in "ab"]}
    config = from_dict(told, tmp_path)
    assert opened(config)[str(tmp_path / "b")].tensors.keys() == base.keys()
    merge(config, tmp_path / "out")
    merged, name = load_file(tmp_path / "out" / "model.safetensors"), "layers.2.self_attn.q_proj.weight"
    known = (base[f"model.{name}"] + expert[f"model.language_model.{name}"]) / 2
    torch.testing.assert_close(merged[f"model.{name}"], known)
