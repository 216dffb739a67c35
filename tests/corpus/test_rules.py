"""Tokens by a field's custom: each stands for its bytes, nothing of a text is lost, and the file loads anywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.errors import Problem
from engine.corpus import CorpusSpec, build, load
from engine.corpus.report import report
from engine.corpus.rules import RULES, seen, train_rule
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


def built(folder, rule: str, domains: dict[str, list[str]], private: bool = False) -> dict:
    """The manifest of a corpus of lines by a rule."""
    for name, lines in domains.items():
        (folder / f"{name}.txt").write_text("\n".join(lines))
    source = {"type": "folder", "path": str(folder)}
    asked = CorpusSpec(source=source, tokenizer={"type": "rule", "rule": rule}, private=private)
    build(asked, folder / "corpus", processes=1)
    return load(folder / "corpus").manifest


def drawn(letters: str, count: int = 300, length: int = 300) -> list[str]:
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list(letters), length)) for _ in range(count)]


@pytest.mark.parametrize("private", [False, True])
def test_symbols_that_a_field_does_not_write_are_told(tmp_path, private):
    """Of the DNA two letters in ten are unknown; prose beside it is of another kind, which is said, too."""
    manifest = built(tmp_path, "codons", {"dna": drawn("ACGTACGT-*"), "prose": drawn("efijlopq .")}, private)
    seen = manifest["domains"]["dna"]["unknown_letters"]
    assert seen["part"] == pytest.approx(0.2, abs=0.02) and sorted(seen["letters"]) == ([] if private else ["*", "-"])
    said = report(manifest)["text"]
    assert ("'*'" in said) is not private and "that its rule does not know (2" in said
    assert "prose is of another kind than the rule of its tokens, which knows 0% of its characters" in said


def test_masked_and_ambiguous_bases_keep_the_frame_and_are_told(tmp_path):
    """Lower case is the same base, masked; U is RNA's; R is one of two. None of them may shift what follows."""
    found = train_rule(["acgTTTARGuuu"], "codons")
    assert [found.model.id_to_token(int(one)) for one in found.encode([b"acgTTTARGuuu"])[:-1]] == [
        *("acg", "TTT", "ARG", "uuu")
    ]
    said = report(built(tmp_path, "codons", {"masked": drawn("acgtACGTUR"), "plain": drawn("ACGTN")}))["text"]
    kinds = ("lower-case letters, as masked repeats have them (", "'U', as RNA has it (", "letters for one of several")
    assert all(f"{one}" in said for one in kinds) and "masked has lower-case" in said and "plain" not in said


def test_lines_of_fasta_and_sequences_of_several_lines_are_told(tmp_path):
    fasta = []
    for one in drawn("ACGT"):
        fasta += [">chr1 a name", *(one[at : at + 70] for at in range(0, 300, 70))]
    manifest = built(tmp_path, "codons", {"fasta": fasta, "plain": drawn("ACGT")})
    told, plain = (manifest["domains"][name]["unknown_letters"] for name in ("fasta", "plain"))
    assert told["headers"] > 100 and abs(told["broken"] - told["headers"]) <= 1
    assert (plain["part"], plain["headers"], plain["broken"]) == (0, 0, 0)
    said = report(manifest)["text"]
    assert "lines that name a sequence (FASTA)" in said and "sequences of several lines" in said


def test_lines_are_one_sequence_only_where_they_are_broken_at_a_width():
    (one,) = drawn("ACGT", 1, 1000)
    broken = "\n".join(one[at : at + 80] for at in range(0, 1000, 80))
    windows = "\n".join(drawn("ACGT", 12, 80))  # sequences of one length, a line each
    assert [seen([text], "codons").broken for text in (broken, windows, one)] == [1, 0, 0]


FINE = {
    "smiles": "CC(=O)Nc1ccc(Cl)cc1 [C@@H](O)[NH3+].[Na+] C%12[13C] *C [2H]O[se] O->[Fe-2] [OH:3]>>[C:12]=Br",
    "selfies": "[C][=O][Branch1_2][=Ring1][C@@H1][N+1][nop].[/C][-/Ring1][Oexpl] [Expl=Ring1][13C][Cl] [epsilon]",
    "codons": "ACGTTN acg UUU ARY",
    "characters": "anything at all",
}
ODD = {
    "smiles": ("CC[Xx]Q(=O)c1cc[Foo]cc1 [C+Na] ", ["Q", "[C+Na]", "[Foo]", "[Xx]"]),
    "selfies": ("[C][=O]x[Xx][Brunch1] [C] [Ring9]", ["[Brunch1]", "[Ring9]", "[Xx]", "x"]),
    "codons": ("ACGT-*ACG.", ["*", "-", "."]),
}


@pytest.mark.parametrize("rule", RULES)
def test_what_a_field_writes_is_known_and_what_it_does_not_is_named(rule):
    assert seen([FINE[rule]], rule).unknown == 0, seen([FINE[rule]], rule).symbols
    if rule in ODD:
        text, wanted = ODD[rule]
        assert sorted(seen([text], rule).symbols) == wanted


def test_a_corpus_refuses_a_rule_before_it_is_built():
    with pytest.raises(Problem, match="characters, smiles, selfies, codons"):
        CorpusSpec(tokenizer={"type": "rule", "rule": "protein"})
