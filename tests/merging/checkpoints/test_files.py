"""Which files are a model's weights: as the index or the loaders' rule says; the others are named, and not read."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.__main__ import main
from engine.core.errors import Problem
from engine.merging.checkpoints.adapters import open_model
from engine.merging.checkpoints.reader import Checkpoint
from engine.merging.preflight import preflight
from tests.support.checkpoints import CONFIG, FILE, family, llama, merging, tensors_of, write

HEAD, INDEX = "lm_head.weight", "model.safetensors.index.json"
STRAY = {"layers.0.attention.wq.weight": torch.ones(3, 4), HEAD: torch.zeros(2, 2)}


@pytest.mark.parametrize(
    "stray",
    [
        "consolidated.safetensors",
        "consolidated-00001-of-00002.safetensors",
        "optimizer.safetensors",
        "model.fp16.safetensors",
        "adapter_model.safetensors",
        "training_args.bin",
        "pytorch_model.bin",
        "optimizer.pt",
        "onnx/model.onnx",
        "openvino/openvino_model.bin",
        "original/consolidated.00.pth",
        "model-q4.gguf",
    ],
)
@pytest.mark.parametrize("kind", ["model", "sharded"])
def test_a_stray_file_is_named_and_not_read(request, kind, stray):
    path = request.getfixturevalue(kind)
    (path / stray).parent.mkdir(exist_ok=True)
    save_file(STRAY, path / stray)
    found = Checkpoint(path)
    assert found.tensors.keys() == llama(0).keys() and found.unread == [stray]
    assert stray in found.notes[0] and str(path) in found.notes[0]
    assert ("BASE+" in found.notes[0]) == ("adapter" in stray)


def test_nothing_is_said_of_a_folder_with_nothing_else(model, sharded):
    assert Checkpoint(model).notes == Checkpoint(sharded).notes == []


def test_the_command_names_what_it_did_not_read(tmp_path, capsys):
    """On the terminal, in the JSON of the check, which the page shows, and in that of the merge."""
    family(tmp_path)
    for name in ("base", "one"):
        save_file(STRAY, tmp_path / name / "consolidated.safetensors")
    config = tmp_path / "merge.yml"
    models = [{"model": name, "parameters": {"weight": 0.5}} for name in ("one", "two")]
    config.write_text(json.dumps({"merge_method": "task_arithmetic", "base_model": "base", "models": models}))
    for more in ("--check",), ():
        assert main(["merge", str(config), str(tmp_path / "out"), *more]) == 0
        told = capsys.readouterr()
        said = [one for one in json.loads(told.out)["warnings"] if "consolidated.safetensors" in one]
        assert len(said) == 2 and all(one in told.err for one in said)
    assert tensors_of(tmp_path / "out").keys() == llama(0).keys()


def test_an_index_and_a_whole_file_are_not_chosen_between(sharded):
    """transformers reads the one, and others the other."""
    save_file(llama(1), sharded / FILE)
    with pytest.raises(Problem, match="move away what is stale") as refused:
        Checkpoint(sharded)
    assert FILE in str(refused.value) and INDEX in str(refused.value)


def test_of_several_files_without_a_rule_none_is_chosen(model):
    (model / FILE).rename(model / "a.safetensors")
    assert Checkpoint(model).files == [model / "a.safetensors"]
    save_file(STRAY, model / "b.safetensors")
    with pytest.raises(Problem, match=r"a\.safetensors, b\.safetensors are there"):
        Checkpoint(model)


def test_what_holds_no_weights_says_what_it_holds(model):
    (model / FILE).rename(model / "adapter_model.safetensors")
    with pytest.raises(Problem, match=r"it is an adapter\. Name its base"):
        open_model(str(model))
    inner = model / "0_Transformer"
    inner.mkdir()
    (model / "adapter_model.safetensors").rename(inner / FILE)
    with pytest.raises(Problem, match="its weights lie in 0_Transformer"):
        Checkpoint(model)
    (inner / FILE).unlink()
    (model / "openvino_model.bin").touch()
    (model / "openvino_model.xml").touch()
    with pytest.raises(Problem, match=r"it holds openvino_model\.bin and no \.safetensors file"):
        Checkpoint(model)
    (model / "training_args.bin").touch()
    (model / "pytorch_model.bin").touch()
    with pytest.raises(Problem, match=r"pytorch_model\.bin: it is a pickle"):
        Checkpoint(model)


def indexing(folder, extra, **config):
    """An index that names tensors which no shard holds."""
    told = json.loads((folder / INDEX).read_text())
    told["weight_map"] |= dict.fromkeys(extra, next(iter(told["weight_map"].values())))
    (folder / INDEX).write_text(json.dumps(told))
    (folder / "config.json").write_text(json.dumps(CONFIG | config))


@pytest.mark.parametrize("inside", [None, "text_config"])
def test_an_index_may_name_a_tied_head(tmp_path, inside):
    tied = {"tie_word_embeddings": True}
    config = {inside: tied, "tie_word_embeddings": None} if inside else tied
    for n, name in enumerate(("base", "one")):
        write(tmp_path / name, {key: value for key, value in llama(n).items() if key != HEAD}, shards=2)
        indexing(tmp_path / name, [HEAD], **config)
    found = preflight(merging(tmp_path, ["one"]), tmp_path / "out")
    assert found.refusals == [] and sum("it is tied" in said for said in found.warnings) == 2


@pytest.mark.parametrize("extra", [["shared.weight"], ["model.encoder.embed_tokens.weight"]])
def test_an_index_may_name_other_tied_tensors(sharded, extra):
    indexing(sharded, extra, tie_word_embeddings=True)
    assert extra[0] not in Checkpoint(sharded).tensors


@pytest.mark.parametrize(
    ("extra", "tied", "said"),
    [
        ("model.layers.0.lost.weight", True, "Copy that file again"),
        ("shared.weight", False, "Copy that file again"),
        ("shared.weight", None, "say so in config.json"),
    ],
)
def test_an_index_that_names_what_is_lost_is_refused(sharded, extra, tied, said):
    indexing(sharded, [extra], tie_word_embeddings=tied)
    with pytest.raises(Problem, match=said) as refused:
        Checkpoint(sharded)
    assert extra in str(refused.value)


def test_what_an_index_does_not_name_is_told_and_not_read(sharded):
    file = next(iter(sorted(sharded.glob("*.safetensors"))))
    save_file(load_file(file) | {"left.over.weight": torch.ones(2, 2)}, file)
    found = Checkpoint(sharded)
    assert "left.over.weight" not in found.tensors and len(found.tensors) == len(llama(0))
    assert any("does not name left.over.weight: not read" in note for note in found.notes)
