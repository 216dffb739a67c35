"""Measures leaks: how much of a domain's validation text also stands, word for word, in training text.

Up to 2000 windows of 48 bytes are drawn from each domain's validation documents; a window leaks when the same
48 bytes (by a 64-bit hash) stand anywhere in the training text, at any position. Duplicated text makes
validation losses too good, and most so for mixtures heavy in the domain that leaks.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from engine.corpus.hashing import window_hashes
from engine.corpus.parts import Part

WINDOW = 48  # bytes
SAMPLES = 2000  # windows per domain: a leak of 5% is known within 1% (two standard errors)
CHUNK = 1_000_000  # bytes of training text at a time
BUCKET_BITS = 22  # of the table that rules out nearly all training windows quickly


def leaks(parts: list[Part], train: list[np.ndarray], valid: list[np.ndarray]) -> list[dict[str, float | None]]:
    """For each of D domains {"own", "any"}: the fraction of its windows seen in its own, in any training text.

    parts: D; train, valid: per domain the documents (N,) bool on that side. None where no window fits.
    """
    asked = [sample(part, mask) for part, mask in zip(parts, valid, strict=True)]
    wanted = np.unique(np.concatenate(asked))
    if not len(wanted):
        return [{"own": None, "any": None} for _ in parts]
    seen = np.stack([which_occur(part, mask, wanted) for part, mask in zip(parts, train, strict=True)])
    rows = [np.searchsorted(wanted, hashes) for hashes in asked]
    return [
        {"own": float(own[row].mean()), "any": float(seen[:, row].any(axis=0).mean())}
        if len(row)
        else {"own": None, "any": None}
        for own, row in zip(seen, rows, strict=True)
    ]


def sample(part: Part, mask: np.ndarray) -> np.ndarray:
    """Hashes (P,) of windows drawn evenly over the documents of the mask; those under 48 bytes have none."""
    fitting = np.flatnonzero(mask & (part.sizes >= WINDOW))
    if not len(fitting):
        return np.zeros(0, np.uint64)
    rng = np.random.default_rng(0)
    room = part.sizes[fitting] - WINDOW + 1
    at = np.sort(rng.choice(room.sum(), min(SAMPLES, room.sum()), replace=False))
    which = np.searchsorted(np.cumsum(room), at, side="right")
    starts = part.starts[fitting][which] + at - (np.cumsum(room) - room)[which]
    windows = np.stack([part.text[start : start + WINDOW] for start in starts])
    return window_hashes(windows.reshape(-1), WINDOW, np.arange(len(starts)) * WINDOW)


def which_occur(part: Part, mask: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of the sorted hashes `wanted` (W,) stand in the documents of the mask: (W,) bool."""
    return occurring(chunks(part, mask), wanted, WINDOW)


def occurring(texts: Iterable[np.ndarray], wanted: np.ndarray, window: int) -> np.ndarray:
    """Which of the sorted hashes `wanted` (W,) of windows of so many bytes stand in texts (N,) uint8: (W,) bool."""
    shift = np.uint64(64 - BUCKET_BITS)
    possible = np.zeros(1 << BUCKET_BITS, bool)
    possible[wanted >> shift] = True
    seen = np.zeros(len(wanted), bool)
    for text in texts:
        hashes = window_hashes(text, window)
        hashes = hashes[possible[hashes >> shift]]
        place = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        seen[place[wanted[place] == hashes]] = True
    return seen


def chunks(part: Part, mask: np.ndarray) -> Iterator[np.ndarray]:
    """The text of the documents of the mask, in chunks that overlap by a window; neighbours run together."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    starts = part.starts
    for first, beyond in edges.reshape(-1, 2):
        begin, end = int(starts[first]), int(part.ends[beyond - 1])
        for at in range(begin, end, CHUNK):
            yield part.text[at : min(end, at + CHUNK + WINDOW - 1)]
