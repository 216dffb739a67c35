"""Token shards: flat files of token ids, one for each side of a domain, to be memory-mapped."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.corpus.parts import Part
from engine.corpus.tokenizers import BytePairs, Bytes

MOST_OFF = 0.01  # of a side's bytes: what tokens stand for may differ so far from the text (normal forms)
BATCH_BYTES = 2_000_000  # text encoded at a time
SIDES = ("train", "valid")


def token_type(vocabulary: int) -> np.dtype:
    """The smallest unsigned type, little-endian, that holds every token id."""
    return np.dtype("u1" if vocabulary <= 256 else "<u2" if vocabulary <= 65_536 else "<u4")


def write_shard(
    path: Path, part: Part, chosen: np.ndarray, tokenizer: Bytes | BytePairs, progress: Callable[[int], None]
) -> dict:
    """Write the documents chosen (N,) bool as tokens. Returns {"tokens", "bytes", "sha256"}.

    bytes: of text, with one for the end of each document, as `token_bytes` counts them.
    progress: called with the number of bytes of text that were just written. Raises Problem where the tokens do not
    stand for the text.
    """
    wanted = int(part.sizes[chosen].sum()) + int(chosen.sum())
    dtype, digest = token_type(len(tokenizer.token_bytes)), hashlib.sha256()
    tokens = text_bytes = 0
    indices = np.flatnonzero(chosen)
    batches = np.cumsum(part.sizes[indices]) // BATCH_BYTES
    with open(path, "wb") as shard:
        for batch in np.split(indices, np.flatnonzero(np.diff(batches)) + 1):
            ids = tokenizer.encode([part.document(index) for index in batch])
            data = ids.astype(dtype).tobytes()
            shard.write(data)
            digest.update(data)
            tokens += len(ids)
            text_bytes += int(tokenizer.token_bytes[ids].sum())
            progress(int(part.sizes[batch].sum()))
    if abs(text_bytes - wanted) > MOST_OFF * wanted:
        raise Problem(
            f"Cannot use this tokenizer on {path.parent.name!r}: its tokens stand for {text_bytes:,} bytes, and "
            f"the text has {wanted:,}, so losses per byte would be wrong. Choose another tokenizer, such as bytes."
        )
    return {"tokens": tokens, "bytes": text_bytes, "sha256": digest.hexdigest()}
