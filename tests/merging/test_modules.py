"""Real models of several stacks, made by transformers: merged whole as mergekit merges them, and stack by stack."""

import json

import pytest
import torch
import yaml

from engine.core.errors import Problem
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.modules import owner_of, stack_for
from engine.merging.preflight import preflight
from tests.support.checkpoints import tensors_of

TEXT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 40,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SEEN = {"hidden_size": 16, "intermediate_size": 24}
HEARD = {"encoder_ffn_dim": 24, "decoder_ffn_dim": 24, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
LENGTHS = {"num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16}
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


def built(t, kind):
    """A tiny model of a kind, with random weights. t: transformers."""
    if kind == "bert":
        return t.BertForMaskedLM(t.BertConfig(**{key: TEXT[key] for key in list(TEXT)[:4]}, vocab_size=40))
    if kind == "t5":
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 4, "num_decoder_layers": 2, "num_heads": 2}
        return t.T5ForConditionalGeneration(t.T5Config(vocab_size=40, **sizes))
    if kind == "whisper":
        depths = {"encoder_layers": 2, "decoder_layers": 3, "d_model": 16, "vocab_size": 40}
        return t.WhisperForConditionalGeneration(t.WhisperConfig(**depths, **HEARD, **LENGTHS, **IDS))
    if kind == "llava":
        seen = t.CLIPVisionConfig(**SEEN, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8)
        both = {"vision_config": seen, "text_config": t.LlamaConfig(**TEXT), "image_token_index": 39}
        return t.LlavaForConditionalGeneration(t.LlavaConfig(**both))
    text = TEXT | {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}
    seen = SEEN | {"depth": 4, "num_heads": 2, "out_hidden_size": 16, "patch_size": 4, "fullatt_block_indexes": [1, 3]}
    return t.Qwen2_5_VLForConditionalGeneration(t.Qwen2_5_VLConfig(text_config=text, vision_config=seen))


KINDS = ("bert", "t5", "whisper", "llava", "qwenvl")


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """a and b of each kind."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    root = tmp_path_factory.mktemp("families")
    for kind in KINDS:
        for seed, name in enumerate("ab"):
            torch.manual_seed(seed)
            built(transformers, kind).save_pretrained(root / kind / name)
    return root


def loads(folder):
    """Load a model by the class that its config.json names; nothing may be missing or left over."""
    import transformers

    (kind,) = json.loads((folder / "config.json").read_text())["architectures"]
    model, told = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    return model


BOTH = """
models: [{model: a, parameters: {weight: 0.3}}, {model: b, parameters: {weight: 0.7}}]
merge_method: linear
dtype: float32
"""


@pytest.mark.parametrize("kind", KINDS)
def test_whole_models_merge_and_load(families, tmp_path, kind):
    merge(from_dict(yaml.safe_load(BOTH), families / kind), tmp_path / "ours")
    found, a, b = (tensors_of(folder) for folder in (tmp_path / "ours", families / kind / "a", families / kind / "b"))
    assert found.keys() == a.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, 0.3 * a[name] + 0.7 * b[name], rtol=1e-5, atol=1e-6)
    loads(tmp_path / "ours")


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_whole_models_merge_as_mergekit_merges_them(families, tmp_path, monkeypatch, kind):
    """Where it takes them: it knows architectures by a list."""
    pytest.importorskip("mergekit", reason="mergekit is not installed")
    from mergekit.config import MergeConfiguration
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    merge(from_dict(yaml.safe_load(BOTH), families / kind), tmp_path / "ours")
    monkeypatch.chdir(families / kind)
    LoaderCache.loaders.clear()
    try:
        options = MergeOptions(quiet=True, write_model_card=False, copy_tokenizer=False)
        run_merge(MergeConfiguration.model_validate(yaml.safe_load(BOTH)), str(tmp_path / "theirs"), options)
    except Exception as error:  # it raises bare ones
        pytest.skip(f"mergekit does not merge {kind}: {error}")
    found = tensors_of(tmp_path / "ours")
    for name, value in tensors_of(tmp_path / "theirs").items():
        if name in found:
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5)


def sliced(*parts) -> dict:
    return {"slices": [{"sources": [{"model": model, "layer_range": list(layers)}]} for model, layers in parts]}


@pytest.mark.parametrize(
    ("kind", "modules", "depths"),
    [
        ("qwenvl", {"text_decoder": sliced(("a", (0, 2)), ("b", (1, 3)))}, {"text_config.num_hidden_layers": 4}),
        ("llava", {"language_model": sliced(("a", (0, 3))), "vision_tower": sliced(("b", (0, 1)))}, {}),
        ("t5", {"decoder": sliced(("a", (0, 2)), ("b", (1, 2)))}, {"num_decoder_layers": 3, "num_layers": 4}),
        ("whisper", {"encoder": sliced(("b", (0, 1))), "decoder": {"models": [{"model": "a"}]}}, {"encoder_layers": 1}),
        ("bert", {"default": sliced(("a", (0, 2)), ("a", (1, 3)))}, {"num_hidden_layers": 4}),
    ],
)
@pytest.mark.slow
def test_stacks_are_assembled_apart(families, tmp_path, kind, modules, depths):
    """What no module names is the lead's; the model that is written loads, with the depth of each stack."""
    config = from_dict({"merge_method": "passthrough", "modules": modules}, families / kind)
    found = preflight(config, tmp_path / "out")
    assert found.refusals == []
    merge(config, tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "config.json").read_text())
    for key, count in depths.items():
        inner = settings
        for part in key.split("."):
            inner = inner[part]
        assert inner == count
    own, a, b = (
        dict(loads(folder).named_parameters())
        for folder in (tmp_path / "out", *map(families.joinpath, (kind, kind), "ab"))
    )
    for name, value in own.items():
        assert any(value.shape == other.shape and torch.equal(value, other) for other in (*a.values(), *b.values())), (
            name
        )
    assert len(own) != len(a) or kind == "whisper"


