"""Merge studies of external language models: preflight, merges in place, bits per byte, checkpoints out."""

import json
import math
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from engine.core.errors import Problem
from engine.core.workspace import Workspace
from engine.merging.checkpoints.reader import Checkpoint
from engine.merging.config import from_dict
from engine.merging.measuring.flips import Losses
from engine.merging.measuring.language_models import ModelMerges, loaded
from engine.merging.merge import merge
from engine.metrics import LOSS
from engine.spec.flips import WINDOWS
from engine.spec.merge import MergeSpec, anatomy_file
from engine.spec.merge_point import merge_file
from engine.spec.tasks import Merging
from store import jobs, runs, studies
from store.database import Store
from tests.support import language_models
from tests.support.running import answer, copied, engine

pytest.importorskip("transformers", reason="transformers is not installed: requirements-transformers.txt")
STUDY = """
name = "Brought"
corpus = "small"
domains = ["python", "prose"]
runs = 8
surrogates = ["ridge", "gp"]
flips = true
[merge]
base = "base"
experts = {python = "python", prose = "prose"}
eval_bytes = 4096
"""


@pytest.fixture(scope="module")
def desk(finished, tiny_llamas, tmp_path_factory):
    """A workspace with a corpus and a family of checkpoints."""
    root = tmp_path_factory.mktemp("brought")
    copied(finished, root / "workspace")
    shutil.copytree(tiny_llamas, root / "workspace" / "checkpoints", dirs_exist_ok=True)
    return root / "workspace"


def task(desk, **merge) -> Merging:
    """The task of a merge job."""
    spec = MergeSpec(base="base", experts={"python": "python", "prose": "prose"}, eval_bytes=4096, **merge)
    return Merging(
        study="s",
        merge=spec.to_dict(),
        names=["python", "prose"],
        base="checkpoints/base",
        experts={"python": "checkpoints/python", "prose": "checkpoints/prose"},
        corpus="small",
        domains=["python", "prose"],
        fidelity=None,
    )


def state_of(merges) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in merges.places.items()}


def test_one_expert_at_one_is_that_expert_and_zero_is_the_base(desk):
    merges = ModelMerges(task(desk), desk, "cpu")
    for point, name in (([0, 0], "base"), ([1, 0], "python"), ([0, 1], "prose"), ([0, 0], "base")):
        merges.build(np.array(point, float))
        wanted = load_file(desk / "checkpoints" / name / "model.safetensors")
        assert all(torch.allclose(merges.places[key], value, atol=1e-6) for key, value in wanted.items())
    losses, errors = merges.measure(np.eye(2))
    assert losses[0, 0] < losses[1, 0] and losses[1, 1] < losses[0, 1] and (errors > 0).all()
    counting = ModelMerges(replace(task(desk), flips=True), desk, "cpu")
    worse = counting.measure(np.array([[0, 0], [1, 0], [0, 1]], float))[0]
    assert counting.measures[-1] == WINDOWS and worse[0, -1] == 0 < min(worse[1:, -1])
    np.testing.assert_array_equal(worse[1:, :-1], losses)


@pytest.mark.parametrize("method", ["ties", "slerp", "ties_global", "dare_linear", "iso_c"])
def test_a_merge_in_place_is_the_merge_on_disk(desk, tmp_path, method):
    tuned = {"t": (0.0, 1.0)} if method == "slerp" else {}
    spec, point = task(desk, method=method, tuned=tuned), np.array([0.7, 0.4])
    if method == "slerp":
        alone = spec.merge | {"experts": {"python": "python"}}
        spec = replace(spec, merge=alone, names=["t"], experts={"python": "checkpoints/python"})
        point = np.array([0.3])
    merges = ModelMerges(spec, desk, "cpu")
    merges.build(point)
    text = merge_file(merges.merge, merges.experts, merges.names, point, merges.paths)
    merge(from_dict(yaml.safe_load(text), tmp_path), tmp_path / "out")
    wanted = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.allclose(merges.places[key], value, atol=1e-6) for key, value in wanted.items())
    on_disk, _ = loaded(tmp_path / "out", "cpu")
    tokens = torch.arange(32)[None]
    assert torch.allclose(on_disk(tokens).logits, merges.model(tokens).logits, atol=1e-5)


def test_coefficients_by_layer_reach_their_layer_only(desk):
    spec = task(desk, by="layer")
    blocks = ("rest", "layer 0", "layer 1")
    names = [f"{expert} @ {block}" for expert in ("python", "prose") for block in blocks]
    merges = ModelMerges(replace(spec, names=names), desk, "cpu")
    merges.build(np.zeros(6))
    before = state_of(merges)
    merges.build(np.array([0, 0, 1, 0, 0, 0], float))
    moved = {name for name, value in merges.places.items() if not torch.equal(value, before[name])}
    assert moved and all(".1." in name for name in moved)


def test_bits_per_byte_count_every_byte_once(desk):
    """A model that knows nothing needs log2(V) bits a token, whatever a token is."""
    merges = ModelMerges(task(desk), desk, "cpu")
    with torch.no_grad():
        for value in merges.model.parameters():
            value.zero_()
    nats, _ = merges._sums("prose", Losses(), (LOSS,))
    targets = sum(len(one.ids) - 1 for one in merges.windows["prose"])
    assert nats.sum() == pytest.approx(targets * math.log(language_models.VOCABULARY), rel=1e-5)
    first = merges.windows["prose"][0]
    assert len(merges.tokenizer.decode(first.ids[1:]).encode()) == first.size


