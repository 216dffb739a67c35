"""Instruction sets: numbers of examples give the shares of tokens, by the rule of each trainer's own loader."""

import json
import subprocess
import sys

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.recipes import FORMATS, Recipe, export

SETS = ("chat.jsonl", "maths.jsonl", "code.jsonl")
SHARES, LENGTHS, ROWS = (0.5, 0.3, 0.2), (40.0, 160.0, 80.0), (300, 90, 200)
COUNTED = [name for name, one in FORMATS.items() if one.weights == "examples"]


def recipe(**more):
    budget = {"target_tokens": 40_000.0, "tokens_per_document": LENGTHS, **more}
    return Recipe("sets", "best", SETS, SHARES, available_tokens=None, approved=True, **budget)


def by_permutation(rows: int, count: int) -> np.ndarray:
    """LLaMA-Factory's: a permutation, and what is left with replacement."""
    first = np.random.permutation(rows)[:count]
    return np.concatenate([first, np.random.choice(rows, count - len(first))]) if count > len(first) else first


def by_passes(rows: int, count: int) -> np.ndarray:
    """ms-swift's and open-instruct's: whole passes, and the rest without repeats."""
    rest = np.random.permutation(rows)[: count % rows]
    return np.concatenate([np.tile(np.arange(rows), count // rows), rest])


@pytest.mark.parametrize(("name", "rule"), [("llama_factory", by_permutation), ("ms_swift", by_passes)])
def test_loaders_draw_the_shares_of_tokens(name, rule):
    """Of examples whose lengths scatter, as the sets' do."""
    counts, rng = FORMATS[name].read(export(recipe(), name)), np.random.default_rng(0)
    tokens = []
    for place, length, rows in zip(SETS, LENGTHS, ROWS, strict=True):
        lengths = rng.uniform(0.5, 1.5, rows) * length
        tokens.append((lengths * length / lengths.mean())[rule(rows, counts[place])].sum())
    assert np.array(tokens) / sum(tokens) == pytest.approx(SHARES, abs=0.03)
    assert sum(tokens) == pytest.approx(40_000, rel=0.05)


def test_every_trainer_of_instructions_says_the_same_numbers():
    wanted = {"chat.jsonl": 500, "maths.jsonl": 75, "code.jsonl": 100}
    assert len(COUNTED) == 5
    assert all(FORMATS[name].read(export(recipe(), name)) == wanted for name in COUNTED)


def test_the_script_mixes_files(tmp_path):
    """Whole passes of the set that is too short, the rest without repeats; the same with the same seed."""
    for place, rows in zip(SETS, ROWS, strict=True):
        lines = [
            json.dumps({"messages": [], "id": f"{place}{i}", "text": "a\u2028b"}, ensure_ascii=False)
            for i in range(rows)
        ]
        (tmp_path / place).write_text("\n".join(lines))
    (tmp_path / "mix.py").write_text(export(recipe(), "axolotl")["mix_examples.py"])
    for out in ("one.jsonl", "two.jsonl"):
        done = subprocess.run([sys.executable, "mix.py", ".", out], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and "500 examples, 1.67 passes over its 300" in done.stderr
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    drawn = [json.loads(line)["id"] for line in (tmp_path / "one.jsonl").read_text().split("\n")[:-1]]
    assert [sum(one.startswith(place) for one in drawn) for place in SETS] == [500, 75, 100]
    assert {drawn.count(f"chat.jsonl{i}") for i in range(300)} == {1, 2} and len(set(drawn)) == 300 + 75 + 100
    assert drawn != sorted(drawn), "they are shuffled"
    (tmp_path / "code.jsonl").write_text("\n")
    done = subprocess.run([sys.executable, "mix.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and "code.jsonl holds no examples" in done.stderr


@pytest.mark.parametrize("name", COUNTED)
def test_what_cannot_be_counted_is_refused(name):
    with pytest.raises(Problem, match="without a target budget"):
        export(recipe(target_tokens=0.0), name)
    with pytest.raises(Problem, match=r"Of 100 tokens maths.jsonl, code.jsonl would have no whole example"):
        export(recipe(target_tokens=100.0), name)
