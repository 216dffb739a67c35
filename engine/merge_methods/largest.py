"""The largest of a tensor without sorting it: two passes of a radix histogram over the bits of |d|.

The bits of a non-negative fp32 number, read as an integer, have its order. A histogram of the upper 16 bits finds the
bin of the k-th largest, one of the lower 16 bits inside that bin its very value: two linear passes over chunks, where
sorting takes n log n and four copies of the tensor.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.merge_methods.base import Tensors

UPPER, LOWER = 1 << 15, 1 << 16  # bins: the sign bit is 0
EVERYTHING = -1  # a cut below all bits


def trimmed(x: Tensors, skip: list[int], keep: list[int]) -> Callable[[slice], Tensor]:
    """Task vectors (K, len) whose elements are 0 but for ranks skip_i to skip_i + keep_i by |d|, largest first."""
    if all(s == 0 and k >= x.n for s, k in zip(skip, keep, strict=True)):
        return x.deltas
    upper = cuts(x, [s + k for s, k in zip(skip, keep, strict=True)])
    lower = cuts(x, skip) if any(skip) else None

    def at(part: slice) -> Tensor:
        found = x.deltas(part)
        bits = bits_of(found)
        for i, row in enumerate(found):
            inside = upper[i].largest(bits[i], part)
            if lower is not None and skip[i]:
                inside &= ~lower[i].largest(bits[i], part)
            row.mul_(inside)
        return found

    return at


class Cut:
    """The r largest of one expert's n elements: all bits above `bits`, and the first `equal` that have just these.

    before: how many elements with just these bits stand before each chunk; None where all of them belong.
    """

    def __init__(self, bits: int, equal: int, before: dict[int, int] | None):
        self.bits, self.equal, self.before = bits, equal, before

    def largest(self, bits: Tensor, part: slice) -> Tensor:
        """(len,) bool: which elements belong."""
        if self.before is None:
            return bits > self.bits if self.equal == 0 else bits >= self.bits
        same = bits == self.bits
        first = same.cumsum(0) + self.before[part.start] <= self.equal
        return (bits > self.bits) | (same & first)


def cuts(x: Tensors, ranks: list[int]) -> list[Cut]:
    """The cut after the r largest of every expert, in passes over all of them at once."""
    upper = [torch.zeros(UPPER, dtype=torch.int64) for _ in ranks]
    for part in x.chunks():
        for count, bits in zip(upper, bits_of(x.deltas(part)), strict=True):
            count += torch.bincount(bits >> 16, minlength=UPPER)
    bins = [place(count, rank) for count, rank in zip(upper, ranks, strict=True)]  # (bin, rank inside it)
    lower = [torch.zeros(LOWER, dtype=torch.int64) for _ in ranks]
    for part in x.chunks():
        for (one, _), count, bits in zip(bins, lower, bits_of(x.deltas(part)), strict=True):
            inside = bits[(bits >> 16) == one]
            if len(inside):
                count += torch.bincount(inside & 0xFFFF, minlength=LOWER)
    found = []
    for i, ((one, rank), count) in enumerate(zip(bins, lower, strict=True)):
        low, equal = place(count, rank)
        value = (one << 16) + low if equal else EVERYTHING if ranks[i] else (UPPER << 16) - 1
        found.append(Cut(value, equal, ties_before(x, i, value) if 0 < equal < count[low] else None))
    return found


def place(count: Tensor, rank: int) -> tuple[int, int]:
    """(bin, how many of the bin's own elements) so that these and all higher bins hold `rank` elements."""
    if rank <= 0:
        return len(count) - 1, 0
    above = count.flip(0).cumsum(0)
    step = int(torch.searchsorted(above, rank))
    one = len(count) - 1 - step
    return one, rank - int(above[step] - count[one])


def ties_before(x: Tensors, expert: int, value: int) -> dict[int, int]:
    """How many elements of just that value stand before each chunk."""
    before, total = {}, 0
    for part in x.chunks():
        before[part.start] = total
        total += int((bits_of(x.deltas(part))[expert] == value).sum())
    return before


def bits_of(values: Tensor) -> Tensor:
    """The bits of |values| in fp32, as integers of the same order."""
    return values.view(torch.int32) & 0x7FFFFFFF
