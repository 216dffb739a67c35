"""Order statistics over all tensors of a model, without holding them, for methods with model-wide thresholds.

The bits of an fp32 number can be mapped to 32-bit integers of the same order. One pass counts their upper 16 bits, a
second the lower 16 of those whose upper bits were selected. That is exact, and takes one histogram
of 65,536 counts per expert, whatever the model's size.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.methods.base import Method, Tensors

BINS = 1 << 16
Model = Iterable[tuple[Tensors, dict]]  # every tensor with the method's arguments for it; may be iterated again


def run_first_pass(method: Method, model: Model) -> object:
    """The result of the method's first pass over a model; None if it has none, or there is nothing to merge."""
    if method.first_pass is None or next(iter(model), None) is None:
        return None
    return method.first_pass(model)


def constant(model: Model, *names: str) -> list:
    """The values of knobs that must be the same for all tensors. Raises Problem if they differ."""
    first = None
    for x, arguments in model:
        found = [arguments[name] for name in names]
        if first is not None and found != first:
            raise Problem(
                f"Cannot merge {x.name!r} with {' and '.join(names)} of its own: this method looks at the whole model "
                "at once. Give one value for all tensors, without filters or gradients."
            )
        first = found
    return first


def all_deltas(model: Model) -> Iterator[Tensor]:
    """The task vectors of the whole model, in parts (K, len), each overwriting the last."""
    for x, _ in model:
        for part in x.chunks():
            yield x.deltas(part)


def kth(look: Callable[[], Iterable[Tensor]], ranks: Callable[[int], list[list[int]]]) -> Tensor:
    """(K, R) order statistics of each row over all parts, at ascending ranks, 0 the smallest.

    look: yields all parts (K, len) in fp32, and is called twice; ranks: from the number of elements to R ranks per row.
    """
    counts = None
    for part in look():
        upper = ordered(part) >> 16
        counts = np.zeros((len(upper), BINS), np.int64) if counts is None else counts
        for row, found in zip(counts, upper, strict=True):
            row += np.bincount(found, minlength=BINS)
    if counts is None:
        raise Problem("Cannot merge: the models have no floating-point weights. Check their files.")
    sums = counts.cumsum(axis=1)
    sought = np.clip(ranks(int(sums[0, -1])), 0, int(sums[0, -1]) - 1)  # (K, R)
    bins = np.array([np.searchsorted(row, rank, side="right") for row, rank in zip(sums, sought, strict=True)])
    inside = np.zeros((*bins.shape, BINS), np.int64)
    for part in look():
        for row, wanted, numbers in zip(inside, bins, ordered(part), strict=True):
            for one, bin_ in zip(row, wanted, strict=True):
                one += np.bincount(numbers[numbers >> 16 == bin_] & (BINS - 1), minlength=BINS)
    left = sought - np.where(bins > 0, np.take_along_axis(sums, np.maximum(bins - 1, 0), axis=1), 0)
    lower = (inside.cumsum(axis=2) <= left[:, :, None]).sum(axis=2)
    return restored((bins.astype(np.uint32) << 16) | lower.astype(np.uint32))


def ordered(values: Tensor) -> np.ndarray:
    """fp32 numbers as unsigned integers of the same order."""
    bits = values.contiguous().numpy().view(np.uint32)
    negative = (bits.view(np.int32) >> 31).view(np.uint32)  # all ones, or 0
    return bits ^ (negative | np.uint32(0x80000000))


def restored(numbers: np.ndarray) -> Tensor:
    """The inverse of `ordered`."""
    bits = numbers ^ np.where(numbers >> 31, np.uint32(0x80000000), np.uint32(0xFFFFFFFF))
    return torch.from_numpy(bits.view(np.float32))
