"""What the text of a domain is made of, as counts: so that domains of different corpora have common coordinates.

A domain's contents are a histogram of three-byte pieces of its training text, hashed into CELLS cells. Counts are small
and give no text away; they lie beside the shards (`contents.npz`), named by the shards' hashes, and are counted again
where that file is missing or of other text. A mixture of domains has the mixture of their contents, so runs on any
domains are points of one space. D domains, C cells, N mixtures.
"""

import json
from pathlib import Path

import numpy as np

from engine.core.files import replacing
from engine.core.system import DAMAGED
from engine.corpus.shelf import Corpus, load

CELLS = 1024
KIND = f"3 bytes in {CELLS} cells"  # what was counted: another kind is counted again
MOST_TOKENS = 1_000_000  # of a domain that are counted, in PIECES evenly spread pieces where it has more
PIECES = 256
MULTIPLIER = np.uint32(2654435761)  # 2^32 / golden ratio: spreads neighbouring pieces over the cells
SHIFT = np.uint32(32 - 10)
FILE = "contents.npz"


def contents_of(corpus: Corpus) -> np.ndarray:
    """(D, C) the contents of each domain in the bytes that one of its training tokens stands for, so that shares of
    tokens weigh them."""
    counts = _kept(corpus)
    counts = _counted(corpus) if counts is None else counts
    facts = corpus.manifest["domains"].values()
    density = np.array([one["train_bytes"] / one["train_tokens"] for one in facts])
    found: np.ndarray = counts / counts.sum(axis=1, keepdims=True) * density[:, None]
    return found


def mixed(shares: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """(N, C) distributions over cells of mixtures (N, D) of domains with these contents (D, C)."""
    total = np.asarray(shares, float) @ contents
    found: np.ndarray = total / total.sum(axis=1, keepdims=True)
    return found


def keep(folder: Path) -> None:
    """Count the contents of a corpus' domains and write them beside its shards, atomically."""
    corpus = load(folder)
    with replacing(folder / FILE) as part, open(part, "wb") as file:
        np.savez_compressed(file, of=np.array(_of(corpus)), counts=_counted(corpus))


def count(text: bytes | np.ndarray) -> np.ndarray:
    """(C,) how many three-byte pieces of a text fall into each cell."""
    data = np.frombuffer(text, np.uint8) if isinstance(text, bytes) else np.asarray(text)
    wide = data.astype(np.uint32)
    pieces = wide[:-2] | wide[1:-1] << np.uint32(8) | wide[2:] << np.uint32(16)
    return np.bincount(pieces * MULTIPLIER >> SHIFT, minlength=CELLS)


def _counted(corpus: Corpus) -> np.ndarray:
    """(D, C) counts."""
    return np.stack([count(_text(corpus, name)) for name in corpus.domains])


def _text(corpus: Corpus, domain: str) -> bytes | np.ndarray:
    """The bytes of a domain's training text, or of an even sample of it."""
    tokens: np.ndarray = corpus.train(domain)
    if len(tokens) > MOST_TOKENS:
        length = MOST_TOKENS // PIECES
        starts = np.linspace(0, len(tokens) - length, PIECES).astype(int)
        tokens = np.concatenate([tokens[start : start + length] for start in starts])
    return np.asarray(tokens) if corpus.tokenizer.json is None else corpus.decode(np.asarray(tokens)).encode()


def _of(corpus: Corpus) -> str:
    """What kept counts are counts of: the kind, and the domains' training text."""
    shards = {name: facts["sha256"]["train"] for name, facts in corpus.manifest["domains"].items()}
    return json.dumps([KIND, shards], sort_keys=True)


def _kept(corpus: Corpus) -> np.ndarray | None:
    """(D, C) the counts beside the shards, None where there are none of this text."""
    try:
        with np.load(corpus.folder / FILE, allow_pickle=False) as file:
            return np.array(file["counts"]) if str(file["of"]) == _of(corpus) else None
    except DAMAGED:
        return None
