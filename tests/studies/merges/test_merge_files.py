"""What leaves as a file is the same merge: mergekit runs it to the same tensors, and Mixdesk reads its own back."""

import csv
import io
import json

import pytest
import torch
import yaml

from engine.core.errors import Problem
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.methods import METHODS
from engine.merging.methods.knobs import knobs_of
from engine.merging.methods.memory import merge_in_memory
from engine.merging.reading import point_of
from engine.spec.merge_file import (
    MERGEKIT,
    coefficients_at,
    coefficients_csv,
    coefficients_json,
    merge_yaml,
    mergekit_yaml,
)
from tests.support import checkpoints
from tests.support.checkpoints import llama, tensors_of, write


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Twelve layers, so that layer 1 and layer 11 can be mixed up: (folder, base, experts)."""
    root = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "LAYERS", 12)
        patch.setitem(checkpoints.CONFIG, "num_hidden_layers", 12)
        base = llama(0)
        experts = [llama(n, base) for n in (1, 2)]
        for name, tensors in zip(("base", "one", "two"), (base, *experts), strict=True):
            write(root / name, tensors)
    return root, base, experts


def by_mergekit(text, out):
    """The tensors that the real mergekit makes of a file. Paths are whole: it remembers models by their names."""
    pytest.importorskip("mergekit", reason="mergekit is not installed")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    options = MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False)
    run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), str(out), options)
    return tensors_of(out)


def same(found, known):
    assert found.keys() == known.keys()
    for name, value in known.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("method", ["task_arithmetic", "linear"])
def test_mergekit_runs_coefficients_of_every_tensor_to_the_same(models, tmp_path, method):
    root, base, experts = models
    generator = torch.Generator().manual_seed(4)
    weight = {name: (torch.rand(2, generator=generator) + 0.1).tolist() for name in base} | {"*": [9.0, 9.0]}
    text = mergekit_yaml(method, f"{root}/base", [f"{root}/one", f"{root}/two"], weight)
    found = by_mergekit(text, tmp_path / "theirs")
    same(found, merge_in_memory(method, base, experts, weight.__getitem__))
    merge(from_dict(yaml.safe_load(text), root), tmp_path / "ours")
    same(tensors_of(tmp_path / "ours"), found)


def test_mergekit_runs_coefficients_of_layers_to_the_same(models, tmp_path):
    """Parts of names: layer 1 is not layer 11, and the longest part counts."""
    root, base, experts = models
    weight = {f"layers.{n}.": [0.1 * n, 1 - 0.05 * n] for n in range(12)}
    weight |= {"layers.11.mlp": [0.7, 0.3], "*": [0.2, 0.4]}
    models = f"{root}/base", [f"{root}/one", f"{root}/two"]
    text = mergekit_yaml("task_arithmetic", *models, weight, {"normalize": False, "lam": 0.8})
    found = by_mergekit(text, tmp_path / "theirs")
    known = merge_in_memory("task_arithmetic", base, experts, lambda name: coefficients_at(weight, name), {"lam": 0.8})
    same(found, known)
    assert coefficients_at(weight, "model.layers.11.mlp.up_proj.weight") == [0.7, 0.3]
    assert coefficients_at(weight, "model.norm.weight") == [0.2, 0.4]


def settings(name):
    """Middle values of knobs that have no default."""
    return {
        key: knob.low if knob.kind == "int" else (knob.low + knob.high) / 2
        for key, knob in knobs_of(METHODS[name]).items()
        if knob.required and key != "weight"
    }


OWN = {"ties": {"density": [0.3, 0.6]}, "breadcrumbs": {"density": 0.7, "gamma": 0.1}, "sce": {"select_topk": 0.5}}


@pytest.mark.parametrize("name", MERGEKIT)
def test_mergekit_runs_each_of_its_methods_to_the_same(models, tmp_path, name):
    """Those that draw keep everything here: their masks are compared elsewhere."""
    root, base, experts = models
    count = METHODS[name].max_experts or 2
    knobs = settings(name) | OWN.get(name, {})
    text = mergekit_yaml(name, f"{root}/base", [f"{root}/one", f"{root}/two"][:count], [0.3, 0.6][:count], knobs)
    found = by_mergekit(text, tmp_path / "theirs")
    same(found, merge_in_memory(name, base, experts[:count], [0.3, 0.6][:count], knobs))


@pytest.mark.parametrize("name", METHODS)
def test_our_own_file_gives_the_same_merge(models, tmp_path, name):
    root, base, experts = models
    if METHODS[name].cubic:
        base, *experts = (
            {key: one[key] for key in base if "layers.1." in key or "emb" in key} for one in (base, *experts)
        )
        root = tmp_path
        for model, tensors in zip(("base", "one", "two"), (base, *experts), strict=True):
            write(root / model, tensors)
    count = METHODS[name].max_experts or 2
    knobs = settings(name) | ({"steps": 3} if "steps" in knobs_of(METHODS[name]) else {})
    text = merge_yaml(name, "base", ["one", "two"][:count], [0.3, 0.6][:count], knobs, seed=5)
    merge(from_dict(yaml.safe_load(text), root), tmp_path / "out")
    same(
        tensors_of(tmp_path / "out"),
        merge_in_memory(name, base, experts[:count], [0.3, 0.6], knobs, seed=5)
        if count == 2
        else merge_in_memory(name, base, experts[:count], [0.3], knobs, seed=5),
    )


@pytest.mark.parametrize(
    ("method", "weight", "knobs"),
    [
        ("ties", [0.3, 0.6], {"density": [0.3, 0.6], "normalize": False, "rescale": False, "lam": 0.8}),
        (
            "linear",
            {"model.layers.3.mlp.up_proj.weight": [0.1, 0.2], "model.norm.weight": [5.0, 6.0], "*": [1.0, 2.0]},
            {"normalize": True},
        ),
        ("model_stock", [], {"filter_wise": True}),
        ("pcb", [1.0, 0.5], {"ratio": 0.2, "lam": 1.0}),
    ],
)
def test_a_file_is_opened_as_the_point_that_it_was(models, method, weight, knobs):
    root, _, _ = models
    text = merge_yaml(method, "base", ["one", "two"], weight, knobs, seed=4)
    found = point_of(from_dict(yaml.safe_load(text), root))
    base = None if method == "linear" else f"{root}/base"
    assert found == {
        "method": method,
        "base": base,
        "experts": [f"{root}/one", f"{root}/two"],
        "weight": weight,
        "knobs": knobs,
        "seed": 4,
    }


def test_a_gradient_is_opened_as_coefficients_of_tensors(models):
    root, _, _ = models
    weights = [{"model": "one", "parameters": {"weight": [0.0, 1.1]}}, {"model": "two", "parameters": {"weight": 0.5}}]
    told = {"merge_method": "task_arithmetic", "base_model": "base", "models": weights}
    found = point_of(from_dict(told, root))["weight"]
    for n in range(12):
        assert coefficients_at(found, f"model.layers.{n}.mlp.up_proj.weight") == pytest.approx([0.1 * n, 0.5])
    told["models"][0]["parameters"] = {"weight": 1.0}
    told["parameters"] = {"lambda": [0.0, 1.0]}
    with pytest.raises(Problem, match="its lam differs between tensors"):
        point_of(from_dict(told, root))
    sliced = {
        "merge_method": "linear",
        "slices": [{"sources": [{"model": "one", "layer_range": [0, 2], "parameters": {"weight": 1}}]}],
    }
    with pytest.raises(Problem, match="slices"):
        point_of(from_dict(sliced, root))


def test_what_mergekit_cannot_say_is_a_sentence():
    for name in set(METHODS) - set(MERGEKIT):
        with pytest.raises(Problem, match="Export the merged weights"):
            mergekit_yaml(name, "base", ["one", "two"], [1.0, 1.0], settings(name))
    assert mergekit_yaml("dare_ties", "b", ["x"], [1.0], {"density": 0.5}).startswith("# Mixdesk's and mergekit's")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "tise"}, "'tise'"),
        ({"base": None}, "needs a base"),
        ({"weight": [1.0]}, "2 finite numbers"),
        ({"weight": [1.0, float("nan")]}, "finite"),
        ({"weight": {"model.norm.weight": [1.0, 1.0]}}, "without"),
        ({"knobs": {"densty": 1}}, "'densty'"),
        ({"knobs": {"density": [0.5]}}, "1 values as density"),
    ],
)
def test_what_cannot_be_written_is_a_sentence(change, said):
    given = {"method": "ties", "base": "base", "experts": ["one", "two"], "weight": [1.0, 1.0], "knobs": {}} | change
    with pytest.raises(Problem, match=said):
        merge_yaml(**given)


def test_coefficients_are_read_back_as_they_were():
    experts = ['a, "quoted" name', "two"]
    weight = {"layers.0.": [0.1, 1 / 3], "*": [1e-7, 1.0]}
    head, *rows = csv.reader(io.StringIO(coefficients_csv(experts, weight)))
    assert head == ["tensor", *experts]
    assert {name: [float(value) for value in values] for name, *values in rows} == weight
    told = json.loads(coefficients_json("ties", "base", experts, weight, {"density": 0.4}, seed=3))
    assert told["coefficients"] == weight and told["knobs"] == {"density": 0.4} and told["seed"] == 3
    assert told["experts"] == experts and told["method"] == "ties" and told["base"] == "base"
    assert coefficients_csv(["x"], [0.5]) == "tensor,x\n*,0.5\n"
