"""DELLA: drop changes at random, small ones more often; added, or elected as in TIES."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, added, bernoulli_mask, elected, masked
from engine.merging.methods.dare import masked_to_l1
from engine.merging.methods.topk import bits_of


def della(
    x: Tensors,
    weight: PerExpert,
    *,
    density: PerExpert,
    epsilon: PerExpert,
    normalize: bool = True,
    rescale: bool = True,
    lam: float = 1.0,
) -> ChunkFn:
    """Keep with probability density - eps + 2 eps r / (c - 1), r the rank by |d| in its row; then elect
    (arXiv:2406.11617). rescale: to the same L1 norm."""
    return elected(x, pruned(x, density, epsilon, rescale), weight, normalize, lam)


def della_linear(
    x: Tensors,
    weight: PerExpert,
    *,
    density: PerExpert,
    epsilon: PerExpert,
    normalize: bool = False,
    rescale: bool = True,
    lam: float = 1.0,
) -> ChunkFn:
    """The same draws, then a weighted sum."""
    return added(x, pruned(x, density, epsilon, rescale), weight, normalize, lam)


def pruned(x: Tensors, density: list[float], epsilon: list[float], rescale: bool) -> Callable[[slice], Tensor]:
    """Task vectors (K, len) with elements dropped by rank. Keeps masks: one byte per element and expert."""
    for fraction, eps in zip(density, epsilon, strict=True):
        if 0 < fraction < 1 and not (fraction - eps > 0 and fraction + eps < 1):
            raise Problem(
                f"Cannot prune with density {fraction} and epsilon {eps}: density ± epsilon must lie between 0 and 1. "
                "Lower epsilon."
            )

    def mask(expert: int, row: Tensor, part: slice) -> Tensor:
        return drawn(x, expert, row, density[expert], epsilon[expert], part)

    if rescale:
        return masked_to_l1(x, mask, rows=True)
    keep = torch.empty(len(x.experts), x.n, dtype=torch.bool)
    for part in x.chunks(rows=True):
        for i, row in enumerate(x.deltas(part)):
            keep[i, part] = mask(i, row, part)
    return lambda part: masked(x.deltas(part), keep[:, part])


def drawn(x: Tensors, expert: int, row: Tensor, density: float, epsilon: float, part: slice) -> Tensor:
    """(len,) which elements of whole rows of the tensor stay.

    Draws are made in rank order and scattered back to their elements. Size and place are sorted as one integer, which
    is twice as fast as an argsort by size.
    """
    if density >= 1 or density <= 0:
        return torch.full_like(row, density >= 1, dtype=torch.bool)
    columns = x.columns
    both = bits_of(row).numpy().reshape(-1, columns).astype(np.int64) << 32
    both |= np.arange(columns)
    both.sort(axis=1)
    both &= (1 << 32) - 1  # the places are left, smallest first
    ranks = np.linspace(0, 1, columns) if columns > 1 else np.zeros(1)
    fraction = density - epsilon + 2 * epsilon * ranks
    found = torch.from_numpy(bernoulli_mask(x.generator(expert, part), fraction, both.shape))
    return torch.empty_like(found).scatter_(1, torch.from_numpy(both), found).reshape(-1)


TIES = Method(della, "DELLA", "arXiv:2406.11617", identity_at_one=True, ordered=True, peak_memory=(0, 1))
LINEAR = Method(
    della_linear, "DELLA, linear", "arXiv:2406.11617", identity_at_one=True, ordered=True, peak_memory=(0, 1)
)
