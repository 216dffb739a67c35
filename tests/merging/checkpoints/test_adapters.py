"""LoRA adapters as experts: known answers by hand, and bad ones named."""

import json
import math

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from engine.__main__ import main
from engine.core.errors import Problem
from engine.merging.checkpoints.adapter_kinds import READABLE, SUPPORTED
from engine.merging.checkpoints.adapters import Adapted, open_model
from engine.merging.config import from_dict
from engine.merging.merge import merge
from tests.support.adapters import BASE, adapter_of, base_of, drawn, low, small, tensor


def test_a_known_answer(tmp_path):
    """Two ranks, two alphas, an embedding, and a module kept whole."""
    base, own = base_of(tmp_path)
    q, up = low("model.layers.0.q_proj", 6, 6), low("model.layers.1.up_proj", 9, 6, rank=3, seed=60)
    embedding = {
        "model.embed_tokens.lora_embedding_A": drawn((2, 11), 70),
        "model.embed_tokens.lora_embedding_B": drawn((6, 2), 71),
    }
    head = {"lm_head.weight": drawn((11, 6), 72)}
    adapter = adapter_of(
        tmp_path,
        q | up | embedding | head,
        rank_pattern={"layers.1.up_proj": 3},
        alpha_pattern={r"layers\.\d\.up_proj": 12},
        modules_to_save=["lm_head"],
    )
    model = open_model(f"{base}+{adapter}")
    assert isinstance(model, Adapted) and model.tensors.keys() == own.keys() and model.layers == 2
    a, b = q.values()
    torch.testing.assert_close(
        tensor(model, "model.layers.0.q_proj.weight"), own["model.layers.0.q_proj.weight"] + 8 / 2 * b @ a
    )
    a, b = up.values()
    torch.testing.assert_close(
        tensor(model, "model.layers.1.up_proj.weight"), own["model.layers.1.up_proj.weight"] + 12 / 3 * b @ a
    )
    a, b = embedding.values()
    torch.testing.assert_close(
        tensor(model, "model.embed_tokens.weight"), own["model.embed_tokens.weight"] + 4 * (b @ a).T
    )
    assert torch.equal(tensor(model, "lm_head.weight"), head["lm_head.weight"])
    for name in ("model.norm.weight", "model.layers.0.up_proj.weight"):
        assert torch.equal(tensor(model, name), own[name])


def test_rank_stabilised_and_turned(tmp_path):
    """use_rslora divides by the root of the rank; fan_in_fan_out is for bases that keep (in, out), as GPT-2 does. Its
    checkpoints lack the outer name."""
    base, own = base_of(tmp_path, {"h.0.attn.c_attn.weight": (6, 18), "wte.weight": (11, 6)})
    pair = low("transformer.h.0.attn.c_attn", 18, 6, rank=4)
    adapter = adapter_of(tmp_path, pair, r=4, use_rslora=True, fan_in_fan_out=True)
    a, b = pair.values()
    found = tensor(open_model(f"{base}+{adapter}"), "h.0.attn.c_attn.weight")
    torch.testing.assert_close(found, own["h.0.attn.c_attn.weight"] + 8 / math.sqrt(4) * (b @ a).T)


def test_a_convolution(tmp_path):
    base, own = base_of(tmp_path, {"conv.weight": (5, 3, 2, 2)})
    pair = {"conv.lora_A.weight": drawn((2, 3, 2, 2), 1), "conv.lora_B.weight": drawn((5, 2, 1, 1), 2)}
    adapter = adapter_of(tmp_path, pair)
    delta = torch.einsum("or,rikl->oikl", pair["conv.lora_B.weight"][:, :, 0, 0], pair["conv.lora_A.weight"])
    torch.testing.assert_close(tensor(open_model(f"{base}+{adapter}"), "conv.weight"), own["conv.weight"] + 4 * delta)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_a_copy_of_what_three_share_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    small(transformers, "BartForConditionalGeneration").save_pretrained(tmp_path / "base")
    adapter = adapter_of(tmp_path, {"lm_head.weight": torch.ones(40, 16)}, modules_to_save=["lm_head"])
    with pytest.raises(Problem, match="between encoder, decoder and head"):
        open_model(f"{tmp_path / 'base'}+{adapter}")


