"""Text -> token ids, with the number of bytes behind each id, so that losses are bits per byte in any tokens.

    bits per byte = (sum of -log p) / ln 2 / (sum of token_bytes[target])

Tokens can be counted so if each always stands for the same bytes of the text: raw bytes, byte-level BPE (GPT-2,
Llama 3, Qwen, ...), and pieces with a mark for the blank that fall back to bytes (Llama 2, Mistral, Gemma, ...). Others
change the text (WordPiece's lower case, Unigram's normal forms) or hide it in an unknown token: then a loss per byte
would leave out what they drop, and they are refused with that reason.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.core.checks import is_whole
from engine.core.errors import Problem
from engine.core.system import UNREADABLE, read_fault

UNREAD = (
    "Cannot turn text into the tokens of this corpus: it was registered without their tokenizer. Build it again, under "
    "another name, with the tokenizer.json of its tokens."
)
END = "<|endoftext|>"  # between documents; counts as one byte, like the newline of raw bytes
ENDS = (END, "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>")  # what given tokenizers call it
BLANK = "\u2581"  # the mark of a blank in pieces
BYTE_PIECES = {f"<0x{byte:02X}>" for byte in range(256)}
FEWEST, MOST = 257, 100_000  # a byte-level vocabulary: every byte and the end, up to what is used in practice


@dataclass(frozen=True)
class Bytes:
    """Raw bytes: the vocabulary is 256, documents end with a newline."""

    token_bytes: np.ndarray  # (256,)
    json: None = None

    def encode(self, documents: list[bytes]) -> np.ndarray:
        """The documents one after another, each with its end: (T,) ids."""
        return np.frombuffer(b"".join(data + b"\n" for data in documents), np.uint8)

    def encode_placed(self, documents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """The same ids, and the byte of the documents with their ends at which each begins, (T,)."""
        ids = self.encode(documents)
        return ids, np.arange(len(ids))

    def decode(self, tokens: np.ndarray) -> str:
        """The text of token ids; a character cut at an edge becomes U+FFFD."""
        return np.asarray(tokens, np.uint8).tobytes().decode("utf-8", "replace")


@dataclass(frozen=True)
class BytePairs:
    """A tokenizer of the tokenizers package whose tokens stand for bytes."""

    model: Any  # tokenizers.Tokenizer
    end: int
    token_bytes: np.ndarray  # (V,)
    json: str

    def encode(self, documents: list[bytes]) -> np.ndarray:
        """The documents one after another, each with its end: (T,) ids."""
        texts = [data.decode("utf-8", "replace") for data in documents]
        ids: list[int] = []
        for encoding in self.model.encode_batch(texts, add_special_tokens=False):
            ids.extend(encoding.ids)
            ids.append(self.end)
        return np.array(ids, np.uint32)

    def encode_placed(self, documents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """The same ids, and the byte of the documents, each with one for its end, at which each begins, (T,)."""
        ids, places, begin = [], [], 0
        texts = [data.decode("utf-8", "replace") for data in documents]
        encodings = self.model.encode_batch(texts, add_special_tokens=False)
        for data, text, encoding in zip(documents, texts, encodings, strict=True):
            widths = [len(letter.encode()) for letter in text] if len(text) != len(data) else [1] * len(text)
            starts = np.concatenate([[0], np.cumsum(widths, dtype=np.int64)])  # (characters + 1,)
            ids += [*encoding.ids, self.end]
            places.append(begin + starts[[start for start, _ in encoding.offsets] + [len(text)]])
            begin += len(data) + 1
        return np.array(ids, np.uint32), np.concatenate(places)

    def decode(self, tokens: np.ndarray) -> str:
        """The text of token ids; the end of a document becomes a newline."""
        runs = np.split(np.asarray(tokens), np.flatnonzero(np.asarray(tokens) == self.end))
        texts = [self.model.decode([int(token) for token in run if token != self.end]) for run in runs]
        return "\n".join(texts)


@dataclass(frozen=True)
class Ids:
    """Tokens of which nothing is known but their numbers: they stand for no text."""

    token_bytes: np.ndarray  # (V,), one each
    json: None = None

    def encode(self, documents: list[bytes]) -> np.ndarray:
        """Raises Problem: no text has these tokens."""
        raise Problem(UNREAD)

    def encode_placed(self, documents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Raises Problem: no text has these tokens."""
        raise Problem(UNREAD)

    def decode(self, tokens: np.ndarray) -> str:
        """The numbers themselves."""
        return " ".join(map(str, np.asarray(tokens).tolist()))


def only_ids(vocabulary: int) -> Ids:
    """The tokenizer of which only the number of tokens is known."""
    return Ids(np.ones(vocabulary, np.int64))


def raw_bytes() -> Bytes:
    """The tokenizer of raw bytes."""
    return Bytes(np.ones(256, np.int64))


