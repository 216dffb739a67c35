"""The command `merge` on real checkpoints: the same tensors as mergekit, whole output or none, and bad input named."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.__main__ import main
from engine.core.errors import Problem
from engine.merging.checkpoints.reader import Checkpoint
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.methods.memory import merge_in_memory
from tests.support.checkpoints import CONFIG, family, tensors_of


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return family(tmp_path_factory.mktemp("zoo"))


def run(zoo, out, text: str):
    """Merge as a YAML text says, through the command."""
    config = zoo / f"{out.name}.yml"
    config.write_text(text)
    assert main(["merge", str(config), str(out)]) == 0
    return tensors_of(out) if out.is_dir() else load_file(out)


TIES = """
merge_method: ties
base_model: base
models:
  - model: one
    parameters: {weight: [0.2, 1.0], density: 0.4}
  - model: two
    parameters:
      weight:
        - {filter: self_attn, value: 0.9}
        - {filter: layers.1., value: [0.1, 0.5]}
        - value: 0.3
      density: 0.7
parameters: {normalize: false, lambda: 0.8}
dtype: float32
"""
SLERP = """
merge_method: slerp
base_model: base
models: [{model: base}, {model: one}]
parameters:
  t:
    - {filter: mlp, value: [0, 0.5, 1]}
    - {value: 0.4}
dtype: float32
"""
SLICES = """
merge_method: linear
slices:
  - sources:
      - {model: one, layer_range: [0, 2], parameters: {weight: 0.7}}
      - {model: two, layer_range: [1, 3], parameters: {weight: [0.1, 0.9]}}
  - sources:
      - {model: base, layer_range: [2, 3], parameters: {weight: 1.0}}
      - {model: one, layer_range: [2, 3], parameters: {weight: 1e-1}}