def test_another_expert_that_ties_keeps_its_embedding_as_its_head(tmp_path):
    """One adapter unties the merge: the base's and the other expert's heads are their embeddings."""
    tensors = {name: shape for name, shape in BASE.items() if name != "lm_head.weight"}
    for name in ("base", "full"):
        folder, own = base_of(tmp_path, tensors, name)
        told = {"model_type": "llama", "tie_word_embeddings": True, "architectures": ["LlamaForCausalLM"]}
        (folder / "config.json").write_text(json.dumps(told))
    own["model.embed_tokens.weight"] = drawn((11, 6), 90)
    save_file(own, tmp_path / "full" / "model.safetensors")
    _, base = tmp_path / "base", load_file(tmp_path / "base" / "model.safetensors")["model.embed_tokens.weight"]
    whole = drawn((11, 6), 91)
    adapter_of(tmp_path, {"model.embed_tokens.weight": whole}, modules_to_save=["embed_tokens"])
    models = [{"model": name, "parameters": {"weight": 0.5}} for name in ("base+adapter", "full")]
    told = {"merge_method": "task_arithmetic", "base_model": "base", "models": models}
    merge(from_dict(told, tmp_path), tmp_path / "out")
    merged = load_file(tmp_path / "out" / "model.safetensors")
    torch.testing.assert_close(merged["lm_head.weight"], (base + own["model.embed_tokens.weight"]) / 2)
    torch.testing.assert_close(merged["model.embed_tokens.weight"], (whole + own["model.embed_tokens.weight"]) / 2)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alora_invocation_tokens": [2, 3]}, "activated LoRA"),
        ({"init_lora_weights": "lora_ga"}, "lora_ga"),
        ({"init_lora_weights": "corda"}, "a base that this has changed"),
        ({"init_lora_weights": "next_year"}, "a base that this has changed"),
        ({"trainable_token_indices": [3]}, "single tokens"),
        ({"target_parameters": ["experts.gate_up_proj"]}, "parameters instead of layers"),
        *(
            ({"peft_type": kind, "r": None}, f"peft_type {kind}")
            for kind in ("IA3", "LOHA", "OFT", "VERA", "PREFIX_TUNING")
        ),
    ],
)
def test_other_kinds_are_named_before_their_tensors_are_looked_up(tmp_path, settings, said):
    """The file's tensors are of no base at all."""
    base, _ = base_of(tmp_path)
    adapter = adapter_of(tmp_path, {"nowhere.hada_w1_a": torch.ones(2, 2)}, **settings)
    with pytest.raises(Problem, match=said) as refused:
        open_model(f"{base}+{adapter}")
    assert "adapter_config.json" in str(refused.value) and "trained on" not in str(refused.value)
    assert all(kind in str(refused.value) for kind in ("LoRA", *READABLE.values())), "what can be used is listed"


@pytest.mark.parametrize("kind", ["PREFIX_TUNING", "p_tuning", "XLORA", "LILY", "IA3", "BONE"])
def test_a_kind_that_nothing_merges_is_not_sent_to_be_merged(tmp_path, kind):
    base, _ = base_of(tmp_path)
    adapter = adapter_of(tmp_path, {"prompt_embeddings": torch.ones(2, 2)}, peft_type=kind, r=None)
    with pytest.raises(Problem, match=f"peft_type {kind}") as refused:
        open_model(f"{base}+{adapter}")
    assert ("merge_and_unload" in str(refused.value)) == (kind in ("IA3", "BONE"))
    assert ("leave it out" in str(refused.value)) == (kind not in ("IA3", "BONE"))


