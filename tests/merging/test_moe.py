"""mergekit-moe's files: mixtures of experts that load, with mergekit's tensors; what cannot be made is named."""

import json
import logging
import re

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from engine.__main__ import main
from engine.merging.moe_build import check
from engine.merging.moe_file import moe_of
from engine.merging.preflight import preflight
from tests.support.checkpoints import family as llamas
from tests.support.checkpoints import merging, tensors_of
from tests.support.running import ROOT
from tests.support.spoken import speakers

FILE = """
base_model: base
gate_mode: cheap_embed
dtype: float32
experts:
  - {source_model: a, positive_prompts: [abc, dab], negative_prompts: [xyz], residual_scale: 0.5}
  - {source_model: b, positive_prompts: [hello]}
"""
SHARED = "architecture: qwen\nshared_experts: [{source_model: base, positive_prompts: [zzz]}]\n"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return speakers(tmp_path_factory.mktemp("speakers"))


def made(zoo, out, text):
    (zoo / "moe.yml").write_text(text)
    assert main(["merge", str(zoo / "moe.yml"), str(out)]) == 0
    return out


def loaded(folder):
    """The model by the class that its config.json names; nothing may be missing or left over."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    (kind,) = json.loads((folder / "config.json").read_text())["architectures"]
    model, told = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    return model


@pytest.mark.soak
@pytest.mark.parametrize("text", [FILE, FILE + SHARED], ids=["mixtral", "qwen"])
def test_a_mixture_has_the_tensors_of_mergekit(zoo, tmp_path, monkeypatch, text):
    pytest.importorskip("mergekit", reason="mergekit is not installed")
    from mergekit.io.tasks import LoaderCache
    from mergekit.moe.config import MoEMergeConfig
    from mergekit.options import MergeOptions
    from mergekit.scripts.moe import build

    logging.getLogger().setLevel(logging.ERROR)
    found = loaded(made(zoo, tmp_path / "ours", text)).state_dict()
    monkeypatch.chdir(zoo)
    LoaderCache.loaders.clear()
    config = MoEMergeConfig.model_validate(yaml.safe_load(text))
    build(config, str(tmp_path / "theirs"), MergeOptions(quiet=True), verbose=False)
    known = loaded(tmp_path / "theirs").state_dict()
    assert found.keys() == known.keys()
    for name, value in known.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=lambda m, t=name: f"{t}: {m}")


def test_a_mixture_of_copies_computes_what_the_model_does(zoo, tmp_path):
    """All experts are the base, and their weights sum to 1: whatever the router says, the logits are the base's."""
    text = "base_model: a\ngate_mode: random\nseed: 3\nexperts: [EACH, EACH, EACH]\n".replace(
        "EACH", "{source_model: a}"
    )
    ids = torch.arange(3, 20)[None]
    mixture, dense = loaded(made(zoo, tmp_path / "out", text)), loaded(zoo / "a")
    torch.testing.assert_close(mixture(ids).logits, dense(ids).logits, rtol=1e-4, atol=1e-4)
    again = tensors_of(made(zoo, tmp_path / "again", text))
    assert all(torch.equal(again[name], value) for name, value in tensors_of(tmp_path / "out").items())
    assert "`random`" in (tmp_path / "out" / "README.md").read_text()


def test_rows_of_hidden_states_are_what_enters_each_layer(zoo, tmp_path):
    found = tensors_of(made(zoo, tmp_path / "out", FILE.replace("cheap_embed", "hidden")))
    transformers, model = pytest.importorskip("transformers"), loaded(zoo / "base")
    tokenizer = transformers.AutoTokenizer.from_pretrained(zoo / "base")
    ids = tokenizer("<s>hello", return_tensors="pt").input_ids
    states = model(ids, output_hidden_states=True).hidden_states
    for n in range(4):
        known = states[n][0, -1] / states[n][0, -1].norm()
        row = found[f"model.layers.{n}.block_sparse_moe.gate.weight"][1]
        torch.testing.assert_close(row, known.detach(), rtol=1e-4, atol=1e-5)


