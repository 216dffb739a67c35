"""Checkpoint files that are damaged, incomplete or of another kind: a sentence that names the file."""

import json
import os
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.core.errors import Problem
from engine.merging.checkpoints.reader import Checkpoint
from tests.support.checkpoints import CONFIG, FILE

INDEX, NORM = "model.safetensors.index.json", "model.norm.weight"


def refused(path) -> str:
    with pytest.raises(Problem) as found:
        Checkpoint(path).config  # noqa: B018
    assert str(found.value).startswith("Cannot")
    return str(found.value)


def header(file, change):
    raw = file.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    told = json.loads(raw[8 : 8 + length])
    change(told)
    text = json.dumps(told).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": ["a", "b"]},
        {"shape": [None]},
        {"shape": [32.0]},
        {"shape": [True]},
        {"shape": [-4, -8]},
        {"shape": 32},
        {"shape": [33]},
        {"data_offsets": [None, 3]},
        {"data_offsets": [1, 2, 3]},
        {"data_offsets": [0.0, 128.0]},
        {"data_offsets": [0, 128]},
        {"data_offsets": [-128, 0]},
        {"data_offsets": "ab"},
        {"dtype": [1]},
        {"dtype": None},
        {"dtype": {}},
    ],
)
def test_a_header_that_describes_no_tensor(model, entry):
    header(model / FILE, lambda told: told[NORM].update(entry))
    said = refused(model)
    assert str(model / FILE) in said and "damaged" in said


@pytest.mark.parametrize("text", [b"[" * 100_000, b"[]", b"3", b"\xff\xfe{}", b'{"a": 3}', b'{"a": {}}'])
def test_a_header_that_is_none(model, text):
    (model / FILE).write_bytes(struct.pack("<Q", len(text)) + text)
    assert "damaged" in refused(model)


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null", "{", "\xff", "[" * 100_000])
def test_a_config_that_is_no_table(model, text):
    (model / "config.json").write_text(text, encoding="latin1")
    assert str(model / "config.json") in refused(model)


@pytest.mark.parametrize(
    "weights", [{}, {"a": 3}, {"a": ["x"]}, {"a": "../x"}, {"a": "a\0b"}, {"a": ""}, ["a"], None, 3]
)
def test_an_index_that_names_no_files(model, weights):
    (model / INDEX).write_text(json.dumps({"weight_map": weights}))
    assert str(model) in refused(model)


def test_an_index_names_tensors_that_are_there(sharded):
    shard = min(sharded.glob("*.safetensors"))
    tensors = load_file(shard)
    del tensors["lm_head.weight"]
    save_file(tensors, shard)
    said = refused(sharded)
    assert "'lm_head.weight'" in said and shard.name in said


def test_all_shards_are_needed_without_an_index(sharded):
    (sharded / INDEX).unlink()
    assert len(Checkpoint(sharded).tensors) == 30
    min(sharded.glob("*.safetensors")).unlink()
    assert "2 of its 3 files" in refused(sharded)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_file(model, kind):
    file = model / FILE
    file.unlink()
    {"folder": file.mkdir, "pipe": lambda: os.mkfifo(file), "link": lambda: file.symlink_to("nowhere")}[kind]()
    assert "it is not a file" in refused(model)


def test_a_gguf_file_is_named_as_one(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 291, 24) + b"\0" * 99)
    said = refused(tmp_path / "model.gguf")
    assert "GGUF" in said and "damaged" not in said
    for name, begins, what in (("a.bin", b"GGUF", "GGUF"), ("b.pt", struct.pack("<Q", 2) + b"{}", "Name it b.safet")):
        (tmp_path / name).write_bytes(begins + b"\0" * 99)
        assert what in (said := refused(tmp_path / name)) and "pickle" not in said, "whatever its name says"


def test_layers_are_counted_by_a_sound_config_or_by_names(model):
    for told, layers in ((7, 7), (0, 3), (-1, 3), (True, 3), ("9", 3), (None, 3)):
        (model / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": told}))
        assert Checkpoint(model).layers == layers


def test_tensors_may_be_empty(tmp_path):
    tensors = {"a": torch.zeros(0, 4), "b": torch.ones(3), "c": torch.zeros(0), "d": torch.tensor(2.0)}
    save_file(tensors, tmp_path / "x.safetensors")
    found = Checkpoint(tmp_path / "x.safetensors")
    assert {name: found.flat(name).tolist() for name in tensors} == {"a": [], "b": [1, 1, 1], "c": [], "d": [2]}