@pytest.mark.parametrize("name", ["a.hada_w1_a", "a.oft_R.default", "a.lora_magnitude_vector", "a.vera_lambda_b"])
def test_other_kinds_are_named_by_their_tensors(tmp_path, name):
    """Where adapter_config.json says nothing of it."""
    base, _ = base_of(tmp_path)
    adapter = adapter_of(tmp_path, low("nowhere.q_proj", 6, 6) | {name: torch.ones(2)})
    with pytest.raises(Problem, match=r"is a tensor of another kind|does not say use_dora") as refused:
        open_model(f"{base}+{adapter}")
    assert SUPPORTED in str(refused.value)


def test_settings_that_are_unknown_here_and_files_that_are_not_read_are_named(tmp_path):
    base, _ = base_of(tmp_path)
    adapter = adapter_of(tmp_path, low("model.layers.0.q_proj", 6, 6), use_new_idea=True, unsloth_fixed=True, r=2)
    (adapter / "training_args.bin").touch()
    said = open_model(f"{base}+{adapter}").notes
    assert any("use_new_idea, which is unknown here" in one for one in said)
    assert any("not training_args.bin" in one for one in said)


def test_a_merge_file_names_it_as_mergekit_does(tmp_path, capsys):
    """Relative to the file; the whole merge by the command; nothing but the output is written."""
    _, own = base_of(tmp_path)
    one = low("model.layers.0.q_proj", 6, 6)
    adapter_of(tmp_path, one, "first")
    adapter_of(tmp_path, low("model.layers.0.up_proj", 9, 6), "second")
    config = tmp_path / "merge.yml"
    models = [{"model": f"base+{name}", "parameters": {"weight": 0.5}} for name in ("first", "second")]
    config.write_text(yaml.safe_dump({"merge_method": "task_arithmetic", "base_model": "base", "models": models}))
    before = sorted(tmp_path.rglob("*"))
    assert main(["merge", str(config), str(tmp_path / "out")]) == 0
    assert sorted(path for path in tmp_path.rglob("*") if "out" not in path.parts) == before
    found = load_file(tmp_path / "out" / "model.safetensors")
    a, b = one.values()
    torch.testing.assert_close(
        found["model.layers.0.q_proj.weight"], own["model.layers.0.q_proj.weight"] + 0.5 * 4 * b @ a
    )
    assert torch.equal(found["model.norm.weight"], own["model.norm.weight"])


def test_an_adapter_on_another_adapters_base_is_a_base_too(tmp_path):
    """base_model may carry an adapter itself."""
    base_of(tmp_path)
    adapter_of(tmp_path, low("model.layers.0.q_proj", 6, 6), "first")
    config = from_dict(
        {
            "merge_method": "task_arithmetic",
            "base_model": "base+first",
            "models": [{"model": "base", "parameters": {"weight": 1.0}}],
        },
        tmp_path,
    )
    merge(config, tmp_path / "out")
    found, known = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "base"))
    for name, value in known.items():
        torch.testing.assert_close(found[name], value)


