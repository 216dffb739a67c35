"""What is said before a merge: ancestry, what fits and what it takes; and every refusal names its cure."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.__main__ import main
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.methods import METHODS
from engine.merging.methods.knobs import knobs_of
from engine.merging.preflight import preflight
from tests.support.checkpoints import CONFIG, FILE, WIDTH, family, llama, merging, tensors_of, write
from tests.support.running import ROOT


@pytest.fixture
def zoo(tmp_path):
    return family(tmp_path)


def test_a_sound_merge_is_told_what_it_takes(zoo):
    found = preflight(merging(zoo), zoo / "out")
    assert found.refusals == [] and found.warnings == []
    told = merge(merging(zoo), zoo / "out")
    assert (found.tensors, found.parameters) == (told["tensors"], told["parameters"])
    assert told["bytes"] <= found.disk < told["bytes"] + 10_000 and found.free > found.disk
    assert found.seconds > 0 and found.memory > 12_000_000
    json.dumps(found.to_dict())


def test_ancestry_is_measured_tensor_by_tensor(zoo):
    tensors = tensors_of(zoo / "base")
    name = "model.layers.1.mlp.up_proj.weight"
    changed = tensors[name].clone()
    changed[:12] *= 1.5
    write(zoo / "half", tensors | {name: changed})
    (one,) = preflight(merging(zoo, ["half"]), zoo / "out").ancestry
    ratio, unchanged = one.tensors[name]
    assert unchanged == 0.75
    assert ratio == pytest.approx(0.5 * float(tensors[name][:12].norm() / tensors[name].norm()), rel=1e-4)
    assert one.tensors["model.norm.weight"] == (0.0, 1.0)
    assert not one.foreign and "of the weights are unchanged" in one.says()


def test_a_model_of_another_origin_is_said_to_be_one(zoo):
    write(zoo / "stranger", llama(77))
    found = preflight(merging(zoo, ["one", "stranger"]), zoo / "out")
    assert found.refusals == [] and len(found.warnings) == 1
    assert "this is not fine-tuned from that base" in found.warnings[0] and "stranger" in found.warnings[0]
    assert [one.foreign for one in found.ancestry] == [False, True]


def test_an_expert_that_equals_the_base_is_refused(zoo, capsys):
    shutil.copytree(zoo / "base", zoo / "copy")
    found = preflight(merging(zoo, ["one", "copy"]), zoo / "out")
    assert len(found.refusals) == 1 and "every weight equals the base's" in found.refusals[0]
    assert "copy" in found.refusals[0] and "Leave it out" in found.refusals[0]


def test_numbers_that_are_none_are_named_with_their_file(zoo):
    bad = tensors_of(zoo / "two")
    bad["model.norm.weight"][3] = torch.inf
    write(zoo / "bad", bad)
    (said,) = preflight(merging(zoo, ["one", "bad"]), zoo / "out").refusals
    assert "'model.norm.weight'" in said and str(zoo / "bad" / FILE) in said and "not finite" in said


def test_all_that_does_not_fit_is_named_at_once(zoo):
    """The merge itself stops at the first."""
    bad = tensors_of(zoo / "two")
    del bad["model.norm.weight"]
    bad["model.layers.0.self_attn.q_proj.weight"] = torch.ones(3, 4)
    bad["model.layers.1.mlp.up_proj.weight"] = torch.ones(48, 32, dtype=torch.int8)
    write(zoo / "bad", bad)
    found = preflight(merging(zoo, ["one", "bad"]), zoo / "out")
    assert len(found.refusals) == 3 and all(str(zoo / "bad") in said for said in found.refusals)
    assert any("int8" in said and "quantised" in said for said in found.refusals)


def test_another_architecture(zoo):
    for key, value in (("num_attention_heads", 8), ("rope_theta", 1e6)):
        (zoo / "two" / "config.json").write_text(json.dumps(CONFIG | {key: value}))
        (zoo / "base" / "config.json").write_text(json.dumps(CONFIG | {"rope_theta": 1e4}))
        found = preflight(merging(zoo), zoo / "out")
        said = found.refusals if key == "num_attention_heads" else found.warnings
        assert any(f"{key} {value}" in one for one in said), key
        assert bool(found.refusals) == (key == "num_attention_heads")


@pytest.mark.parametrize("part", ["text_config", "vision_config", "language_config"])
def test_another_architecture_inside_a_part(zoo, part):
    """The shapes are the same: a vision-language model with other heads would be merged without a word."""
    for name, heads, theta, experts in (("base", 4, 1e4, 2), ("two", 2, 1e4, 2), ("one", 4, 1e6, 8)):
        inside = {"num_attention_heads": heads, "rope_theta": theta, "num_experts_per_tok": experts, "use_cache": heads}
        (zoo / name / "config.json").write_text(json.dumps(CONFIG | {part: inside}))
    found = preflight(merging(zoo), zoo / "out")
    assert len(found.refusals) == 1 and f"says {part}.num_attention_heads 2" in found.refusals[0]
    assert any(f"says {part}.rope_theta 1000000.0" in one for one in found.warnings)
    (others,) = [one for one in found.warnings if "differs from" in one]
    assert f"{part}.num_experts_per_tok 8 instead of 2" in others and "use_cache" not in " ".join(found.warnings)


def test_what_differs_and_nobody_knows_is_warned_of(zoo):
    (zoo / "two" / "config.json").write_text(json.dumps(CONFIG | {"logit_scale": 16, "_name_or_path": "two"}))
    (zoo / "base" / "config.json").write_text(json.dumps(CONFIG | {"logit_scale": 8, "_name_or_path": "base"}))
    found = preflight(merging(zoo), zoo / "out")
    assert not found.refusals and any(one.endswith("logit_scale 16 instead of 8.") for one in found.warnings)


def test_one_model_under_two_names(zoo):
    (zoo / "link").symlink_to(zoo / "one")
    assert any("are one model" in said for said in preflight(merging(zoo, ["one", "link"]), zoo / "out").refusals)


@pytest.mark.slow
def test_a_full_disk_is_found_before_the_merge(zoo):
    """The merge says that it needs more than there is; a disk's free bytes are the system's to tell."""
    found = preflight(merging(zoo), zoo / "out")
    code = (
        "import shutil, sys; from pathlib import Path; from engine.merging.preflight import preflight;"
        "from engine.merging.config import read_config; usage = shutil.disk_usage;"
        f"shutil.disk_usage = lambda path: usage(path)._replace(free={found.disk - 1});"
        "print(preflight(read_config(Path(sys.argv[1])), Path(sys.argv[2])).refusals)"
    )
    config = zoo / "m.yml"
    one = "{model: one, parameters: {weight: 1}}"
    config.write_text(f"{{merge_method: task_arithmetic, base_model: base, models: [{one}]}}")
    done = subprocess.run(
        [sys.executable, "-c", code, str(config), str(zoo / "out")], cwd=ROOT, capture_output=True, text=True
    )
    assert "Free disk space" in done.stdout and f"{found.disk:,}" in done.stdout, done.stderr


# At the command line -----------------------------------------------------------------------------------------


def command(zoo, text, *options):
    (zoo / "m.yml").write_text(text)
    return main(["merge", str(zoo / "m.yml"), str(zoo / "out"), *options])


GOOD = "{merge_method: linear, models: [{model: one, parameters: {weight: 1}}, {model: two, parameters: {weight: 1}}]}"


def test_check_prints_and_writes_nothing(zoo, capsys):
    before = sorted(zoo.rglob("*"))
    assert command(zoo, GOOD, "--check") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["refusals"] == [] and told["disk_bytes"] > 0 and told["memory_bytes"] > 0
    assert sorted(path for path in zoo.rglob("*") if path.name != "m.yml") == before


def test_check_prints_what_is_wrong(zoo, capsys):
    shutil.copytree(zoo / "base", zoo / "copy")
    text = "{merge_method: task_arithmetic, base_model: base, models: [{model: copy, parameters: {weight: 1}}]}"
    assert command(zoo, text, "--check") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["ancestry"][0]["unchanged"] == 1.0 and "Leave it out" in said.err
    assert command(zoo, text) == 1 and not (zoo / "out").exists()


def test_one_expert_is_a_merge(zoo, capsys):
    assert command(zoo, "{merge_method: ties, base_model: base, models: [{model: one, parameters: {weight: 1}}]}") == 0
    for name, value in tensors_of(zoo / "one").items():
        torch.testing.assert_close(tensors_of(zoo / "out")[name], value)
    shutil.rmtree(zoo / "out")
    assert command(zoo, "{merge_method: model_stock, base_model: base, models: [{model: one}]}") == 1
    assert "takes 2 or more" in capsys.readouterr().err


def test_a_tensor_that_stands_twice_in_a_header(zoo, capsys):
    """JSON readers keep one of the two without a word."""
    raw = (zoo / "one" / FILE).read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = raw[8 : 8 + length].rstrip()
    entry = json.dumps({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]})
    header = header[:-1] + f', "model.norm.weight": {entry}}}'.encode()
    (zoo / "one" / FILE).write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])
    assert command(zoo, GOOD) == 1
    assert "'model.norm.weight' twice" in capsys.readouterr().err and not (zoo / "out").exists()


def test_forty_experts_are_checked_and_merged(zoo, capsys):
    for n in range(40):
        shutil.copytree(zoo / "two", zoo / f"e{n}")
    found = preflight(merging(zoo, [f"e{n}" for n in range(40)]), zoo / "out")
    assert found.refusals == [] and len(found.ancestry) == 40
    assert found.memory > preflight(merging(zoo, ["e0"]), zoo / "out").memory
    models = ", ".join(f"{{model: e{n}, parameters: {{weight: 1}}}}" for n in range(40))
    assert command(zoo, f"{{merge_method: linear, models: [{models}]}}") == 0
    for name, value in tensors_of(zoo / "two").items():
        torch.testing.assert_close(tensors_of(zoo / "out")[name], value)


def test_an_adapter_is_looked_at_as_the_model_that_it_makes(zoo):
    adapter_of(zoo)
    found = preflight(merging(zoo, ["base+adapter"]), zoo / "out")
    assert found.refusals == []
    (one,) = found.ancestry
    assert [name for name, (_, same) in one.tensors.items() if same < 1] == ["model.layers.0.mlp.up_proj.weight"]
    shutil.rmtree(zoo / "adapter")
    adapter_of(zoo, lora_B=torch.zeros(48, 2))
    (said,) = preflight(merging(zoo, ["base+adapter"]), zoo / "out").refusals
    assert "every weight equals" in said


@pytest.mark.parametrize("name", METHODS)
def test_the_cost_of_every_method_is_known_before_the_merge(zoo, name):
    method = METHODS[name]
    experts = ["one"] if method.max_experts == 1 else ["one", "two"]
    knobs = {
        "lambda" if key == "lam" else key: knob.low if knob.kind == "int" else (knob.low + knob.high) / 2
        for key, knob in knobs_of(method).items()
        if knob.required
    }
    models = [{"model": one} for one in experts]
    config = {"merge_method": name, "models": models, "parameters": knobs}
    if method.base != "none":
        config["base_model"] = "base"
    found = preflight(from_dict(config, zoo), zoo / "out")
    assert found.refusals == [] and found.seconds > 0 and found.memory > 0


def test_bare_files_are_looked_at_too(zoo):
    config = merging(zoo, ["one.safetensors"], base="base.safetensors")
    found = preflight(config, zoo / "out.safetensors")
    assert found.refusals == [] and len(found.ancestry) == 1
    tensors = load_file(zoo / "one.safetensors")
    save_file(tensors | {"more": torch.ones(2)}, zoo / "one.safetensors")
    config = merging(zoo, ["one.safetensors", "two.safetensors"], base="base.safetensors")
    (said,) = preflight(config, zoo / "out.safetensors").warnings
    assert "'more'" in said and "left out" in said


def adapter_of(zoo, settings=None, **pair):
    """A LoRA on the base's first up_proj."""
    module = "base_model.model.model.layers.0.mlp.up_proj"
    (zoo / "adapter").mkdir()
    pair = {"lora_A": torch.ones(2, WIDTH), "lora_B": torch.ones(48, 2)} | pair
    tensors = {f"{module}.{name}.weight": value for name, value in pair.items()}
    save_file(tensors, zoo / "adapter" / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 2} | (settings or {})
    (zoo / "adapter" / "adapter_config.json").write_text(json.dumps(told))


