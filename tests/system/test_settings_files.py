"""Files of settings from strangers: any bytes are read, or a sentence says what is wrong with them."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli.files import numbers_in
from engine.cli.importing import constraints_in
from engine.core import access
from engine.core.errors import Problem
from engine.corpus.tokenizers import from_file, train_bpe
from engine.merging.config import read_config
from engine.spec.study import StudySpec
from tests.support.access_files import EXAMPLE, write_access
from tests.support.mutations import CHANGES, FUZZ, damaged

STUDY = """name = "S"
corpus = "default"
runs = 16
priorities = { web = 2.0, code = 1 }
bounds = { web = [0.1, 0.5], code = 0.2 }
available_tokens = { web = 1e9 }
groups = [{ name = "g", domains = ["web", "code"], share = [0.1, 0.9], ratios = "prior" }]
[fidelity]
width = 32
layers = 2
[compute]
group = 4
"""
MERGE = """merge_method: ties
base_model: base
models:
- model: one
  parameters: &some {weight: 0.5, density: [0.1, 0.9]}
- model: two
  parameters:
    <<: *some
    weight: [{filter: mlp, value: 0.3}, {value: 1}]
parameters: {normalize: true}
dtype: bfloat16
"""
CONSTRAINTS = '[bounds]\nweb = [0.1, 0.5]\n[[groups]]\nname = "g"\ndomains = ["web"]\nshare = [0.1, 0.9]\n'


def read_access(path: Path) -> object:
    """As the workspace's file, readable by its owner only."""
    write_access(path.parent / "w", "")
    (path.parent / "w" / "access.toml").write_bytes(path.read_bytes())
    return access.read(path.parent / "w")


READERS = {
    "study.toml": (StudySpec.from_toml, STUDY),
    "constraints.toml": (constraints_in, CONSTRAINTS),
    "access.toml": (read_access, EXAMPLE.format(url="https://mixdesk.example.org", provider="https://a.example.org")),
    "merge.yml": (read_config, MERGE),
    "numbers.json": (numbers_in, json.dumps({"web": 1e9, "code": 2})),
    "numbers.csv": (numbers_in, "domain,tokens\nweb,1e9\ncode,2\n"),
    "tokenizer.json": (from_file, train_bpe(["one two three, four; five"] * 20, 300).model.to_str()),
}


def takes_any(root: Path, name: str, changes) -> None:
    """A file with some changes is read, or refused with a sentence that names it or what it says."""
    read, text = READERS[name]
    (root / name).write_bytes(damaged(text.encode(), changes))
    try:
        read(root / name)
    except Problem as problem:
        assert str(problem).startswith("Cannot") and len(str(problem)) > 20


@pytest.mark.parametrize("name", READERS)
def test_each_is_read_as_it_is(tmp_path, name):
    read, text = READERS[name]
    (tmp_path / name).write_text(text)
    assert read(tmp_path / name)


@settings(FUZZ, max_examples=60)
@given(name=st.sampled_from(sorted(READERS)), changes=CHANGES)
def test_any_bytes_are_read_or_a_sentence(tmp_path_factory, name, changes):
    takes_any(tmp_path_factory.mktemp("any"), name, changes)


@pytest.mark.soak
@settings(FUZZ, max_examples=8000)
@given(name=st.sampled_from(sorted(READERS)), changes=CHANGES)
def test_any_bytes_are_read_or_a_sentence_long(tmp_path_factory, name, changes):
    takes_any(tmp_path_factory.mktemp("any"), name, changes)