dtype: float32
"""
ARITHMETIC = """
merge_method: task_arithmetic
base_model: base
models: [{model: one, parameters: {weight: 0.6, density: 0.5}}, {model: two, parameters: {weight: 0.3}}]
dtype: float32
out_dtype: bfloat16
"""
STOCK = "{merge_method: model_stock, base_model: base, models: [{model: one}, {model: two}], dtype: float32}"
CONFIGS = {"ties": TIES, "slerp": SLERP, "slices": SLICES, "arithmetic": ARITHMETIC, "stock": STOCK}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_file_gives_the_tensors_of_mergekit(zoo, tmp_path, name, monkeypatch):
    pytest.importorskip("mergekit", reason="mergekit is not installed")
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    found = run(zoo, tmp_path / name, CONFIGS[name])
    monkeypatch.chdir(zoo)
    options = MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False)
    run_merge(MergeConfiguration.model_validate(yaml.safe_load(CONFIGS[name])), str(tmp_path / "theirs"), options)
    theirs = tensors_of(tmp_path / "theirs")
    assert found.keys() == theirs.keys()
    for tensor, value in theirs.items():
        assert found[tensor].dtype == value.dtype and found[tensor].shape == value.shape, tensor
        step = 1e-2 if value.dtype == torch.bfloat16 else 1e-5
        torch.testing.assert_close(found[tensor], value, rtol=step, atol=step, msg=lambda m, t=tensor: f"{t}: {m}")


def test_bare_files_merge_into_a_file(zoo, tmp_path):
    text = TIES
    for name in ("base", "one", "two"):
        text = text.replace(f"model: {name}", f"model: {name}.safetensors")
    found = run(zoo, tmp_path / "out.safetensors", text)
    folders = run(zoo, tmp_path / "out", TIES)
    assert found.keys() == folders.keys() and all(torch.equal(found[name], folders[name]) for name in found)


def test_the_output_is_a_whole_model(zoo, tmp_path):
    config = from_dict(
        {
            "merge_method": "linear",
            "models": [{"model": "one", "parameters": {"weight": 1}}, {"model": "two", "parameters": {"weight": 1}}],
            "out_dtype": "bfloat16",
        },
        zoo,
    )
    told = merge(config, tmp_path / "out", shard_bytes=30_000)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1 and told["tensors"] == len(index["weight_map"])
    assert json.loads((tmp_path / "out" / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert "`linear`" in (tmp_path / "out" / "README.md").read_text()
    (zoo / "one" / "config.json").write_text(json.dumps(CONFIG | {"dtype": "float32"}))  # as transformers 5 has it
    merge(config, tmp_path / "five")
    (zoo / "one" / "config.json").write_text(json.dumps(CONFIG))
    assert json.loads((tmp_path / "five" / "config.json").read_text())["dtype"] == "bfloat16"
    again = Checkpoint(tmp_path / "out")
    for name, stored in again.tensors.items():
        mean = (tensors_of(zoo / "one")[name] + tensors_of(zoo / "two")[name]) / 2
        torch.testing.assert_close(again.flat(name).reshape(stored.shape), mean.bfloat16())
    assert not list(tmp_path.glob(".*"))


def test_whole_numbers_are_copied_and_must_agree(tmp_path):
    for name, ids in (("a", [1, 2]), ("b", [1, 2]), ("c", [1, 3])):
        save_file({"ids": torch.tensor(ids), "w": torch.ones(3)}, tmp_path / f"{name}.safetensors")

    def pair(other):
        weight = {"parameters": {"weight": 1}}
        names = [{"model": "a.safetensors", **weight}, {"model": f"{other}.safetensors", **weight}]
        return from_dict({"merge_method": "linear", "models": names}, tmp_path)

    merge(pair("b"), tmp_path / "out.safetensors")
    assert load_file(tmp_path / "out.safetensors")["ids"].tolist() == [1, 2]
    with pytest.raises(Problem, match=r"'ids'.*integer tensor"):
        merge(pair("c"), tmp_path / "no.safetensors")
    assert not (tmp_path / "no.safetensors").exists() and not list(tmp_path.glob(".*"))


def test_files_that_mergekit_takes_are_taken(zoo, tmp_path):
    """0 and 1 for false and true, anchors and aliases, merge keys, negative weights, and a t past 1."""
    same = """
    merge_method: ties
    base_model: base
    models:
      - {model: one, parameters: &own {weight: -1e-1, density: 0.5}}
      - {model: two, parameters: {<<: *own, weight: 0.7}}
    parameters: {normalize: 0}
    """
    plain = """
    merge_method: ties
    base_model: base
    models:
      - {model: one, parameters: {weight: -0.1, density: 0.5}}
      - {model: two, parameters: {density: 0.5, weight: 0.7}}
    parameters: {normalize: false}
    """
    found, known = (run(zoo, tmp_path / name, text) for name, text in (("same", same), ("plain", plain)))
    assert all(torch.equal(found[name], known[name]) for name in known)
    beyond = run(zoo, tmp_path / "beyond", SLERP.replace("0.4", "1.5"))
    assert not torch.equal(beyond["model.norm.weight"], tensors_of(zoo / "one")["model.norm.weight"])


def test_a_filter_that_fits_nothing_is_told(capsys, zoo, tmp_path):
    run(zoo, tmp_path / "out", TIES.replace("layers.1.", "layrs.1."))
    said = capsys.readouterr().err
    assert "The filter 'layrs.1.' of weight matches no tensor" in said and "'self_attn'" not in said


def test_forty_experts(zoo, tmp_path):
    for n in range(40):
        shutil.copytree(zoo / "two", tmp_path / f"e{n}")
    models = [{"model": str(tmp_path / f"e{n}"), "parameters": {"weight": 1 / 40, "density": 0.5}} for n in range(40)]
    config = from_dict({"merge_method": "ties", "base_model": "base", "models": models}, zoo)
    merge(config, tmp_path / "out")
    one = from_dict(
        {
            "merge_method": "ties",
            "base_model": "base",
            "models": [{"model": "two", "parameters": {"weight": 1, "density": 0.5}}],
        },
        zoo,
    )
    merge(one, tmp_path / "single")
    for name, value in tensors_of(tmp_path / "single").items():
        torch.testing.assert_close(tensors_of(tmp_path / "out")[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["ties_global", "pcb", "emr_task", "doge_ta"])
def test_a_method_that_looks_at_the_whole_model_gives_the_same_from_files_and_in_memory(zoo, tmp_path, name):
    """In memory the tensors come in another order than in the files' headers."""
    task = {"emr_task": {"task": 2}, "doge_ta": {"steps": 20}}.get(name, {})
    models = [{"model": one, "parameters": {"weight": weight}} for one, weight in (("one", 0.6), ("two", 0.9))]
    config = {"merge_method": name, "base_model": "base", "models": models, "parameters": task}
    told = []
    merge(from_dict(config, zoo), tmp_path / "out", lambda done, total, note: told.append(note))
    base, *experts = (tensors_of(zoo / one) for one in ("base", "one", "two"))
    known = merge_in_memory(name, base, experts, [0.6, 0.9], task)
    found = tensors_of(tmp_path / "out")
    assert any(note.startswith("first pass: ") for note in told)
    for key, value in known.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


def test_a_calibrated_merge_counts_what_experts_share_once(zoo, tmp_path):
    """Two copies of one expert at weight 1 add its change twice; calibrated, it counts once: the expert itself."""
    for name in ("one", "again"):
        shutil.copytree(zoo / "one", tmp_path / name)
    models = [{"model": str(tmp_path / name), "parameters": {"weight": 1.0}} for name in ("one", "again")]
    told = {"merge_method": "task_arithmetic", "base_model": "base", "models": models, "svc": 0.1}
    merge(from_dict(told, zoo), tmp_path / "out")
    found, base, one = (tensors_of(folder) for folder in (tmp_path / "out", zoo / "base", zoo / "one"))
    for name, value in one.items():
        known = value if value.ndim == 2 else base[name] + 2 * (value - base[name])
        torch.testing.assert_close(found[name], known, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("change", "said"), [({"svc": 0}, "above 0"), ({"merge_method": "linear"}, "with a base")])
def test_what_cannot_be_calibrated(zoo, change, said):
    models = [{"model": "one", "parameters": {"weight": 1.0}}]
    told = {"merge_method": "task_arithmetic", "base_model": "base", "models": models, "svc": 0.1} | change
    with pytest.raises(Problem, match=said):
        from_dict(told, zoo)
