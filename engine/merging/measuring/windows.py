"""Windows of a corpus' validation text in the tokens of a language model, with the bytes that they predict."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core.errors import Problem
from engine.corpus.shelf import Corpus

SPREAD = 8  # places of the validation text that windows come from


@dataclass(frozen=True)
class Encoded:
    """A text in tokens. ids: (T,) int64; spans: (T, 2) the characters of each; predicted: (T,) whether it counts."""

    text: str
    ids: np.ndarray
    spans: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Window:
    """ids: (T,) int64; predicted: (T,) whether each counts where it is a target, as all but the first are; size: the
    bytes of those that do."""

    ids: np.ndarray
    predicted: np.ndarray
    size: int

    def tokens(self, vocabulary: int) -> np.ndarray:
        """(T,) ids, those that are never predicted from V on, as in a corpus' shards."""
        found: np.ndarray = self.ids + vocabulary * ~self.predicted
        return found


def encoded(tokenizer: Any, parts: list[tuple[str, bool]]) -> Encoded:
    """Parts of a text (engine.corpus.shelf.Corpus.parts) in the tokens of a fast tokenizer: a token counts where its
    first character does."""
    text = "".join(part for part, _ in parts)
    counts = np.array([counted for part, counted in parts for _ in part], bool)  # (characters,)
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    spans = np.array(found.offset_mapping, np.int64).reshape(-1, 2)
    predicted = counts[np.minimum(spans[:, 0], len(text) - 1)] if len(text) else np.zeros(len(spans), bool)
    return Encoded(text, np.array(found.input_ids, np.int64), spans, predicted)


def windows_of(tokenizer: Any, corpus: Corpus, domain: str, size: int, context: int, begins: list[int]) -> list[Window]:
    """Windows of a domain's validation text.

    size: about how many bytes, from SPREAD places; begins: what the tokenizer puts before a text. Where it does, every
    window begins with it, and all of its text is predicted. Raises Problem for a domain with too little text.
    """
    corpus.need_text("measure other models on the text")
    shard = corpus.valid(domain)
    a_token = max(1e-9, corpus.manifest["domains"][domain]["valid_bytes"] / max(1, len(shard)))
    count = min(len(shard) // SPREAD, max(16, int(size / SPREAD / a_token)))
    found = []
    for start in np.arange(SPREAD) * len(shard) // SPREAD:
        own = encoded(tokenizer, corpus.parts(shard[start : start + count]))
        for at in range(0, len(own.ids) - 1, context - 1):
            part = slice(at, at + context - len(begins))
            ids, predicted = own.ids[part], own.predicted[part]
            if len(ids) < 2:
                continue
            targets = predicted & (np.arange(len(ids)) >= (0 if begins else 1))
            size_said = sum(len(text.encode()) for text in said(own.text, own.spans[part], targets))
            head = np.array(begins, np.int64)
            found.append(Window(np.concatenate([head, ids]), np.concatenate([head >= 0, predicted]), size_said))
    if len(found) < 2:
        raise Problem(f"Cannot measure {domain!r}: its validation text makes {len(found)} windows. Add text.")
    if not sum(one.size for one in found):
        raise Problem(f"Cannot measure {domain!r}: none of its {len(found)} windows holds an answer. Add text.")
    return found


def said(text: str, spans: np.ndarray, predicted: np.ndarray) -> list[str]:
    """The pieces of text that runs of predicted tokens stand for; spans (T, 2), predicted (T,)."""
    edges = np.flatnonzero(np.diff(predicted, prepend=False, append=False)).reshape(-1, 2)
    found = []
    for first, last in edges:
        begin = max(spans[first, 0], spans[first - 1, 1]) if first else spans[first, 0]
        found.append(text[begin : spans[last - 1, 1]])
    return found