def train_bpe(texts: Iterable[str], vocabulary: int) -> BytePairs:
    """Learn a byte-level BPE (Sennrich 2016; GPT-2's pre-tokenizer). Raises Problem for an invalid vocabulary size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if not is_whole(vocabulary, FEWEST, MOST):
        raise Problem(
            f"Cannot learn a vocabulary of {vocabulary!r} tokens. Choose a whole number from {FEWEST} to {MOST}."
        )
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    return from_json(model.to_str(), "the learned tokenizer")


def from_file(path: Path) -> BytePairs:
    """A given tokenizer.json. Raises Problem when it cannot be read, or its tokens are not bytes."""
    try:
        text = path.read_text("utf-8")
    except UNREADABLE as error:
        why = read_fault(error, "Give the path of a tokenizer.json.")
        raise Problem(f"Cannot read the tokenizer {path}: {why}") from error
    return from_json(text, str(path))


def from_json(text: str, name: str) -> BytePairs:
    """The tokenizer in the text of a tokenizer.json; `name` is what messages call it."""
    from tokenizers import Tokenizer

    try:
        model = Tokenizer.from_str(text)
        layout = json.loads(text)
    except Exception as error:  # the package raises plain Exception for what it cannot parse
        raise Problem(f"Cannot use {name}: {error}. Give a tokenizer.json of the tokenizers package.") from error
    if not is_byte_level(layout) and (reason := why_not_bytes(layout)):
        raise Problem(
            f"Cannot use {name}: its tokens are not bytes, so losses could not be given per byte: {reason}. "
            "Choose a byte-level tokenizer (such as those of GPT-2, Llama 3 or Qwen), or one whose pieces fall back to "
            "bytes (Llama 2, Mistral, Gemma)."
        )
    model.no_padding()
    model.no_truncation()
    model.encode_special_tokens = True  # "<|endoftext|>" in a text is text
    ends = [token for token in map(model.token_to_id, ENDS) if token is not None]
    if not ends:
        raise Problem(f"Cannot use {name}: it has no token for the end of a document ({', '.join(ENDS)}).")
    count = bytes_of_tokens if is_byte_level(layout) else bytes_of_pieces
    try:
        return BytePairs(model, ends[0], count(model, ends[0]), text)
    except Problem as problem:
        raise Problem(f"Cannot use {name}: {problem}. Choose a tokenizer whose ids are its own.") from problem


def steps(part: dict | None, key: str) -> Iterator[dict]:
    """A part of a tokenizer.json and, where it is a sequence, its steps."""
    if part:
        yield part
        yield from part.get(key) or ()


def is_byte_level(layout: Any) -> bool:
    """Whether a tokenizer.json maps bytes to tokens and back, and changes nothing before."""
    normal = {step["type"] for step in steps(layout.get("normalizer"), "normalizers")}
    before = {step["type"] for step in steps(layout.get("pre_tokenizer"), "pretokenizers")}
    after = {step["type"] for step in steps(layout.get("decoder"), "decoders")}
    return "ByteLevel" in before and "ByteLevel" in after and normal <= {"NFC", "Sequence"}


def why_not_bytes(layout: Any) -> str:
    """Why the pieces of a tokenizer.json do not always stand for the same bytes; "" if they do."""
    kind = layout["model"].get("type")
    if kind not in ("BPE", "Unigram"):
        return f"it is a {kind} tokenizer, which drops blanks or hides words that it does not know"
    entries = layout["model"]["vocab"]
    pieces = set(entries) if isinstance(entries, dict) else {entry[0] for entry in entries}
    if not layout["model"].get("byte_fallback") or not pieces.issuperset(BYTE_PIECES):
        return "it has no tokens for single bytes, so characters that it does not know are hidden"
    for step in steps(layout.get("normalizer"), "normalizers"):
        blank = step["type"] == "Replace" and step["pattern"] == {"String": " "} and step["content"] == BLANK
        prefix = step["type"] == "Prepend" and step["prepend"] == BLANK
        if not (blank or prefix or step["type"] == "Sequence"):
            return f"it changes the text first ({step['type']})"
    for step in steps(layout.get("pre_tokenizer"), "pretokenizers"):
        kept = step["type"] in ("Metaspace", "Sequence") or step.get("behavior") not in (None, "Removed")
        if not kept or step.get("replacement", BLANK) != BLANK:
            return f"it may drop blanks ({step['type']})"
    return ""


def counted(model: Any, count: Callable[[str, int], int]) -> np.ndarray:
    """The bytes of each id, (V,), by `count` of its token and the id; 1 for ids that no token has. Raises Problem for
    ids that are spread too far, and for one of two tokens of different lengths."""
    vocabulary = model.get_vocab(with_added_tokens=True)
    size = 1 + max(vocabulary.values(), default=-1)
    if size > 2 * len(vocabulary) + MOST:
        raise Problem(f"it has {len(vocabulary):,} tokens, and one of them has the id {size - 1:,}")
    found = np.zeros(size, np.int64)
    for token, index in vocabulary.items():
        length = count(token, index)
        if found[index] not in (0, length):
            raise Problem(f"its id {index:,} stands for two tokens of different lengths")
        found[index] = length
    return np.maximum(found, 1)


def bytes_of_pieces(model: Any, end: int) -> np.ndarray:
    """The number of bytes of each piece: (V,). The mark of a blank is one byte, and so is `<0x0A>`.

    Where a blank is put before every document, it is counted in place of the document's end, so that documents have
    one byte more than their text, as with every tokenizer.
    """
    found = counted(model, lambda token, _: 1 if token in BYTE_PIECES else len(token.replace(BLANK, " ").encode()))
    found[end] = 0 if model.encode("a", add_special_tokens=False).tokens[0].startswith(BLANK) else 1
    return found


def bytes_of_tokens(model: Any, end: int) -> np.ndarray:
    """The number of bytes of each token: (V,). A byte-level token has one character for each of its bytes."""
    added = model.get_added_tokens_decoder()
    found = counted(model, lambda token, index: len(token.encode()) if index in added else len(token))
    found[end] = 1
    return found
