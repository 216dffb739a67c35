"""What is said before a merge: ancestry, tokens, tied weights, what it takes; and every refusal names its cure."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.__main__ import main
from engine.merge_methods import METHODS
from engine.merge_methods.knobs import REQUIRED, knobs_of
from engine.merging.config import from_dict
from engine.merging.merge import merge
from engine.merging.preflight import preflight
from tests.checkpoints import CONFIG, FILE, VOCABULARY, WIDTH, family, llama, tensors_of, write
from tests.conftest import ROOT


@pytest.fixture
def zoo(tmp_path):
    return family(tmp_path)


def merging(zoo, experts=("one", "two"), method="task_arithmetic", base="base", **settings):
    models = [{"model": name, "parameters": {"weight": 0.5}} for name in experts]
    return from_dict({"merge_method": method, "base_model": base, "models": models} | settings, zoo)


def vocabulary(folder, tokens, added=()):
    """tokenizer.json with these tokens, numbered from 0, and others added behind."""
    told = {"model": {"type": "BPE", "vocab": {token: n for n, token in enumerate(tokens)}},
            "added_tokens": [{"content": token, "id": len(tokens) + n} for n, token in enumerate(added)]}  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(told))


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


def test_one_model_under_two_names(zoo):
    (zoo / "link").symlink_to(zoo / "one")
    assert any("are one model" in said for said in preflight(merging(zoo, ["one", "link"]), zoo / "out").refusals)


def test_a_full_disk_is_foreseen(zoo):
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
    done = subprocess.run([sys.executable, "-c", code, str(config), str(zoo / "out")], cwd=ROOT, capture_output=True,
                          text=True)  # fmt: skip
    assert "Free disk space" in done.stdout and f"{found.disk:,}" in done.stdout, done.stderr


# Tokens ------------------------------------------------------------------------------------------------------


def test_tokens_in_other_places_are_refused(zoo):
    vocabulary(zoo / "base", ["a", "b", "c"])
    vocabulary(zoo / "one", ["a", "b", "c"])
    vocabulary(zoo / "two", ["a", "c", "b"])
    found = preflight(merging(zoo), zoo / "out")
    (said,) = found.refusals
    assert "'b' is number 2, and 1 in" in said and "2 tokens in all" in said and str(zoo / "two") in said
    assert [one.same for one in found.vocabularies] == [True, False]


def test_two_tokens_with_one_number_are_refused(zoo):
    vocabulary(zoo / "base", ["a", "b", "c"])
    vocabulary(zoo / "two", ["a", "b", "d"])
    (said,) = preflight(merging(zoo), zoo / "out").refusals
    assert "number 2 is the token 'd', and 'c' in" in said


def longer(zoo, rows):
    """An expert with other rows, whose tokens are the base's and more, or fewer."""
    generator = torch.Generator().manual_seed(9)
    tensors = tensors_of(zoo / "two")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        more = torch.randn(max(0, rows - VOCABULARY), WIDTH, generator=generator)
        tensors[name] = torch.cat([tensors[name], more])[:rows]
    write(zoo / "other", tensors)
    vocabulary(zoo / "base", [f"t{n}" for n in range(VOCABULARY)])
    vocabulary(zoo / "other", [f"t{n}" for n in range(min(rows, VOCABULARY))],
               [f"new{n}" for n in range(rows - VOCABULARY)])  # fmt: skip
    return tensors


@pytest.mark.parametrize("rows", [VOCABULARY + 3, VOCABULARY - 5])
def test_rows_of_tokens_that_only_one_knows(zoo, rows):
    """Left out where the base does not know them; the base's own where the expert does not."""
    tensors = longer(zoo, rows)
    found = preflight(merging(zoo, ["other"]), zoo / "out")
    assert found.refusals == [] and len(found.warnings) == 1
    assert ("'new0', 'new1', 'new2'" if rows > VOCABULARY else "5 of the base's tokens") in found.warnings[0]
    merge(merging(zoo, ["other"]), zoo / "out")
    merged, base = tensors_of(zoo / "out"), tensors_of(zoo / "base")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        known = base[name].clone()
        shared = min(rows, VOCABULARY)
        known[:shared] += 0.5 * (tensors[name][:shared] - base[name][:shared])
        torch.testing.assert_close(merged[name], known)