def test_bad_numbers_in_an_adapter_are_its_own(zoo):
    adapter_of(zoo, lora_A=torch.full((2, WIDTH), torch.nan))
    (said,) = preflight(merging(zoo, ["base+adapter"]), zoo / "out").refusals
    assert str(zoo / "adapter" / "adapter_model.safetensors") in said and str(zoo / "base") not in said


def test_bad_numbers_hide_no_difference(zoo):
    """All other tensors equal the base's; that cannot be said of the bad one."""
    tensors = tensors_of(zoo / "base")
    tensors["model.norm.weight"] = torch.full((WIDTH,), torch.nan)
    write(zoo / "bad", tensors)
    (said,) = preflight(merging(zoo, ["one", "bad"]), zoo / "out").refusals
    assert "not finite" in said and str(zoo / "bad") in said


def test_numbers_whose_sum_overflows_are_no_bad_ones(zoo):
    tensors = tensors_of(zoo / "one")
    tensors["model.norm.weight"] = torch.full((WIDTH,), 3e38)
    write(zoo / "large", tensors)
    assert preflight(merging(zoo, ["large"]), zoo / "out").refusals == []


@pytest.mark.parametrize("base", ["base", None])
def test_experts_that_are_one_model_are_told(zoo, base):
    for name in ("again", "more"):
        shutil.copytree(zoo / "one", zoo / name)
    method = "task_arithmetic" if base else "linear"
    found = preflight(merging(zoo, ["one", "two", "again", "more"], method, base), zoo / "out")
    (said,) = found.warnings
    assert found.refusals == [] and "the same weights" in said
    assert all(str(zoo / name) in said for name in ("one", "again", "more")) and str(zoo / "two") not in said