def test_a_study_of_external_models_from_the_command_line(desk):
    (desk.parent / "brought.toml").write_text(STUDY)
    engine(desk, "start", str(desk.parent / "brought.toml"), "--wait")
    store = Store(Workspace.open(desk))
    try:
        study = studies.get(store, "Brought")
        rows = runs.table(store, study.id).to_pylist()
        assert {row["state"] for row in rows} == {"done"} and {row["role"] for row in rows} == {"baseline", "design"}
        report = json.loads((desk / "experts" / study.id / "preflight.json").read_text())
        assert report["refusals"] == [] and report["parameters"] > 20_000 and report["memory_bytes"] > 0
        assert [one["says"] for one in report["ancestry"] if "not fine-tuned" in one["says"]] == []
        moved = json.loads((desk / anatomy_file(study.id)).read_text())
        assert np.shape(moved["moved"]) == (2, len(moved["tensors"]))
    finally:
        store.close()
    found = answer(desk, "search-merges", "Brought", "--evaluations", "6", "--wait")
    assert found["found"]["evaluations"] == 6


def test_a_file_that_names_the_bases_tokenizer_is_merged_as_mergekit_does(desk, tmp_path):
    mergekit = pytest.importorskip("mergekit.merge", reason="mergekit is not installed")
    from mergekit.config import MergeConfiguration
    from mergekit.options import MergeOptions

    folder = desk / "checkpoints"
    values = {
        "merge_method": "task_arithmetic",
        "base_model": str(folder / "base"),
        "tokenizer_source": "base",
        "models": [{"model": str(folder / name), "parameters": {"weight": 0.5}} for name in ("python", "prose")],
        "dtype": "float32",
    }
    merge(from_dict(values, folder), tmp_path / "ours")
    options = MergeOptions(quiet=True, write_model_card=False)
    mergekit.run_merge(MergeConfiguration.model_validate(values), str(tmp_path / "theirs"), options)
    ours, theirs = Checkpoint(tmp_path / "ours"), Checkpoint(tmp_path / "theirs")
    assert ours.tensors.keys() == theirs.tensors.keys() and (tmp_path / "ours" / "tokenizer.json").exists()
    for name in theirs.tensors:
        torch.testing.assert_close(ours.flat(name), theirs.flat(name), rtol=1e-5, atol=1e-5)


def test_what_does_not_fit_is_refused_before_anything_is_merged(desk):
    wrong = desk / "checkpoints" / "wrong"
    shutil.copytree(desk / "checkpoints" / "python", wrong)
    tensors = load_file(wrong / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name] = tensors[name][:10].contiguous()
    save_file(tensors, wrong / "model.safetensors")
    text = STUDY.replace('"Brought"', '"Wrong"').replace('prose = "prose"', 'prose = "wrong"')
    (desk.parent / "wrong.toml").write_text(text)
    done = engine(desk, "start", str(desk.parent / "wrong.toml"), "--wait", check=False)
    assert done.returncode == 1 and name in done.stderr and "Traceback" not in done.stderr
    store = Store(Workspace.open(desk))
    try:
        study = studies.get(store, "Wrong")
        states = {job.kind: job for job in jobs.of_study(store, study.id)}
        assert states["preflight"].state == "failed" and name in states["preflight"].message
        assert states["merge"].state != "done" and study.done == 0
    finally:
        store.close()
    missing = text.replace('"Wrong"', '"Missing"').replace('"wrong"', '"nowhere"')
    (desk.parent / "missing.toml").write_text(missing)
    done = engine(desk, "start", str(desk.parent / "missing.toml"), check=False)
    assert done.returncode == 1 and "Cannot find the checkpoint 'nowhere'" in done.stderr


def test_a_head_that_one_expert_unties_is_measured_apart(desk, tmp_path):
    """An adapter trained a copy of the embedding: the measured model has two tensors, as the written one has."""
    folder = desk / "checkpoints"
    own = load_file(folder / "base" / "model.safetensors")["model.embed_tokens.weight"]
    (folder / "adapter").mkdir()
    whole = {"base_model.model.model.embed_tokens.weight": own + 0.1}
    save_file(whole, folder / "adapter" / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "modules_to_save": ["embed_tokens"]}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(told))
    one = replace(task(desk), experts={"python": "checkpoints/adapter", "prose": "checkpoints/prose"})
    merges = ModelMerges(one, desk, "cpu")
    merges.build(np.array([1.0, 0.0]))
    torch.testing.assert_close(merges.places["lm_head.weight"], own)
    torch.testing.assert_close(merges.places["model.embed_tokens.weight"], own + 0.1)
    assert merges.model.lm_head.weight is not merges.model.model.embed_tokens.weight
    assert np.isfinite(merges.measure(np.array([[1.0, 0.0]]))[0]).all()


def test_code_in_a_checkpoint_is_never_run(desk, tmp_path):
    shutil.copytree(desk / "checkpoints" / "base", tmp_path / "odd")
    config = json.loads((tmp_path / "odd" / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    (tmp_path / "odd" / "config.json").write_text(json.dumps(config))
    with pytest.raises(Problem, match="auto_map"):
        loaded(tmp_path / "odd", "cpu")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("qwen2_vl", "Qwen2VLForConditionalGeneration"), ("t5", "T5ForConditionalGeneration"), ("clip", "CLIPModel")],
)
def test_models_that_predict_no_next_token_are_refused_as_what_they_are(desk, tmp_path, kind, name):
    shutil.copytree(desk / "checkpoints" / "base", tmp_path / "odd")
    (tmp_path / "odd" / "config.json").write_text(json.dumps({"model_type": kind, "architectures": [name]}))
    with pytest.raises(Problem, match=f"but {name}. Studies measure those only") as told:
        loaded(tmp_path / "odd", "cpu")
    assert "Copy" not in str(told.value)


def test_without_transformers_the_sentence_says_how_to_install_it(desk, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(Problem, match=r"pip install -r requirements-transformers.txt"):
        ModelMerges(task(desk), desk, "cpu")