def test_the_preflight_has_a_table_of_stacks(families, tmp_path):
    config = from_dict(yaml.safe_load(BOTH), families / "qwenvl")
    told = [one for one in preflight(config, tmp_path / "out").to_dict()["stacks"] if one["model"].endswith("a")]
    assert sorted((one["kind"], one["layers"]) for one in told) == [("text", 3), ("vision", 4)]
    assert next(one for one in told if one["kind"] == "text")["pattern"]["layer_types"] == ["full_attention"] * 3
    asked = {"merge_method": "passthrough", "modules": {"visual": sliced(("a", (0, 2)))}}
    said = preflight(from_dict(asked, families / "qwenvl"), tmp_path / "out").warnings
    assert any("vision_config.fullatt_block_indexes, which number layers" in one for one in said)


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ({"speech_tower": {"models": [{"model": "a"}]}}, "Cannot find the module speech_tower"),
        ({"decoder": sliced(("a", (0, 9)))}, "it has 2"),
        ({"decoder": {}}, "give `models` or `slices`"),
        ({"decoder": {"models": [{"model": "a"}], "slises": []}}, "Is it 'slices'?"),
    ],
)
def test_modules_that_are_not_there(families, tmp_path, modules, said):
    try:
        config = from_dict({"merge_method": "passthrough", "modules": modules}, families / "t5")
        (refusal,) = preflight(config, tmp_path / "out").refusals
    except Problem as problem:
        refusal = str(problem)
    assert said in refusal


def test_what_stands_outside_of_stacks_goes_with_the_nearest():
    stacks = {"language_model.model.layers": 3, "vision_tower.vision_model.encoder.layers": 2}
    owners = {
        "language_model.model.norm.weight": 0,
        "vision_tower.vision_model.embeddings.patch.weight": 1,
        "multi_modal_projector.linear_1.weight": 0,
        "lm_head.weight": 0,
    }
    for name, place in owners.items():
        assert owner_of(name, stacks) == list(stacks)[place]
    assert stack_for("text_decoder", stacks) == "language_model.model.layers"
    with pytest.raises(Problem, match="Name the stack itself"):
        stack_for("vision_tower", {"visual.blocks": 1, "vision.layers": 2})
