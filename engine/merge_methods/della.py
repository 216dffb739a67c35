"""DELLA: drop changes at random, small ones more often; added, or elected as in TIES."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.errors import Problem
from engine.merge_methods.base import At, Method, PerExpert, Tensors, added, elected
from engine.merge_methods.dare import LEVELS, masked_to_l1
from engine.merge_methods.largest import bits_of


def della(
    x: Tensors, weight: PerExpert, *, density: PerExpert, epsilon: PerExpert, normalize: bool = True,
    rescale: bool = True, lam: float = 1.0,
) -> At:  # fmt: skip
    """Keep with probability density - eps + 2 eps r / (c - 1), r the rank by |d| in its row; then elect
    (arXiv:2406.11617). rescale: to the same L1 norm."""
    return elected(x, pruned(x, density, epsilon, rescale), weight, normalize, lam)


def della_linear(
    x: Tensors, weight: PerExpert, *, density: PerExpert, epsilon: PerExpert, normalize: bool = False,
    rescale: bool = True, lam: float = 1.0,
) -> At:  # fmt: skip
    """The same draws, then a weighted sum."""
    return added(x, pruned(x, density, epsilon, rescale), weight, normalize, lam)


def pruned(x: Tensors, density: list[float], epsilon: list[float], rescale: bool) -> Callable[[slice], Tensor]:
    """Task vectors (K, len) with elements dropped by rank. The masks are kept: a byte an element and expert."""
    for share, eps in zip(density, epsilon, strict=True):
        if 0 < share < 1 and not (share - eps > 0 and share + eps < 1):
            raise Problem(
                f"Cannot prune with density {share} and epsilon {eps}: density ± epsilon must lie between 0 and 1. "
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
    return lambda part: x.deltas(part).mul_(keep[:, part])


def drawn(x: Tensors, expert: int, row: Tensor, density: float, epsilon: float, part: slice) -> Tensor:
    """(len,) which elements of whole rows of the tensor stay.

    Each uniform draw is compared in the order of the ranks and carried back to its element: one sort, not two.
    """
    if density >= 1 or density <= 0:
        return torch.full_like(row, density >= 1, dtype=torch.bool)
    columns = x.columns
    order = np.argsort(bits_of(row).numpy().reshape(-1, columns), axis=1)  # of integers: six times as fast
    ranks = np.linspace(0, 1, columns) if columns > 1 else np.zeros(1)
    bound = ((density - epsilon + 2 * epsilon * ranks) * LEVELS).astype(np.uint32)
    numbers = np.frombuffer(x.generator(expert, part).bytes(4 * len(row)), np.uint32).reshape(-1, columns)
    stays = np.empty(order.shape, bool)
    np.put_along_axis(stays, order, numbers < bound, axis=1)
    return torch.from_numpy(stays).reshape(-1)


TIES = Method(della, "DELLA", "arXiv:2406.11617", restores=True, ordered=True)
LINEAR = Method(della_linear, "DELLA, linear", "arXiv:2406.11617", restores=True, ordered=True)