@pytest.mark.parametrize(
    ("tensors", "settings", "said"),
    [
        (low("model.layers.0.q_proj", 6, 6), {"use_dora": True}, "has no lora_magnitude_vector"),
        (
            low("model.layers.0.q_proj", 6, 6) | {"model.layers.0.q_proj.lora_magnitude_vector": torch.ones(5)},
            {"use_dora": True},
            r"\[5\] magnitudes for \[6, 6\]",
        ),
        (low("model.layers.0.q_proj", 6, 6), {"peft_type": "IA3"}, "IA3"),
        (low("model.layers.0.q_proj", 6, 6), {"init_lora_weights": "pissa_niter_4"}, "pissa"),
        (low("model.layers.0.q_proj", 6, 6), {"r": 0}, "r is 0"),
        (low("model.layers.0.q_proj", 6, 6), {"r": 3}, "has rank 2"),
        (low("model.layers.0.q_proj", 7, 6), {}, "do not make"),
        (low("model.layers.9.q_proj", 6, 6), {}, "layers.9.q_proj"),
        ({"model.norm.lora_A.weight": torch.ones(2, 6)}, {}, "but no"),
        ({"model.norm.lora_magnitude_vector": torch.ones(6)}, {}, "does not say use_dora"),
        ({}, {}, "holds no tensor"),
        ({"model.norm.lora_A.default.weight": torch.ones(2, 6)}, {}, "Save it as peft does"),
        ({"model.norm.lora_down.weight": torch.ones(2, 6)}, {}, "Save it as peft does"),
        (low("model.layers.0.q_proj", 6, 6), {"modules_to_save": ["score", "norm"]}, "'norm' was trained as a whole"),
        ({"score.weight": torch.ones(2, 6)}, {"task_type": "SEQ_CLS"}, r"a head of its own \(task_type SEQ_CLS\)"),
        *(
            (low("model.layers.0.q_proj", 6, 6), settings, "adapter_config.json")
            for settings in (
                {"rank_pattern": [1]},
                {"rank_pattern": {"q_proj": "2"}},
                {"rank_pattern": {"q_proj": 0}},
                {"alpha_pattern": {"(": 1}},
                {"alpha_pattern": {"q_proj": "x"}},
                {"alpha_pattern": {"q_proj": None}},
                {"alpha_pattern": 3},
                {"lora_alpha": 10**400},
                {"lora_alpha": "8"},
                {"r": None},
                {"modules_to_save": 3},
                {"modules_to_save": "lm_head"},
            )
        ),
        ({"model.norm.lora_A.weight": torch.ones(2), "model.norm.lora_B.weight": torch.ones(6)}, {}, "not a pair of"),
        ({"model.norm.lora_A.weight": torch.ones(()), "model.norm.lora_B.weight": torch.ones(())}, {}, "not a pair of"),
    ],
)
def test_a_bad_adapter_is_named(tmp_path, tensors, settings, said):
    base, _ = base_of(tmp_path)
    adapter = adapter_of(tmp_path, tensors, **settings)
    with pytest.raises(Problem, match=said) as refused:
        open_model(f"{base}+{adapter}")
    assert str(adapter) in str(refused.value) and str(refused.value).startswith("Cannot")


@pytest.mark.parametrize("text", ["[]", "null", "{", "[" * 100_000])
def test_settings_that_are_no_table_are_named(tmp_path, text):
    base, _ = base_of(tmp_path)
    adapter = adapter_of(tmp_path, low("model.layers.0.q_proj", 6, 6))
    (adapter / "adapter_config.json").write_text(text)
    with pytest.raises(Problem, match=r"Cannot read .*adapter_config\.json"):
        open_model(f"{base}+{adapter}")


def test_an_adapter_on_a_quantised_base_is_refused(tmp_path):
    base, own = base_of(tmp_path)
    save_file({name: value.to(torch.int8) for name, value in own.items()}, base / "model.safetensors")
    adapter = adapter_of(tmp_path, low("model.layers.0.q_proj", 6, 6))
    with pytest.raises(Problem, match="quantised"):
        open_model(f"{base}+{adapter}")


def test_what_is_missing_or_named_alone(tmp_path):
    base, _ = base_of(tmp_path)
    adapter = adapter_of(tmp_path, low("model.layers.0.q_proj", 6, 6))
    with pytest.raises(Problem, match="Name its base before it"):
        open_model(str(adapter))
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(Problem, match="is a safetensors file"):
        open_model(f"{base}+{adapter}")
    (adapter / "adapter_model.bin").rename(adapter / "adapters.safetensors")
    with pytest.raises(Problem, match=r"There is adapters\.safetensors. Save it as peft does"):
        open_model(f"{base}+{adapter}")
    (adapter / "adapters.safetensors").unlink()
    with pytest.raises(Problem, match=r"adapter_model\.safetensors is not there"):
        open_model(f"{base}+{adapter}")
    with pytest.raises(Problem, match=r"adapter_config\.json is not there"):
        open_model(f"{base}+{tmp_path / 'nowhere'}")
    plus = tmp_path / "a+b"
    base.rename(plus)
    assert not isinstance(open_model(str(plus)), Adapted)