def test_an_adapter_may_bring_tokens_of_its_own(zoo):
    """It keeps whole embeddings that are longer than the base's, and its folder says which tokens these are."""
    tensors = longer(zoo, VOCABULARY + 3)
    adapter = zoo / "adapter"
    adapter.mkdir()
    whole = {f"base_model.model.{name}": tensors[name] for name in ("model.embed_tokens.weight", "lm_head.weight")}
    save_file(whole, adapter / "adapter_model.safetensors")
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2}))
    shutil.copy(zoo / "other" / "tokenizer.json", adapter)
    found = preflight(merging(zoo, ["base+adapter"]), zoo / "out")
    assert found.refusals == [] and "'new0', 'new1', 'new2'" in found.warnings[0]
    merge(merging(zoo, ["base+adapter"]), zoo / "out")
    base, name = tensors_of(zoo / "base"), "lm_head.weight"
    torch.testing.assert_close(tensors_of(zoo / "out")[name], (base[name] + tensors[name][:VOCABULARY]) / 2)


def test_other_rows_without_a_vocabulary_are_refused(zoo):
    longer(zoo, VOCABULARY + 3)
    (zoo / "other" / "tokenizer.json").unlink()
    found = preflight(merging(zoo, ["other"]), zoo / "out")
    assert len(found.refusals) == 2 and all("vocabularies differ" in said for said in found.refusals)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer.json", json.dumps({"model": {"type": "Unigram", "vocab": [["a", -1.0], ["b", -2.0]]}})),
        ("vocab.json", json.dumps({"a": 0, "b": 1})),
        ("vocab.txt", "a\nb\n"),
    ],
)
def test_every_kind_of_vocabulary_is_read(zoo, name, text):
    vocabulary(zoo / "base", ["a", "b"])
    (zoo / "one" / name).write_text(text)
    (one,) = preflight(merging(zoo, ["one"]), zoo / "out").vocabularies
    assert one.same and one.file == zoo / "one" / name


def test_a_broken_vocabulary_is_named(zoo):
    vocabulary(zoo / "base", ["a"])
    (zoo / "one" / "tokenizer.json").write_text('{"model": {}}')
    (said,) = preflight(merging(zoo), zoo / "out").refusals
    assert str(zoo / "one" / "tokenizer.json") in said


# Tied weights ------------------------------------------------------------------------------------------------


def test_tied_weights_stay_tied(zoo):
    """A base that ties its head: it is not written twice, whether a checkpoint holds the copy or not."""
    for name in ("base", "one", "two"):
        tensors = tensors_of(zoo / name)
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        if name == "two":
            del tensors["lm_head.weight"]
        shutil.rmtree(zoo / name)
        write(zoo / name, tensors)
        (zoo / name / "config.json").write_text(json.dumps(CONFIG | {"tie_word_embeddings": True}))
    found = preflight(merging(zoo), zoo / "out")
    assert found.refusals == [] and any("lm_head.weight is tied" in said for said in found.warnings)
    merge(merging(zoo), zoo / "out")
    assert "lm_head.weight" not in tensors_of(zoo / "out")
    assert json.loads((zoo / "out" / "config.json").read_text())["tie_word_embeddings"]


def test_the_merged_model_runs_with_its_tied_head(zoo):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    tied = CONFIG | {"tie_word_embeddings": True}
    for name in ("base", "one", "two"):
        tensors = tensors_of(zoo / name)
        del tensors["lm_head.weight"]
        shutil.rmtree(zoo / name)
        write(zoo / name, tensors)
        (zoo / name / "config.json").write_text(json.dumps(tied))
    merge(merging(zoo), zoo / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(zoo / "out")
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    torch.testing.assert_close(model.lm_head.weight, tensors_of(zoo / "out")["model.embed_tokens.weight"])


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


def test_forty_experts_are_foreseen_and_merged(zoo, capsys):
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
    adapter = zoo / "adapter"
    adapter.mkdir()
    module = "base_model.model.model.layers.0.mlp.up_proj"
    pair = {f"{module}.lora_A.weight": torch.ones(2, WIDTH), f"{module}.lora_B.weight": torch.ones(48, 2)}
    save_file(pair, adapter / "adapter_model.safetensors")
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2}))
    found = preflight(merging(zoo, ["base+adapter"]), zoo / "out")
    assert found.refusals == []
    (one,) = found.ancestry
    assert [name for name, (_, same) in one.tensors.items() if same < 1] == ["model.layers.0.mlp.up_proj.weight"]
    for tensor in pair.values():
        tensor.zero_()
    save_file(pair, adapter / "adapter_model.safetensors")
    (said,) = preflight(merging(zoo, ["base+adapter"]), zoo / "out").refusals
    assert "every weight equals" in said


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_foreseen(zoo, name):
    method = METHODS[name]
    experts = ["one"] if method.most == 1 else ["one", "two"]
    knobs = {
        "lambda" if key == "lam" else key: knob.low if knob.kind is int else (knob.low + knob.high) / 2
        for key, knob in knobs_of(method).items() if knob.default is REQUIRED
    }  # fmt: skip
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
    (said,) = preflight(config, zoo / "out.safetensors").warnings
    assert "'more'" in said and "left out" in said
