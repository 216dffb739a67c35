"""Finds documents that are the same, or nearly: exact hashes, and MinHash with banding, both vectorised.

Near duplicates: a document is the set of its 32-byte shingles; of those, the ones whose first 8 bytes hash to
0 modulo 8 stand for all (chosen by content, so two documents choose alike; Manber 1994). 64 permutations give
its MinHash signature (Broder 1997); documents that agree in one of 16 bands of 4 are compared, and one that
agrees with an earlier one in 80% of the signature, an estimate of the Jaccard similarity, is a duplicate.
Blanks do not count, in either comparison.
"""

import hashlib

import numpy as np

from engine.corpus.hashing import MULTIPLIER, window_hashes, words

SHINGLE = 32  # bytes, about five words
PERMUTATIONS, BANDS = 64, 16
SIMILAR = 0.8  # estimated Jaccard similarity from which two documents are one
FEWEST_SHINGLES = 8  # a document with fewer chosen shingles is only compared exactly

_random = np.random.default_rng(20240701)
FACTORS = _random.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
OFFSETS = _random.integers(0, 2**63, PERMUTATIONS, dtype=np.uint64)
NO_SIGNATURE = np.full(PERMUTATIONS, 2**32 - 1, np.uint32)


def plain(data: bytes) -> bytes:
    """The document with every run of blanks as one space: what is compared."""
    return b" ".join(data.split())


def exact_hash(plain_data: bytes) -> int:
    """A 64-bit hash of a whole plain document."""
    return int.from_bytes(hashlib.blake2b(plain_data, digest_size=8).digest(), "little")


def signature(plain_data: bytes) -> np.ndarray:
    """The MinHash signature (64,) uint32 of a plain document; NO_SIGNATURE for a short one."""
    data = np.frombuffer(plain_data, np.uint8)
    if len(data) < SHINGLE:
        return NO_SIGNATURE
    first = words(data)[: len(data) - SHINGLE + 1] * MULTIPLIER
    shingles = np.unique(window_hashes(data, SHINGLE, np.flatnonzero(first >> np.uint64(61) == 0)))
    if len(shingles) < FEWEST_SHINGLES:
        return NO_SIGNATURE
    least = NO_SIGNATURE.astype(np.uint64)
    for start in range(0, len(shingles), 4096):  # (4096, 64) at a time
        mixed = (shingles[start : start + 4096, None] * FACTORS + OFFSETS) >> np.uint64(32)
        least = np.minimum(least, mixed.min(axis=0))
    return least.astype(np.uint32)


def exact_duplicates(hashes: np.ndarray) -> np.ndarray:
    """Which documents equal an earlier one: (N,) uint64 -> (N,) bool."""
    duplicate = np.ones(len(hashes), bool)
    duplicate[np.unique(hashes, return_index=True)[1]] = False
    return duplicate


def near_duplicates(signatures: np.ndarray) -> np.ndarray:
    """Which documents nearly equal an earlier one: (N, 64) uint32 -> (N,) bool."""
    duplicate = np.zeros(len(signatures), bool)
    known = np.flatnonzero((signatures != NO_SIGNATURE).any(axis=1))
    for band in np.split(signatures[known].astype(np.uint64), BANDS, axis=1):
        key = np.zeros(len(known), np.uint64)
        for column in band.T:
            key = (key ^ column) * MULTIPLIER
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        earlier = known[first[group]]  # of each document, the first one with the same band
        alike = (signatures[known] == signatures[earlier]).mean(axis=1) >= SIMILAR
        duplicate[known[alike & (earlier < known)]] = True
    return duplicate
