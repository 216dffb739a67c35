"""Files of mergekit's examples and documentation run, to the tensors of mergekit; also what they say of tokenizers."""

import json
import logging

import pytest
import torch
import yaml
from tokenizers import Tokenizer

from engine.merging.config import from_dict
from engine.merging.merge import merge
from tests.support.checkpoints import tensors_of
from tests.support.spoken import speakers


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return speakers(tmp_path_factory.mktemp("speakers"))


@pytest.fixture(scope="module")
def mergekit():
    pytest.importorskip("mergekit", reason="mergekit is not installed")
    from mergekit.config import MergeConfiguration
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    def run(text: str, out) -> None:
        LoaderCache.loaders.clear()
        options = MergeOptions(quiet=True, write_model_card=False)
        run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), str(out), options)

    logging.getLogger("mergekit").setLevel(logging.ERROR)
    return run


# The shapes of mergekit's examples/ and of the blocks in its README and docs/, with models of these tests and values
# of ours; 40 layers are 4.
FUSION = "{models: [{model: a}, {model: b}], merge_method: arcee_fusion, base_model: a, dtype: float32}"
BIO = """
models: [{model: a, parameters: {density: 0.5, weight: 0.5}}, {model: b, parameters: {density: 0.5, weight: 0.5}}]
merge_method: ties
base_model: base
parameters: {normalize: false, int8_mask: true}
dtype: float32
"""
GRADIENT = """
slices: [{sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: [0, 4]}]}]
merge_method: slerp
base_model: a
parameters:
  t: [{filter: self_attn, value: [0, 0.6, 0.3, 0.8, 1]}, {filter: mlp, value: [1, 0.4, 0.7, 0.2, 0]}, {value: 0.5}]
  embed_slerp: true
dtype: float32
"""
LINEAR = """
models: [{model: a, parameters: {weight: 1.0}}, {model: b, parameters: {weight: 0.3}}]
merge_method: linear
dtype: float32
"""
STACKED = """
slices:
  - sources: [{model: a, layer_range: [0, 3]}]
  - sources: [{model: b, layer_range: [2, 4]}]
merge_method: passthrough
dtype: float32
"""
REPEATED = """
slices:
  - sources: [{model: a, layer_range: [0, 2]}]
  - sources:
    - model: a
      layer_range: [1, 3]
      parameters: {scale: [{filter: o_proj, value: 0.0}, {filter: down_proj, value: [0.5, 0.9]}, {value: 1.0}]}
  - sources: [{model: b, layer_range: [3, 4]}]
merge_method: passthrough
dtype: float32
"""
TIES = """
models:
  - {model: a, parameters: {density: [1, 0.7, 0.1], weight: 1.0}}
  - {model: b, parameters: {density: 0.5, weight: [0, 0.3, 0.7, 1]}}
  - {model: base, parameters: {density: 0.33, weight: [{filter: mlp, value: 0.5}, {value: 0}]}}
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true, rescale: true}
dtype: float32
"""
BOTH = "models: [{model: a, parameters: {weight: 0.5}}, {model: b, parameters: {weight: 0.25}}]\n"
PAIR = BOTH + "base_model: base\nmerge_method: task_arithmetic\n"
EXAMPLES = {
    "arcee_fusion": FUSION,
    "bio-merge": BIO,
    "gradient-slerp": GRADIENT,
    "linear": LINEAR,
    "orcamini-platy": STACKED,
    "repeated and scaled": REPEATED,
    "ties": TIES,
    "ram": PAIR.replace("task_arithmetic", "ram"),
    "ramplus_tl": PAIR.replace("task_arithmetic", "ramplus_tl") + "parameters: {r: 0.3, alpha: 0.4, epsilon: 0.2}\n",
    "torch's dtype, a name, unused keys": PAIR
    + "dtype: torch.float32\nname: mine\nlicence: none\nparameters: {gamma: 0.1, t: 0.5}\n",
    "models as tables": PAIR.replace("{model: a,", "{model: {model: {path: a}},").replace(
        "base_model: base", "base_model: {model: {path: base}}"
    ),
    "lambda beside a weight": PAIR.replace("weight: 0.5", "weight: 0.5, lambda: 0.3"),
    "modules": "merge_method: linear\nmodules: {default: {"
    + BOTH.strip()
    + ", parameters: {normalize: false}}}\nparameters: {normalize: true}\n",
}
MIXED = """
models: [{model: chatml, parameters: {weight: 0.5}}, {model: pad, parameters: {weight: 0.3}}, MORE]
merge_method: METHOD
base_model: base
dtype: float32
"""
ADDED = MIXED.replace("METHOD", "task_arithmetic")
TOKENS = {  # what the README tells of tokenizers
    "union": ADDED.replace(", MORE", "") + "tokenizer_source: union\n",
    "union of another order": ADDED.replace("MORE", "{model: other, parameters: {weight: 0.2}}")
    + "tokenizer: {source: union}\n",
    "base": ADDED.replace("MORE", "{model: other, parameters: {weight: 0.2}}") + "tokenizer: {source: base}\n",
    "one model's": ADDED.replace("MORE", "{model: other, parameters: {weight: 0.2}}") + "tokenizer_source: other\n",
    "no base, means": MIXED.replace("MORE", "{model: a, parameters: {weight: 0.2}}")
    .replace("METHOD", "linear")
    .replace("base_model: base\n", "")
    + "tokenizer_source: union\n",
    "rules": ADDED.replace(", MORE", "")
    + """
tokenizer:
  source: union
  pad_to_multiple_of: 8
  tokens:
    <|im_start|>: {source: chatml}
    <|im_end|>: {source: pad, force: true}
    <|mine|>: {source: {kind: model_token, model: pad, token: <pad>}}
    <|numbered|>: {source: {kind: model_token, model: base, token_id: 7}, force: true}
    <|none|>: {source: {kind: zero}}
""",
    "stacked": STACKED.replace("model: a", "model: chatml").replace("model: b", "model: pad")
    + "tokenizer_source: union",
}


