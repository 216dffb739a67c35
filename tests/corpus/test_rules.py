"""Tokens by a field's custom: each stands for its bytes, nothing of a text is lost, and the file loads anywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Problem
from engine.corpus import CorpusSpec, build, load
from engine.corpus.report import report
from engine.corpus.rules import RULES, train_rule
from engine.corpus.tokenizers import from_json

LEARNED = ["CC(=O)Nc1ccc(Cl)cc1", "ACGTTTACGTTT", "[C][=O][Branch1]", "a word or two é"]
SPLITS = {
    "characters": ("CCl", ["C", "C", "l"]),
    "smiles": ("CC(Cl)[NH+]", ["C", "C", "(", "Cl", ")", "[NH+]"]),
    "selfies": ("[C][=O]x", ["[C]", "[=O]", "x"]),
    "codons": ("ACGTTTAC", ["ACG", "TTT", "A", "C"]),
}
KNOWN = {rule: train_rule([*LEARNED, *(text for text, _ in SPLITS.values())], rule) for rule in RULES}


@pytest.mark.parametrize("rule", SPLITS)
def test_a_rule_splits_as_its_field_does(rule):
    text, wanted = SPLITS[rule]
    found = KNOWN[rule]
    assert [found.model.id_to_token(int(one)) for one in found.encode([text.encode()])[:-1]] == wanted


@pytest.mark.parametrize("rule", RULES)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_tokens_stand_for_the_bytes_of_any_text(rule, texts):
    data = [text.encode() for text in [*texts, "<0x41> \u2581 <|endoftext|> [C] TTT"]]
    found = KNOWN[rule]
    ids, places = found.encode_placed(data)
    assert found.decode(ids).encode() == b"".join(one + b"\n" for one in data)
    assert found.token_bytes[ids].sum() == sum(len(one) + 1 for one in data)
    assert (ids == found.encode(data)).all() and (places[1:] >= places[:-1]).all()


@pytest.mark.parametrize("rule", RULES)
def test_the_file_of_a_rule_is_a_tokenizer_like_any_other(rule):
    again = from_json(KNOWN[rule].json, "again")
    text = "CC(=O)N ACGTTT [C] é".encode()
    assert (again.encode([text]) == KNOWN[rule].encode([text])).all()


def test_the_most_frequent_tokens_are_kept():
    found = train_rule(["AAACCCGGG" * 5 + "TTT"], "codons", vocabulary=260)
    assert {"AAA", "CCC", "GGG"} <= set(found.model.get_vocab()) and "TTT" not in found.model.get_vocab()


@pytest.mark.parametrize(("rule", "size"), [("amino", None), (["smiles"], None), ("smiles", 3), ("smiles", 10**9)])
def test_rules_and_sizes_that_are_not_there_are_refused(rule, size):
    with pytest.raises(Problem, match="Choose"):
        train_rule(["x"], rule, size)


def test_letters_that_a_field_does_not_write_are_told(tmp_path):
    """Of the DNA two letters in ten are unknown; prose beside it is of another kind."""
    rng = np.random.default_rng(0)
    for name, letters in (("dna", "ACGTACGTRU"), ("prose", "abcdefghij .")):
        lines = ["".join(rng.choice(list(letters), 300)) for _ in range(300)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    source = {"type": "folder", "path": str(tmp_path)}
    build(CorpusSpec(source=source, tokenizer={"type": "rule", "rule": "codons"}), tmp_path / "corpus", processes=1)
    manifest = load(tmp_path / "corpus").manifest
    part, letters = manifest["domains"]["dna"]["unknown_letters"].values()
    assert part == pytest.approx(0.2, abs=0.02) and sorted(letters) == ["R", "U"]
    said = report(manifest)["text"]
    assert "dna has letters, such as" in said and "'R'" in said and "prose" not in said


def test_a_corpus_refuses_a_rule_before_it_is_built():
    with pytest.raises(Problem, match="characters, smiles, selfies, codons"):
        CorpusSpec(tokenizer={"type": "rule", "rule": "protein"})
