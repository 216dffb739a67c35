"""Token shards: flat files of token ids, one for each side of a domain, to be memory-mapped.

A token that is read and never predicted, as what is said to a model in a conversation, is stored as its id + V. So one
array says both, for whoever slices and draws it; only where losses are summed it must be told apart.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.corpus.parts import Part
from engine.corpus.token_formats.base import WIDE
from engine.corpus.tokenizers import BytePairs, Bytes, Ids

MOST_OFF = 0.01  # of a side's bytes: what tokens stand for may differ so far from the text (normal forms)
BATCH_BYTES = 2_000_000  # text encoded at a time
SIDES = ("train", "valid")


def shard_type(vocabulary: int, context: bool) -> np.dtype:
    """The type of a domain's shards; context: whether some of its tokens are never predicted."""
    return token_type(2 * vocabulary if context else vocabulary)


def token_type(vocabulary: int) -> np.dtype:
    """The smallest unsigned type, little-endian, that holds every token id."""
    return np.dtype("u1" if vocabulary <= 256 else "<u2" if vocabulary <= 65_536 else "<u4")


def write_shard(
    path: Path, part: Part, chosen: np.ndarray, tokenizer: Bytes | BytePairs | Ids, progress: Callable[[int], None]
) -> dict:
    """Write the documents chosen (N,) bool as tokens; those of pre-tokenised text as they are. Returns {"tokens",
    "bytes", "answers", "sha256"}.

    bytes: of text, with one for the end of each document, as `token_bytes` counts them; answers: those of tokens that
    are predicted.
    progress: called with the number of bytes of text that were just written. Raises Problem where the tokens do not
    stand for the text.
    """
    wanted = int(part.sizes[chosen].sum()) + int(chosen.sum())
    vocabulary, digest = len(tokenizer.token_bytes), hashlib.sha256()
    dtype = shard_type(vocabulary, len(part.context) > 0)
    tokens = text_bytes = answers = 0
    indices = np.flatnonzero(chosen)
    batches = np.cumsum(part.sizes[indices]) // BATCH_BYTES
    with open(path, "wb") as shard:
        for batch in np.split(indices, np.flatnonzero(np.diff(batches)) + 1):
            documents = [part.document(index) for index in batch]
            ids, read = (
                as_given(documents)
                if part.is_tokens
                else encoded(tokenizer, documents, [part.context_of(index) for index in batch])
            )
            data = (ids.astype(np.int64) + vocabulary * read).astype(dtype).tobytes()
            shard.write(data)
            digest.update(data)
            tokens += len(ids)
            sizes = tokenizer.token_bytes[ids]
            text_bytes += int(sizes.sum())
            answers += int(sizes[~read].sum())
            progress(int(part.sizes[batch].sum()))
    if not part.is_tokens and abs(text_bytes - wanted) > MOST_OFF * wanted:
        raise Problem(
            f"Cannot use this tokenizer on {path.parent.name!r}: its tokens stand for {text_bytes:,} bytes, and "
            f"the text has {wanted:,}, so losses per byte would be wrong. Choose another tokenizer, such as bytes."
        )
    return {"tokens": tokens, "bytes": text_bytes, "answers": answers, "sha256": digest.hexdigest()}


def as_given(documents: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(ids (T,), none of them context (T,)) of documents of tokens."""
    ids = np.frombuffer(b"".join(documents), WIDE)
    return ids, np.zeros(len(ids), bool)


def encoded(
    tokenizer: Bytes | BytePairs | Ids, documents: list[bytes], context: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(ids (T,), whether each begins in context (T,)) of documents with their ranges (k, 2) of context.

    A document's end counts as what stands last in it.
    """
    if not any(map(len, context)):
        ids = tokenizer.encode(documents)
        return ids, np.zeros(len(ids), bool)
    ids, places = tokenizer.encode_placed(documents)
    ends = np.cumsum([len(data) + 1 for data in documents])  # with one byte for each end
    ranges = [
        (begin + start, begin + stop + (stop == len(data)))
        for begin, data, own in zip(ends - [len(data) + 1 for data in documents], documents, context, strict=True)
        for start, stop in own
    ]
    return ids, np.searchsorted(np.array(ranges).reshape(-1), places, side="right") % 2 == 1