def test_deepseeks_names(zoo, tmp_path):
    text = FILE.replace("gate_mode: cheap_embed", "gate_mode: random\narchitecture: deepseek")
    found = tensors_of(made(zoo, tmp_path / "out", text + "shared_experts: [{source_model: base}]\n"))
    b, base, block = tensors_of(zoo / "b"), tensors_of(zoo / "base"), "model.layers.2.mlp"
    assert torch.equal(found[f"{block}.experts.1.up_proj.weight"], b[f"{block}.up_proj.weight"])
    assert torch.equal(found[f"{block}.shared_experts.down_proj.weight"], base[f"{block}.down_proj.weight"])
    settings = json.loads((tmp_path / "out" / "config.json").read_text())
    assert settings["n_routed_experts"] == 2 and settings["n_shared_experts"] == 1


def test_the_file_in_the_docs_is_read(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "MERGING.md").read_text(), re.DOTALL)
    config = moe_of(yaml.safe_load(next(one for one in blocks if "gate_mode" in one)), tmp_path)
    assert config.gate == "hidden" and config.experts[1].residual == 0.5 and config.notes == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("b, positive_prompts: [hello]", "b"), "has no positive_prompts"),
        (("base_model: base", ""), "needs a base_model"),
        (("cheap_embed", "cheap"), "one of hidden"),
        (("dtype: float32", "experts_per_token: 3"), "the number of experts"),
        (("dtype: float32", "architecture: gpt"), "not one of mixtral"),
        (("dtype: float32", "architecture: qwen"), "without a shared expert"),
        (("source_model: b", "source_model: deep"), "several architectures"),
        (("source_model: b", "source_model: wide"), "none in"),
        (("residual_scale: 0.5", "residual_scael: 0.5"), "Is it 'residual_scale'?"),
        (("[abc, dab], negative_prompts: [xyz]", "[hello]"), "all experts have the same prompts"),
    ],
)
def test_mixtures_that_cannot_be_made(capsys, zoo, tmp_path, change, said):
    for name, told in (("deep", {"model_type": "gpt2"}), ("wide", {})):
        folder = zoo / name
        if not folder.exists():
            folder.mkdir()
            tensors = load_file(zoo / "b" / "model.safetensors")
            del tensors["model.layers.1.mlp.up_proj.weight"]
            save_file(tensors, folder / "model.safetensors")
            settings = json.loads((zoo / "b" / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(settings | told))
    (zoo / "bad.yml").write_text(FILE.replace(*change))
    assert main(["merge", str(zoo / "bad.yml"), str(tmp_path / "out")]) == 1
    assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_check_counts_without_writing(zoo, tmp_path):
    config = moe_of(yaml.safe_load(FILE), zoo)
    told = check(config, tmp_path / "out")
    assert told["refusals"] == [] and not (tmp_path / "out").exists()
    made(zoo, tmp_path / "out", FILE)
    assert told["tensors"] == len(tensors_of(tmp_path / "out"))
    assert "it exists" in check(config, tmp_path / "out")["refusals"][0]


def test_a_router_for_other_experts_than_there_are_is_named(tmp_path):
    zoo = llamas(tmp_path)
    for name in ("base", "one", "two"):
        tensors = {f"model.layers.0.mlp.experts.{n}.up_proj.weight": torch.randn(2, 3) for n in range(3)}
        tensors["model.layers.0.mlp.gate.weight"] = torch.randn(4, 3)
        for file in (zoo / name).glob("*.safetensors*"):
            file.unlink()
        save_file(tensors, zoo / name / "model.safetensors")
    (said, *_) = preflight(merging(zoo), zoo / "out").refusals
    assert "has 3 experts, and its router 'model.layers.0.mlp.gate.weight' rows for 4" in said
