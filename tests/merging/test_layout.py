"""What a merge writes: what only some models have, layers by slices, and the files beside the weights."""

import json

import pytest
import torch
from safetensors.torch import save_file

from engine.core.errors import Problem
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from tests.support.checkpoints import CONFIG, FILE, LAYERS, family, merging, tensors_of

NORM, BUFFER = "model.norm.weight", "model.layers.0.self_attn.rotary_emb.inv_freq"


@pytest.fixture
def zoo(tmp_path):
    return family(tmp_path)


def edit(zoo, name, lose=(), **more):
    """Rewrite a model's one file without some tensors and with others."""
    tensors = {key: value for key, value in tensors_of(zoo / name).items() if key not in lose} | more
    save_file(tensors, zoo / name / FILE)


def sliced(zoo, *ranges, method="linear", base=None, **settings):
    """A merge of slices: each a list of (model, first, last)."""
    slices = [
        {"sources": [{"model": model, "layer_range": [first, last]} for model, first, last in one]} for one in ranges
    ]
    told = {"merge_method": method, "slices": slices, "parameters": {"weight": 1}} | settings
    return from_dict(told | ({"base_model": base} if base else {}), zoo)


# What only some models have ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "base"), [("task_arithmetic", "base"), ("linear", None)])
def test_what_only_the_lead_lacks_is_refused(zoo, method, base):
    """The merge would lack it, too."""
    edit(zoo, base or "one", lose=[NORM, "model.layers.2.mlp.up_proj.weight"])
    (said,) = preflight(merging(zoo, method=method, base=base), zoo / "out").refusals
    assert "'model.layers.2.mlp.up_proj.weight' and 1 more" in said and str(zoo / (base or "one")) in said
    with pytest.raises(Problem, match="the merge would lack it"):
        merge(merging(zoo, method=method, base=base), zoo / "out")


def test_what_only_some_experts_have_is_left_out_and_told(zoo):
    edit(zoo, "one", value_head=torch.ones(3))
    found = preflight(merging(zoo), zoo / "out")
    assert found.refusals == [] and "'value_head'" in found.warnings[0] and str(zoo / "one") in found.warnings[0]


def test_slices_lack_nothing_either(zoo):
    edit(zoo, "one", lose=["model.layers.1.mlp.up_proj.weight"])
    config = sliced(zoo, [("one", 0, 2), ("two", 1, 3)], [("base", 2, 3)])
    (said,) = preflight(config, zoo / "out").refusals
    assert "'model.layers.1.mlp.up_proj.weight'" in said and str(zoo / "two") in said


@pytest.mark.parametrize("holder", ["base", "one"])
def test_a_buffer_that_not_all_have_is_left_out(zoo, holder):
    edit(zoo, holder, **{BUFFER: torch.ones(4)})
    found = preflight(merging(zoo), zoo / "out")
    assert found.refusals == [] and [BUFFER in said for said in found.warnings] == [True] * (holder == "base")
    assert merge(merging(zoo), zoo / "out")["tensors"] == 30 and BUFFER not in tensors_of(zoo / "out")


def test_a_buffer_that_all_have_is_written(zoo):
    for name in ("base", "one"):
        edit(zoo, name, **{BUFFER: torch.ones(4)})
    merge(merging(zoo, ["one"]), zoo / "out")
    assert torch.equal(tensors_of(zoo / "out")[BUFFER], torch.ones(4))


# Layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [2, -1, 0, True, "3", None])
def test_all_layers_are_written_whatever_the_config_says(zoo, layers):
    """Some models have more than they count, and no layers were asked for."""
    (zoo / "base" / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": layers}))
    weight = {"weight": [0.0, 1.0]}  # follows the layers
    models = [{"model": "one", "parameters": weight}]
    config = from_dict({"merge_method": "task_arithmetic", "base_model": "base", "models": models}, zoo)
    told = merge(config, zoo / "out")
    assert told["tensors"] == 30
    found, known = tensors_of(zoo / "out"), tensors_of(zoo / "one")
    name = f"model.layers.{LAYERS - 1}.mlp.up_proj.weight"
    torch.testing.assert_close(found[name], known[name])
    assert json.loads((zoo / "out" / "config.json").read_text())["num_hidden_layers"] == layers


@pytest.mark.parametrize("model", ["one", "two"])
def test_layers_that_are_not_there_are_refused(zoo, model):
    ranges = {"one": (0, 3), "two": (0, 3)} | {model: (1, 4)}
    config = sliced(zoo, [(name, *ranges[name]) for name in ("one", "two")], [("one", 1, 3)])
    (said,) = preflight(config, zoo / "out").refusals
    assert "[1, 4]" in said and str(zoo / model) in said and "it has 3" in said


@pytest.mark.parametrize("method", ["task_arithmetic", "nuslerp"])
def test_a_slice_without_layers_of_its_base_is_refused(zoo, method):
    config = sliced(zoo, [("one", 0, 3), ("two", 0, 3)], method=method, base="base")
    (said,) = preflight(config, zoo / "out").refusals
    assert "no layers of the base" in said and str(zoo / "base") in said


def test_a_base_that_only_gives_its_files_needs_no_layers(zoo):
    """For methods without one."""
    merge(sliced(zoo, [("one", 0, 2)], [("two", 2, 3)], base="base"), zoo / "out")
    assert len(tensors_of(zoo / "out")) == 30


def test_config_json_tells_the_layers_that_are_written(zoo):
    kinds = {"layer_types": ["a", "b", "c"], "n_layer": 3, "text_config": {"num_layers": 3, "layer_types": list("xyz")}}
    (zoo / "one" / "config.json").write_text(json.dumps(CONFIG | kinds))
    merge(sliced(zoo, [("one", 0, 2)], [("one", 0, 1)], [("one", 1, 3)]), zoo / "out")
    told = json.loads((zoo / "out" / "config.json").read_text())
    assert told["num_hidden_layers"] == told["n_layer"] == 5 and told["layer_types"] == list("ababc")
    assert told["text_config"] == {"num_layers": 5, "layer_types": list("xyxyz")}


# Files beside the weights ----------------------------------------------------------------------------------------


def test_the_files_of_the_base_come_along(zoo):
    names = ["spiece.model", "sentencepiece.bpe.model", "chat_template.json", "generation_config.json", "merges.txt"]
    for name in [*names, "modeling_own.py", "trainer_state.json"]:
        (zoo / "base" / name).write_text("{}")
    found = preflight(merging(zoo), zoo / "out")
    assert any("modeling_own.py" in said and "not copied" in said for said in found.warnings)
    merge(merging(zoo), zoo / "out")
    written = {file.name for file in (zoo / "out").iterdir()}
    assert written == {*names, "config.json", "README.md", FILE}


@pytest.mark.parametrize(("out", "said"), [("out", "has no config.json"), ("out.safetensors", "not written beside")])
def test_what_the_output_goes_without_is_told(zoo, out, said):
    if out == "out":
        (zoo / "base" / "config.json").unlink()
    (told,) = preflight(merging(zoo), zoo / out).warnings
    assert said in told and str(zoo / "base") in told
