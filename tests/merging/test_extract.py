"""LoRA extraction: an adapter that turns the base into the model, with the error said; as peft reads it."""

import json

import pytest
import torch
from safetensors.torch import load_file

from engine.__main__ import main
from engine.merging.checkpoints.adapters import open_model
from tests.support.checkpoints import WIDTH, family, tensors_of, write

MATRIX = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """tuned: the base with changes of rank 3 in two matrices and the embedding, and in a norm."""
    root = family(tmp_path_factory.mktemp("zoo"))
    tensors, generator = tensors_of(root / "base"), torch.Generator().manual_seed(7)
    for name in (MATRIX, "model.layers.1.self_attn.q_proj.weight", "model.embed_tokens.weight"):
        rows = tensors[name].shape[0]
        low = torch.randn(rows, 3, generator=generator) @ torch.randn(3, WIDTH, generator=generator)
        tensors[name] = tensors[name] + 0.1 * low
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * 1.5
    write(root / "tuned", tensors)
    return root


def extracted(capsys, zoo, out, *options, model="tuned"):
    assert main(["extract-lora", str(zoo / model), str(zoo / "base"), str(out), *options]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("options", [("--rank", "3"), ("--energy", "0.999999")])
def test_changes_of_a_low_rank_are_found_whole(capsys, zoo, tmp_path, options):
    told = extracted(capsys, zoo, tmp_path / "lora", *options)
    assert told["rank"] == 3 and told["error"] < 1e-3 and told["left"] == []
    found, known = open_model(f"{zoo / 'base'}+{tmp_path / 'lora'}"), tensors_of(zoo / "tuned")
    for name, value in known.items():
        torch.testing.assert_close(found.flat(name).float().view(value.shape), value, rtol=1e-4, atol=1e-4)
    assert len([name for name in load_file(tmp_path / "lora" / "adapter_model.safetensors") if "lora_A" in name]) == 2


def test_the_error_that_is_said_is_the_error(capsys, zoo, tmp_path):
    told = extracted(capsys, zoo, tmp_path / "lora", "--rank", "1", model="two")
    found = open_model(f"{zoo / 'base'}+{tmp_path / 'lora'}")
    base, two = tensors_of(zoo / "base"), tensors_of(zoo / "two")
    missed = sum(float((found.flat(name).float() - two[name].view(-1)).square().sum()) for name in two)
    moved = sum(float((base[name] - two[name]).square().sum()) for name in two)
    assert told["error"] == pytest.approx((missed / moved) ** 0.5, rel=1e-3) and told["rank"] == 1
    known = two[MATRIX] - base[MATRIX]
    u, s, v = torch.linalg.svd(known)
    delta = found.flat(MATRIX).view(known.shape) - base[MATRIX]
    torch.testing.assert_close(delta, s[0] * u[:, :1] @ v[:1], rtol=1e-3, atol=1e-4)


def test_more_energy_takes_more_rank_and_leaves_less(capsys, zoo, tmp_path):
    told = [extracted(capsys, zoo, tmp_path / f"{e}", "--energy", f"{e}", model="two") for e in (0.3, 0.6, 0.9)]
    assert [one["error"] for one in told] == sorted((one["error"] for one in told), reverse=True)
    assert told[0]["rank"] < told[1]["rank"] < told[2]["rank"] and told[2]["error"] <= 0.1**0.5
    settings = json.loads((tmp_path / "0.6" / "adapter_config.json").read_text())
    assert settings["rank_pattern"] and settings["rank_pattern"] == settings["alpha_pattern"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tuned", "base", "--rank", "0"), "a rank is at least 1"),
        (("tuned", "base", "--energy", "1.5"), "an energy above 0"),
        (("base", "base", "--rank", "2"), "equals"),
        (("nowhere", "base", "--rank", "2"), "no such folder"),
        (("short", "base", "--rank", "2"), "one vocabulary"),
    ],
)
def test_what_cannot_be_extracted(capsys, zoo, tmp_path, arguments, said):
    if not (zoo / "short").exists():
        tensors = tensors_of(zoo / "base")
        write(zoo / "short", tensors | {"model.embed_tokens.weight": torch.ones(3, WIDTH)})
    model, base, *options = arguments
    assert main(["extract-lora", str(zoo / model), str(zoo / base), str(tmp_path / "out"), *options]) == 1
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")
def test_peft_reads_it(capsys, zoo, tmp_path):
    peft = pytest.importorskip("peft", reason="peft is not installed: it comes with requirements-dev.txt")
    from transformers import LlamaForCausalLM

    extracted(capsys, zoo, tmp_path / "lora", "--rank", "3")
    tuned = peft.PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(zoo / "base"), tmp_path / "lora")
    found, known = tuned.merge_and_unload(), LlamaForCausalLM.from_pretrained(zoo / "tuned")
    ids = torch.arange(20)[None]
    torch.testing.assert_close(found(ids).logits, known(ids).logits, rtol=1e-3, atol=1e-3)
