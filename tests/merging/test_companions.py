"""The other files of a merged model: modules of sentence-transformers, an adapter's tokenizer and its tokens."""

import json

import pytest
import torch
from safetensors.torch import save_file

from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from tests.support.checkpoints import CONFIG, VOCABULARY, WIDTH, family, merging, tensors_of, vocabulary

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    {"idx": 3, "name": "3", "path": "3_Router/sub", "type": "sentence_transformers.models.Router"},
]


@pytest.fixture
def zoo(tmp_path):
    return family(tmp_path)


@pytest.fixture
def sentences(zoo):
    """The base is a sentence-transformers folder."""
    base = zoo / "base"
    (base / "modules.json").write_text(json.dumps(MODULES))
    for name in ("1_Pooling", "2_Dense", "3_Router/sub", "additional_chat_templates", "checkpoint-5"):
        (base / name).mkdir(parents=True)
        (base / name / "config.json").write_text(json.dumps({"of": name}))
    (base / "additional_chat_templates" / "tools.jinja").write_text("{{ tools }}")
    save_file({"linear.weight": torch.ones(2, 2)}, base / "2_Dense" / "model.safetensors")
    (base / "2_Dense" / "pytorch_model.bin").write_bytes(b"x")
    return zoo


def test_modules_come_along(sentences):
    found = preflight(merging(sentences), sentences / "out")
    assert found.refusals == [] and any("2_Dense/model.safetensors is copied" in said for said in found.warnings)
    assert any("pickles in its modules (2_Dense/pytorch_model.bin)" in said for said in found.warnings)
    merge(merging(sentences), sentences / "out")
    inner = {str(file.relative_to(sentences / "out")) for file in (sentences / "out").rglob("*/*") if file.is_file()}
    assert inner >= {"1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"}
    assert inner >= {"3_Router/sub/config.json", "additional_chat_templates/tools.jinja"}
    assert not any("pytorch_model.bin" in name or "checkpoint-5" in name for name in inner)


@pytest.mark.parametrize("path", ["../one", "/etc", "nowhere"])
def test_modules_outside_the_folder_stay_there(sentences, path):
    (sentences / "base" / "modules.json").write_text(json.dumps([{"path": path}]))
    merge(merging(sentences), sentences / "out")
    assert {one.name for one in (sentences / "out").iterdir() if one.is_dir()} == {"additional_chat_templates"}


@pytest.mark.parametrize("text", ["{", "3", "[3]", "[{}]"])
def test_modules_that_cannot_be_read_are_named(sentences, text):
    (sentences / "base" / "modules.json").write_text(text)
    said = preflight(merging(sentences), sentences / "out").warnings
    assert any("modules.json cannot be read" in one for one in said)


# Adapters that brought tokens --------------------------------------------------------------------------------------


def grown(zoo, *names, tokenizer=True):
    """An adapter that was trained with two more tokens."""
    adapter = zoo / "adapter"
    adapter.mkdir()
    rows = {f"base_model.model.{name}": torch.ones(VOCABULARY + 2, WIDTH) for name in names}
    save_file(rows, adapter / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "modules_to_save": ["embed_tokens", "lm_head"]}
    (adapter / "adapter_config.json").write_text(json.dumps(told))
    (adapter / "chat_template.jinja").write_text("{{ new }}")
    (adapter / "trainer_state.json").write_text("{}")
    known = [f"t{n}" for n in range(VOCABULARY)]
    vocabulary(zoo / "base", known)
    (zoo / "base" / "special_tokens_map.json").write_text('{"of": "base"}')
    (zoo / "base" / "generation_config.json").write_text('{"of": "base"}')
    if tokenizer:
        vocabulary(adapter, known, ["new0", "new1"])
    return from_dict(
        {"merge_method": "linear", "models": [{"model": "base+adapter", "parameters": {"weight": 1.0}}]}, zoo
    )


BOTH = ("model.embed_tokens.weight", "lm_head.weight")


@pytest.mark.parametrize("inside", [False, True])
def test_a_grown_adapter_makes_a_model_that_loads(zoo, inside):
    config = grown(zoo, *BOTH)
    if inside:
        told = {key: value for key, value in CONFIG.items() if key != "vocab_size"}
        told |= {"text_config": {"vocab_size": VOCABULARY}}
        (zoo / "base" / "config.json").write_text(json.dumps(told))
    assert preflight(config, zoo / "out").refusals == []
    merge(config, zoo / "out")
    told = json.loads((zoo / "out" / "config.json").read_text())
    assert (told["text_config"] if inside else told)["vocab_size"] == VOCABULARY + 2
    assert {tensors_of(zoo / "out")[name].shape[0] for name in BOTH} == {VOCABULARY + 2}
    names = {file.name for file in (zoo / "out").iterdir()}
    assert names >= {"chat_template.jinja", "tokenizer.json", "generation_config.json"}
    assert not names & {"special_tokens_map.json", "trainer_state.json", "adapter_config.json"}, "of another tokenizer"
    assert "new1" in (zoo / "out" / "tokenizer.json").read_text()


def test_a_grown_model_is_loaded_by_transformers(zoo):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    merge(grown(zoo, *BOTH), zoo / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo / "out")
    assert model.lm_head.weight.shape == (VOCABULARY + 2, WIDTH)


def test_a_template_alone_is_taken_beside_the_bases_tokenizer(zoo):
    merge(grown(zoo, *BOTH, tokenizer=False), zoo / "out")
    names = {file.name for file in (zoo / "out").iterdir()}
    assert names >= {"special_tokens_map.json", "chat_template.jinja"}


@pytest.mark.parametrize("name", BOTH)
def test_rows_for_one_of_two_are_refused(zoo, name):
    (said,) = preflight(grown(zoo, name), zoo / "out").refusals
    assert f"its {name!r} has {VOCABULARY + 2} rows" in said and "save_embedding_layers" in said


def test_a_whole_tensor_of_another_shape_is_refused(zoo):
    config = grown(zoo, *BOTH)
    save_file({"base_model.model.model.norm.weight": torch.ones(3)}, zoo / "adapter" / "adapter_model.safetensors")
    (said,) = preflight(config, zoo / "out").refusals
    assert "[3], and 'model.norm.weight' [32]" in said