@pytest.mark.parametrize(
    ("name", "is_told"), [("org/Base-7b", True), ("org/BASE", False), ("../elsewhere/base/", False), (None, False)]
)
def test_an_adapter_of_another_base_is_told(zoo, name, is_told):
    adapter_of(zoo, {"base_model_name_or_path": name})
    found = preflight(merging(zoo, ["base+adapter"]), zoo / "out")
    assert found.refusals == [] and len(found.warnings) == is_told
    assert all(name in said and str(zoo / "base") in said for said in found.warnings)


@pytest.mark.parametrize(
    ("method", "one", "shared", "said"),
    [
        ("ties_global", {"weight": 1}, {"density": [0.1, 0.5]}, "density of its own"),
        ("della", {"weight": 1, "density": [{"filter": "norm", "value": 0.1}, {"value": 0.5}]}, {}, "epsilon"),
        ("consensus", {"weight": 1}, {"agree": 5}, "Cannot require 5 experts"),
    ],
)
def test_what_a_method_refuses_is_found_before_the_merge(zoo, capsys, method, one, shared, said):
    """Also where it refuses the values of small tensors only; and the report is printed."""
    models = [{"model": name, "parameters": one} for name in ("one", "two")]
    told = {"merge_method": method, "base_model": "base", "models": models, "parameters": shared}
    assert command(zoo, json.dumps(told), "--check") == 1
    (refused,) = json.loads(capsys.readouterr().out)["refusals"]
    assert said in refused


def test_a_long_descent_is_timed_by_a_short_one(zoo):
    """A million steps of each of 21 matrices would take minutes."""
    config = merging(zoo, method="wudi", parameters={"steps": 10**6})
    usual = merging(zoo, method="wudi", parameters={"steps": 400})
    assert preflight(config, zoo / "out").seconds > 100 * preflight(usual, zoo / "out").seconds


def test_a_place_that_cannot_be_written_is_found_before_the_merge(zoo):
    (said,) = preflight(merging(zoo), zoo / "one.safetensors" / "out").refusals
    assert str(zoo / "one.safetensors") in said and "is not a folder" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_place_is_found_before_the_merge(zoo):
    (zoo / "closed").mkdir(mode=0o500)
    (said,) = preflight(merging(zoo), zoo / "closed" / "out").refusals
    assert "may not be written to" in said
