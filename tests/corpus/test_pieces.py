"""Tokenizers of pieces: those that keep the text count its bytes, others are refused with the reason."""

import json

import pytest

from engine.core.errors import Problem
from engine.corpus.tokenizers import from_json, train_bpe


def pieces_tokenizer(normalizer, **model):
    """The text of a tokenizer.json as of Llama 2: pieces that fall back to bytes."""
    names = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "▁a"]
    return json.dumps(
        {
            "version": "1.0",
            "added_tokens": [],
            "normalizer": normalizer,
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
                ],
            },
            "model": {
                "type": "BPE",
                "vocab": {name: place for place, name in enumerate(names)},
                "merges": ["▁ a"],
                "unk_token": "<unk>",
                "byte_fallback": True,
                **model,
            },
        }
    )


BLANKS = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ],
}


def test_pieces_that_fall_back_to_bytes_count_the_bytes_of_the_text():
    tokenizer = from_json(pieces_tokenizer(BLANKS), "llama")
    for text in ("a b  ab", "é 漢\n\n\ta", "</s> <0x41> a"):
        ids = tokenizer.encode([text.encode()])
        assert tokenizer.token_bytes[ids].sum() == len(text.encode()) + 1
        assert tokenizer.decode(ids) == text + "\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (pieces_tokenizer({"type": "NFKC"}), "it changes the text first .NFKC."),
        (pieces_tokenizer(BLANKS, byte_fallback=False), "hidden"),
    ],
)
def test_pieces_that_lose_text_are_refused_with_the_reason(text, why):
    with pytest.raises(Problem, match=why):
        from_json(text, "lossy")


def with_ids(change) -> str:
    """A byte-level tokenizer.json whose ids were changed: change(vocab) does it in place."""
    layout = json.loads(train_bpe(["one two three"] * 9, 270).json)
    change(layout["model"]["vocab"])
    return json.dumps(layout)


def test_ids_may_have_gaps():
    """As vocabularies have from which tokens were taken."""
    made = from_json(with_ids(lambda vocab: vocab.update({"xyz": 400})), "it")
    assert len(made.token_bytes) == 401 and made.token_bytes[400] == 3 and made.token_bytes[399] == 1


@pytest.mark.parametrize(
    ("ids", "said"),
    [({"xyz": 10}, "its id 10 stands for two tokens"), ({"xyz": 4_000_000_000}, "has the id 4,000,000,000")],
)
def test_ids_that_cannot_be_counted_are_refused(ids, said):
    """One id of two lengths would give wrong bits per byte, and a far one a table of gigabytes."""
    with pytest.raises(Problem, match=said):
        from_json(with_ids(lambda vocab: vocab.update(ids)), "it")
