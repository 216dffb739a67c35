"""Hashes of byte windows, vectorised, for near duplicates and leaks."""

import numpy as np

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: spreads neighbouring values


def words(data: np.ndarray) -> np.ndarray:
    """The 8 bytes from every position on, as numbers: (N,) uint8 -> (N - 7,) uint64 view."""
    data = np.ascontiguousarray(data)
    return np.ndarray((max(0, len(data) - 7),), "<u8", buffer=data, strides=(1,))


def window_hashes(data: np.ndarray, length: int, starts: np.ndarray | None = None) -> np.ndarray:
    """A 64-bit hash of each window of `length` bytes (a multiple of 8).

    data: (N,) uint8; starts: positions (P,), or None for all N - length + 1. Returns (P,) uint64.
    """
    values = words(data)
    count = max(0, len(data) - length + 1)
    hashes = np.zeros(count if starts is None else len(starts), np.uint64)
    for offset in range(0, length, 8):
        hashes ^= values[offset : offset + count] if starts is None else values[starts + offset]
        hashes *= MULTIPLIER
        hashes ^= hashes >> np.uint64(32)
    return hashes
