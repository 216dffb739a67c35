"""Tokenizers of pieces: those that keep the text count its bytes, others are refused with the reason."""

import json

import pytest

from engine.core.errors import Problem
from engine.corpus.tokenizers import from_json


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
