"""LoRA adapters as experts: the same weights as peft's own merge, on tied heads and on other architectures."""

import pytest
import torch

from engine.merging.checkpoints.adapters import open_model
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from tests.support.adapters import small, tensor


@pytest.mark.slow
def test_peft_merges_to_the_same(tmp_path):
    peft = pytest.importorskip("peft", reason="peft is not installed: it comes with requirements-dev.txt")
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path / "base")
    settings = peft.LoraConfig(
        r=3,
        lora_alpha=7,
        target_modules=["q_proj", "down_proj", "embed_tokens"],
        use_rslora=True,
        rank_pattern={"down_proj": 5},
        alpha_pattern={"layers.1.mlp.down_proj": 11},
        modules_to_save=["lm_head"],
    )
    tuned = peft.get_peft_model(model, settings)
    for value in tuned.parameters():
        if value.requires_grad:
            value.data += 0.1 * torch.randn(value.shape)
    tuned.save_pretrained(tmp_path / "adapter")
    known = tuned.merge_and_unload().state_dict()
    found = open_model(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    assert len(found.changes) == 5 and "lm_head.weight" in found.replaced
    for name in found.tensors:
        torch.testing.assert_close(tensor(found, name), known[name].detach(), rtol=1e-5, atol=1e-6)


TIED = {
    "whole embedding": {"modules_to_save": ["embed_tokens"]},
    "whole head": {"modules_to_save": ["lm_head"]},
    "both whole": {"modules_to_save": ["embed_tokens", "lm_head"]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "both": {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "whole head, embedding": {"modules_to_save": ["lm_head"], "target_modules": ["q_proj", "embed_tokens"]},
    "whole embedding, head": {"modules_to_save": ["embed_tokens"], "target_modules": ["q_proj", "lm_head"]},
    "whole, kept tied": {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "head, kept tied": {"target_modules": ["q_proj", "lm_head"], "ensure_weight_tying": True},
}


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    """A tiny Llama that ties its head to its embedding."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(num_attention_heads=2, tie_word_embeddings=True, **sizes)
    folder = tmp_path_factory.mktemp("tied") / "base"
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["linear", "task_arithmetic"])
@pytest.mark.parametrize("kind", TIED)
def test_on_a_tied_model_peft_merges_to_the_same(tied, tmp_path, kind, method):
    """The merge loads to the logits of peft's own merge, in which what was trained whole is tied no longer."""
    peft = pytest.importorskip("peft", reason="peft is not installed: it comes with requirements-dev.txt")
    from transformers import LlamaForCausalLM

    settings = {"target_modules": ["q_proj"]} | TIED[kind]
    tuned = peft.get_peft_model(LlamaForCausalLM.from_pretrained(tied), peft.LoraConfig(r=3, lora_alpha=7, **settings))
    generator = torch.Generator().manual_seed(1)
    for value in tuned.parameters():
        if value.requires_grad:
            value.data += 0.1 * torch.randn(value.shape, generator=generator)
    tuned.save_pretrained(tmp_path / "adapter")
    loaded = peft.PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(tied), tmp_path / "adapter")
    known = loaded.merge_and_unload()
    told = {"merge_method": method, "models": [{"model": f"{tied}+{tmp_path / 'adapter'}"}]}
    told["models"][0]["parameters"] = {"weight": 1.0}
    told |= {"base_model": str(tied)} if method == "task_arithmetic" else {}
    merge(from_dict(told, tmp_path), tmp_path / "out")
    found = LlamaForCausalLM.from_pretrained(tmp_path / "out")
    assert found.config.tie_word_embeddings == known.config.tie_word_embeddings
    ids = torch.arange(30)[None]
    torch.testing.assert_close(found(ids).logits, known(ids).logits, rtol=1e-5, atol=1e-5)
    said = preflight(from_dict(told, tmp_path), tmp_path / "more").warnings
    assert any("of its own" in one or "which are one tensor" in one for one in said) == ("whole, kept" not in kind)


TURNED = {
    "GPT-2": ("GPT2LMHeadModel", {"target_modules": ["c_attn", "c_proj", "lm_head"]}),
    "square": ("GPT2LMHeadModel", {"target_modules": ["attn.c_proj"]}),
    "BERT": ("BertModel", {"target_modules": ["query"], "modules_to_save": ["word_embeddings"]}),
    "GPT-2, DoRA": ("GPT2LMHeadModel", {"target_modules": ["c_attn", "c_proj"], "use_dora": True}),
    "BERT, DoRA": ("BertModel", {"target_modules": ["query", "dense"], "use_dora": True, "use_rslora": True}),
    "BART": ("BartForConditionalGeneration", {"target_modules": ["q_proj", "lm_head"]}),
    "T5": ("T5ForConditionalGeneration", {"target_modules": ["q", "lm_head"]}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TURNED)
@pytest.mark.slow
def test_other_architectures_merge_as_peft_merges_them(tmp_path, kind):
    """Matrices that are stored (in, out), whatever fan_in_fan_out was saved last; encoders, which have no head; one
    embedding for encoder, decoder and head."""
    peft = pytest.importorskip("peft", reason="peft is not installed: it comes with requirements-dev.txt")
    import transformers

    name, settings = TURNED[kind]
    small(transformers, name).save_pretrained(tmp_path / "base")
    model = getattr(transformers, name)
    tuned = peft.get_peft_model(
        model.from_pretrained(tmp_path / "base"), peft.LoraConfig(r=3, lora_alpha=7, **settings)
    )
    generator = torch.Generator().manual_seed(1)
    for value in tuned.parameters():
        if value.requires_grad:
            value.data += 0.1 * torch.randn(value.shape, generator=generator)
    tuned.save_pretrained(tmp_path / "adapter")
    base = model.from_pretrained(tmp_path / "base")
    known = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload().state_dict()
    told = {"merge_method": "linear", "models": [{"model": "base+adapter", "parameters": {"weight": 1.0}}]}
    merge(from_dict(told, tmp_path), tmp_path / "out")
    found = model.from_pretrained(tmp_path / "out").state_dict()
    assert found.keys() == known.keys()
    for key, value in known.items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-5)
