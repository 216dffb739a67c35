"""Damaged checkpoints: whatever the bytes are, a model is read as it stands, or refused in a sentence."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from engine.core.errors import Problem
from engine.merging.checkpoints.adapters import open_model
from tests.support.checkpoints import family, llama
from tests.support.mutations import CHANGES, FUZZ, damaged

FILES = [
    "two/config.json",
    "two/model.safetensors.index.json",
    "two/model-00001-of-00002.safetensors",
    "one/model.safetensors",
    "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors",
]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    root = family(tmp_path_factory.mktemp("zoo"))
    (root / "adapter").mkdir()
    told = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, "base_model_name_or_path": str(root / "base")}
    (root / "adapter" / "adapter_config.json").write_text(json.dumps(told))
    name, weight = next(one for one in llama(0).items() if "q_proj" in one[0])
    module = f"base_model.model.{name.removesuffix('.weight')}"
    pair = {f"{module}.lora_A.weight": weight[:2].clone(), f"{module}.lora_B.weight": weight[:, :2].clone()}
    save_file(pair, root / "adapter" / "adapter_model.safetensors")
    return root


def takes(zoo, root, name: str, changes) -> None:
    """Open a copy of the model with one damaged file, and read its tensors."""
    folder = shutil.copytree(zoo / name.split("/")[0], root / "model")
    file = folder / name.split("/")[1]
    head = file.read_bytes()
    many = 4096 if file.suffix == ".safetensors" else len(head)  # of weights, the header
    file.write_bytes(damaged(head[:many], changes) + head[many:])
    model = f"{zoo / 'base'}+{folder}" if name.startswith("adapter") else str(folder)
    try:
        found = open_model(model)
        for one in found.tensors.values():
            assert one.size >= 0 and len(one.shape) < 99
    except Problem as problem:
        assert len(str(problem)) > 20


@settings(FUZZ, max_examples=60)
@given(name=st.sampled_from(FILES), changes=CHANGES)
def test_any_checkpoint_is_read_or_a_sentence(zoo, tmp_path_factory, name, changes):
    takes(zoo, tmp_path_factory.mktemp("any"), name, changes)


@pytest.mark.soak
@settings(FUZZ, max_examples=8000)
@given(name=st.sampled_from(FILES), changes=CHANGES)
def test_any_checkpoint_is_read_or_a_sentence_long(zoo, tmp_path_factory, name, changes):
    takes(zoo, tmp_path_factory.mktemp("any"), name, changes)
