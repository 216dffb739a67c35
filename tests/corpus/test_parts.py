"""The pieces of a build with known answers: cleaning, MinHash, window hashes, leaks, splits."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.corpus import dedup
from engine.corpus.cleaning import Blocks, is_clean, prose, split_docstrings, without_licence
from engine.corpus.document import Document, Tally, salted_hash
from engine.corpus.hashing import window_hashes
from engine.corpus.leak import leaks
from engine.corpus.parts import read_part, write_part
from engine.corpus.splits import split


def random_text(rng, length):
    return rng.integers(97, 123, length, dtype=np.uint8).tobytes()


def part_of(folder, documents, cap=10**9):
    """A real part of (group, text) pairs."""
    write_part(folder, (Document(*document) for document in documents), Tally(), cap, lambda size: None)
    return read_part(folder)


def test_docstrings_and_code_are_taken_apart():
    source = (
        '"""Module."""\nimport os\n\ndef f(x):\n    r"""Doc of f.\n\n    More.\n    """\n    return x\n\n'
        'class A:\n    """A."""\n\ndef g():\n    """G."""\n\nx = """kept"""\n'
    )
    code, found = split_docstrings(source)
    assert found == ["Module.", "Doc of f.\n\nMore.", "A.", "G."]
    compile(code, "code", "exec")
    assert "Doc of" not in code and '"""kept"""' in code and code.count("pass") == 2 and "return x" in code


def test_licences_go_and_other_comments_stay():
    assert without_licence("/* Copyright X */\n// what it does\n#include <a>\n") == "\n// what it does\n#include <a>\n"
    assert without_licence("# License: BSD\n# more\n\nimport a  # copyright\n") == "\nimport a  # copyright\n"
    assert without_licence("#pragma once\nint x;") == "#pragma once\nint x;"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("int x;\n" * 50, True),
        ("x" * 2000, False),
        ("1,2,3,4\n" * 50, False),
        ("// @generated\nint x;\n" * 9, False),
        ("", False),
    ],
)
def test_generated_and_minified_files_are_known(text, clean):
    assert is_clean(text) is clean


def test_prose_keeps_sentences_only():
    one, other = "Compute the mean of all of the values.", "The second sentence is kept as well here."
    text = f"{one}\n\n>>> mean([1, 2])\n1.5\n\nx : int\n\n.. math:: a b c d e f g\n\n{other}"
    assert prose(text) == f"{one}\n\n{other}"


def test_repeated_blocks_are_dropped_once_seen():
    blocks, long = Blocks(), "a block of more than sixty characters, which comes again and again in files"
    assert blocks.fresh(f"{long}\n\nshort\n\nshort") == f"{long}\n\nshort\n\nshort"
    assert blocks.fresh(f"new\n\n   {long.replace(' ', '  ')}\n\nshort") == "new\n\nshort"
    assert blocks.dropped == 1


def test_window_hashes_agree_with_equality():
    data = np.frombuffer(b"abcdefgh" * 20, np.uint8)
    hashes = window_hashes(data, 24)
    assert len(hashes) == 137 and len(set(hashes.tolist())) == 8
    assert (window_hashes(data, 24, np.array([3, 50])) == hashes[[3, 50]]).all()
    assert len(window_hashes(data[:10], 24)) == 0


def test_signatures_estimate_similarity():
    """The fraction of equal signature entries estimates Jaccard: half shared is a third of the union."""
    rng = np.random.default_rng(0)
    shared, one, other = (random_text(rng, 40_000) for _ in range(3))
    same = (dedup.signature(shared + one) == dedup.signature(shared + other)).mean()
    assert abs(same - 1 / 3) < 0.2  # three standard errors of 64 permutations


def test_near_and_exact_duplicates_have_known_answers():
    rng = np.random.default_rng(1)
    texts = [random_text(rng, 3000) for _ in range(200)]
    near = bytearray(texts[7])
    near[1500:1504] = b"EDIT"
    texts += [texts[3], bytes(near), texts[9][:1500] + random_text(rng, 1500), b"short", b"short!"]
    exact = dedup.exact_duplicates(np.array([dedup.exact_hash(text) for text in texts], np.uint64))
    found = dedup.near_duplicates(np.stack([dedup.signature(text) for text in texts]))
    assert np.flatnonzero(exact).tolist() == [200]
    assert np.flatnonzero(found & ~exact).tolist() == [201]  # half shared, and short ones, are not duplicates


def test_a_planted_leak_is_measured(tmp_path):
    """A quarter of `a`'s validation text stands in its training text, another quarter in `b`'s."""
    rng = np.random.default_rng(2)
    quarters = [random_text(rng, 20_000) for _ in range(4)]
    a = part_of(tmp_path / "a", [("t", random_text(rng, 50_000) + quarters[0]), *(("v", q) for q in quarters)])
    b = part_of(tmp_path / "b", [("t", random_text(rng, 3000) + quarters[1]), ("v", random_text(rng, 30_000))])
    train = [np.array([1, 0, 0, 0, 0], bool), np.array([1, 0], bool)]
    valid = [~mask for mask in train]
    of_a, of_b = leaks([a, b], train, valid)
    assert of_a["own"] == pytest.approx(0.25, abs=0.04)
    assert of_a["any"] == pytest.approx(0.50, abs=0.05)
    assert of_b == {"own": 0.0, "any": 0.0}


def test_leak_across_chunks_and_none_for_tiny(tmp_path):
    rng = np.random.default_rng(3)
    long = random_text(rng, 2_100_000)
    held = long[999_980 - 2000 : 999_980 + 2048]  # lies across the edge of a chunk
    part = part_of(tmp_path / "a", [("t", long), ("v", held)])
    tiny = part_of(tmp_path / "b", [("t", b"x" * 100), ("v", b"y" * 20)])
    masks = [np.array([True, False])] * 2
    of_a, of_tiny = leaks([part, tiny], masks, [~mask for mask in masks])
    assert of_a["own"] == 1.0 and of_tiny == {"own": None, "any": None}


def test_split_keeps_groups_whole_and_takes_five_percent(tmp_path):
    rng = np.random.default_rng(4)
    documents = [(f"group {number // 3}", random_text(rng, 2000)) for number in range(900)]
    part = part_of(tmp_path / "a", documents)
    kept = rng.random(900) < 0.9
    train, valid = split("a", part, kept)
    assert not (train & valid).any() and ((train | valid) == kept).all()
    groups = [{documents[index][0] for index in np.flatnonzero(side)} for side in (train, valid)]
    assert not groups[0] & groups[1]
    assert 0.04 < part.sizes[valid].sum() / part.sizes[kept].sum() < 0.07


def test_split_of_one_huge_document_is_a_problem(tmp_path):
    part = part_of(tmp_path / "a", [("only", b"word " * 100_000)])
    with pytest.raises(Problem, match="too large"):
        split("a", part, np.ones(1, bool))


def test_part_stops_at_the_cap_between_characters(tmp_path):
    part = part_of(tmp_path / "a", [("x", "漢字".encode() * 50), ("y", "漢字".encode() * 50)], cap=400)
    assert len(part.text) == 399
    assert part.document(0).decode() + part.document(1).decode() == "漢字" * 66 + "漢"


def test_sampling_and_splitting_hashes_are_independent():
    paths = [f"package/file{number}.py" for number in range(4000)]
    ranks = [np.argsort(np.argsort([salted_hash(salt, path) for path in paths])) for salt in ("sample", "split")]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.06  # four standard errors