def both(zoo, tmp_path, monkeypatch, mergekit, text):
    """Ours and mergekit's folders."""
    monkeypatch.chdir(zoo)
    mergekit(text, tmp_path / "theirs")
    merge(from_dict(yaml.safe_load(text), zoo), tmp_path / "ours")
    return tmp_path / "ours", tmp_path / "theirs"


def numbers(folder) -> dict[str, int]:
    return Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()


@pytest.mark.parametrize("name", [*EXAMPLES, *TOKENS])
def test_a_file_of_mergekit_gives_its_tensors(zoo, tmp_path, monkeypatch, mergekit, name):
    """Compared token by token, since the order in which mergekit numbers those of a union changes from run to run."""
    ours, theirs = both(zoo, tmp_path, monkeypatch, mergekit, (EXAMPLES | TOKENS)[name])
    found, known = tensors_of(ours), tensors_of(theirs)
    assert found.keys() == known.keys()
    mine, other = numbers(ours), numbers(theirs)
    assert mine.keys() == other.keys()
    for tensor, value in known.items():
        assert found[tensor].shape == value.shape and found[tensor].dtype == value.dtype
        if "embed" in tensor or "head" in tensor:
            place, there = ([where[token] for token in mine] for where in (mine, other))
            torch.testing.assert_close(found[tensor][len(mine) :], value[len(mine) :], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(found[tensor][place], value[there], rtol=1e-5, atol=1e-5)
            continue
        torch.testing.assert_close(found[tensor], value, rtol=1e-5, atol=1e-5, msg=lambda m, t=tensor: f"{t}: {m}")
    settings, wanted = (json.loads((folder / "config.json").read_text()) for folder in (ours, theirs))
    assert all(settings[key] == wanted[key] for key in ("num_hidden_layers", "vocab_size"))
