"""Losses of single tokens on a few validation passages, kept for every proxy: what a mixture does to a text.

One small file per run, `passages/<run>.npz` in the workspace: bits of every token of PASSAGES windows, in half
precision. The windows are the same for every model of one context; which text they are is worked out from the corpus
again, and not at all where the corpus is private. No torch. P passages, T tokens.
"""

from pathlib import Path

import numpy as np

from engine.core.errors import Problem
from engine.core.files import replacing
from engine.core.system import DAMAGED
from engine.corpus.shelf import Corpus
from engine.corpus.windows import starts

PASSAGES = 20


def places(corpus: Corpus, domains: list[str], context: int) -> list[tuple[str, int]]:
    """The passages as (domain, where it begins in the validation shard), as evenly over domains and shards as can be;
    domains that come first have one more where they do not divide evenly."""
    found = []
    for place, domain in enumerate(domains):
        wanted = PASSAGES // len(domains) + (place < PASSAGES % len(domains))
        begin = starts(len(corpus.valid(domain)), context, 10**9)
        chosen = (2 * np.arange(min(wanted, len(begin))) + 1) * len(begin) // (2 * max(wanted, 1))
        found += [(domain, int(begin[min(at, len(begin) - 1)])) for at in chosen]
    return found


def tokens_of(corpus: Corpus, found: list[tuple[str, int]], context: int) -> np.ndarray:
    """(P, T + 1) tokens of passages."""
    return np.stack([np.asarray(corpus.valid(domain)[at : at + context + 1], np.int64) for domain, at in found])


def pieces(corpus: Corpus, tokens: np.ndarray) -> list[str]:
    """The text of each of the tokens (T,). Raises Problem for a private corpus.

    A token that is a part of a character has no text; the last of its parts has the character.
    """
    if corpus.private:
        raise Problem(f"The text of {corpus.name!r} is private: passages of it are not shown.")
    found, done = [], ""
    for end in range(1, len(tokens) + 1):
        whole = corpus.decode(tokens[:end])
        ready = whole.rstrip("\ufffd")
        found.append(ready[len(done) :] if len(ready) > len(done) else "")
        done = ready if len(ready) > len(done) else done
    return found


def file_of(workspace: Path, run: str) -> Path:
    """Where the passages of a run lie."""
    return workspace / "passages" / f"{run}.npz"


def save(path: Path, context: int, bits: np.ndarray) -> None:
    """Write the bits (P, T) of one run, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, context=np.int64(context), bits=bits.astype(np.float16))


def load(path: Path) -> tuple[int, np.ndarray]:
    """The context and bits (P, T) of one run. Raises Problem for a file that is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return int(file["context"]), file["bits"].astype(float)
    except DAMAGED as error:
        raise Problem(f"Cannot read the passages of {path.stem}: {error}.") from error
