"""The largest of a tensor without sorting it.

The bits of a non-negative fp32 number, read as an integer, keep its order. A sample of the tensor brackets the k-th
largest |d|; one pass counts the elements above the bracket and collects the few per cent inside it, and a partition of
these gives the exact value. If the sample misled, the bracket is widened and the pass repeated. A sort
takes n log n and several copies of the tensor.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.merging.methods.base import Tensors, masked

SAMPLE = 1 << 16  # elements
SLACK = 5.0  # standard deviations of a sampled rank
ALL_BITS = 0x7FFFFFFF
NOTHING = 1e-7  # of a norm


def trimmed(x: Tensors, skip: list[int], keep: list[int], rescale: bool = False) -> Callable[[slice], Tensor]:
    """Task vectors (K, len) whose elements are 0 but for ranks skip_i to skip_i + keep_i by |d|, largest first.

    rescale: what is left grows so that each expert's L1 norm stays (as in mergekit).
    """
    if all(s == 0 and k >= x.n for s, k in zip(skip, keep, strict=True)):
        return x.deltas
    found = ranked(x, skip, keep)
    return regrown(x, found) if rescale else found


def ranked(x: Tensors, skip: list[int], keep: list[int]) -> Callable[[slice], Tensor]:
    """What `trimmed` keeps, in one pass over the tensor."""
    both = cuts(x, [s + k for s, k in zip(skip, keep, strict=True)] + (list(skip) if any(skip) else []))
    kept, left_out = both[: len(keep)], both[len(keep) :]

    def at(part: slice) -> Tensor:
        found = x.deltas(part)
        for row, cut in zip(found, kept, strict=True):
            cut.keep(row, part)
        for row, cut in zip(found, left_out, strict=False):
            row.sub_(cut.keep(row.clone(), part))
        return found

    return at


def regrown(x: Tensors, kept: Callable[[slice], Tensor]) -> Callable[[slice], Tensor]:
    """The task vectors (K, len) that `kept` gives, grown to each expert's L1 norm before."""
    before, after = torch.zeros(2, len(x.experts), dtype=torch.float64)
    for part in x.chunks():
        before += x.deltas(part).abs_().sum(dim=1)
        after += kept(part).abs().sum(dim=1)
    scale = growth(before, after)
    return lambda part: kept(part).mul_(scale[:, None])


def growth(before: Tensor, after: Tensor) -> Tensor:
    """(K,) what norms shrank by; 1 where nothing is left to rescale."""
    sound = (before >= NOTHING) & (after >= NOTHING)
    return torch.where(sound, before / torch.where(sound, after, 1), 1).float()


@dataclass
class Cut:
    """The `count` largest of n elements: all whose bits are above `bits`, and the first of those that equal it.

    Ties are taken from all chunks before the one that begins at `last`, and there the first `left`.
    """

    count: int
    n: int
    bits: int = ALL_BITS
    last: int = -1
    left: int = 0

    def keep(self, row: Tensor, part: slice) -> Tensor:
        """Set all other elements of a row (len,) to 0, in place."""
        if self.count <= 0:
            return row.zero_()
        if self.count >= self.n:
            return row
        if part.start == self.last:
            bits = bits_of(row)
            same = bits == self.bits
            return masked(row, (bits > self.bits) | (same & (same.cumsum(0) <= self.left)))
        below = self.bits - (part.start < self.last)  # the largest bits that are excluded
        return row if below < 0 else torch.ops.aten.hardshrink.out(row, value_of(below), out=row)


def cuts(x: Tensors, ranks: list[int]) -> list[Cut]:
    """The cut after the r largest, for as many lists of K ranks as are given end to end: one pass over the tensor."""
    brackets = [bracket(sample, rank, x.n) for sample, rank in zip(sampled(x, len(ranks)), ranks, strict=True)]
    while True:
        found = scan(x, ranks, brackets)
        missed = [i for i, cut in enumerate(found) if cut is None]
        if not missed:
            return found
        for i in missed:
            brackets[i] = (0, ALL_BITS)


def sampled(x: Tensors, lists: int) -> list[np.ndarray]:
    """Sorted bits of an even sample of each expert's |d|, largest first, repeated for every list of ranks."""
    step = slice(0, x.n, max(1, x.n // SAMPLE))
    base = x.base[step].float()
    found = [np.sort(bits_of(expert[step].float() - base).numpy())[::-1] for expert in x.experts]
    return [found[i % len(found)] for i in range(lists)]


def bracket(sample: np.ndarray, rank: int, n: int) -> tuple[int, int]:
    """(lowest, highest) bits between which the rank-th largest of n very probably lies."""
    if rank <= 0 or rank >= n:
        return (ALL_BITS, ALL_BITS) if rank <= 0 else (0, 0)
    fraction = rank / n
    slack = SLACK * np.sqrt(fraction * (1 - fraction) * len(sample)) + 2
    first, last = int(fraction * len(sample) - slack), int(fraction * len(sample) + slack)
    return (
        int(sample[last]) if last < len(sample) else 0,
        int(sample[first]) if first > 0 else ALL_BITS,
    )


def scan(x: Tensors, ranks: list[int], brackets: list[tuple[int, int]]) -> list[Cut | None]:
    """The cut for each rank; None if it is outside the bracket."""
    above, inside = [0] * len(ranks), [[] for _ in ranks]
    for part in x.chunks():
        bits = bits_of(x.deltas(part)).numpy().view(np.uint32)
        for i, (low, high) in enumerate(brackets):
            if 0 < ranks[i] < x.n:
                row = bits[i % len(bits)]
                above[i] += int(np.count_nonzero(row > high))
                inside[i].append((part.start, row[(row - np.uint32(low)) <= np.uint32(high - low)]))
    return [decide(rank, x.n, above[i], inside[i]) for i, rank in enumerate(ranks)]


def decide(rank: int, n: int, above: int, inside: list[tuple[int, np.ndarray]]) -> Cut | None:
    """The cut, from the count above the bracket and the candidates inside it by chunk."""
    if not 0 < rank < n:
        return Cut(rank, n)
    candidates = np.concatenate([found for _, found in inside])
    left = rank - above
    if not 0 < left <= len(candidates):
        return None
    value = np.partition(candidates, len(candidates) - left)[len(candidates) - left]
    left -= int((candidates > value).sum())
    for start, found in inside:
        equals = int((found == value).sum())
        if left <= equals:
            return Cut(rank, n, int(value), start, left)
        left -= equals
    raise AssertionError("the value is among the candidates")


def bits_of(values: Tensor) -> Tensor:
    """The bits of |values| in fp32, as integers of the same order."""
    return values.view(torch.int32) & ALL_BITS


def value_of(bits: int) -> float:
    """The number with these bits."""
    return float(np.array([bits], np.int32).view(np.float32)[0])
