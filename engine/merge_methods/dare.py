"""DARE: drop changes at random and rescale what is left; added, or elected as in TIES.

Two rescalings, and they differ: the paper's 1 / density keeps the expectation; mergekit's keeps the L1 norm of every
tensor. Draws are seeded by tensor, expert and place, so a merge can be repeated.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.merge_methods.base import At, Method, PerExpert, Tensors, elect, finish, weighted_sum

LEVELS = 1 << 32


def dare_linear(
    x: Tensors, weight: PerExpert, *, density: PerExpert, normalize: bool = False, rescale: bool = True,
    lam: float = 1.0,
) -> At:  # fmt: skip
    """Drop with probability 1 - density, rescale to the same L1 norm, add (arXiv:2311.03099; mergekit's rescaling)."""
    weights, kept = torch.tensor(weight, dtype=torch.float32), dropped(x, density, "l1" if rescale else None)
    return lambda part: finish(x, weighted_sum(kept(part), weights, normalize), lam)


def dare_ties(
    x: Tensors, weight: PerExpert, *, density: PerExpert, normalize: bool = False, rescale: bool = True,
    lam: float = 1.0,
) -> At:  # fmt: skip
    """The same, then the election of TIES."""
    weights, kept = torch.tensor(weight, dtype=torch.float32), dropped(x, density, "l1" if rescale else None)
    return lambda part: finish(x, elect(kept(part), weights, normalize), lam)


def dare_linear_paper(
    x: Tensors, weight: PerExpert, *, density: PerExpert, normalize: bool = False, lam: float = 1.0
) -> At:
    """Drop, rescale by 1 / density as the paper does, add."""
    weights, kept = torch.tensor(weight, dtype=torch.float32), dropped(x, density, "density")
    return lambda part: finish(x, weighted_sum(kept(part), weights, normalize), lam)


def dare_ties_paper(
    x: Tensors, weight: PerExpert, *, density: PerExpert, normalize: bool = False, lam: float = 1.0
) -> At:
    """Drop, rescale by 1 / density as the paper does, elect."""
    weights, kept = torch.tensor(weight, dtype=torch.float32), dropped(x, density, "density")
    return lambda part: finish(x, elect(kept(part), weights, normalize), lam)


def dropped(x: Tensors, density: list[float], rescale: str | None) -> Callable[[slice], Tensor]:
    """Task vectors (K, len) with elements dropped at random; rescale: "l1", "density" or None."""
    scale = [1 / share if rescale == "density" and share > 0 else 1.0 for share in density]
    if rescale == "l1":
        scale = l1_scale(x, lambda found, part: mask(x, found, density, part))

    def at(part: slice) -> Tensor:
        found = mask(x, x.deltas(part), density, part)
        for row, one in zip(found, scale, strict=True):
            row.mul_(one)
        return found

    return at


def mask(x: Tensors, found: Tensor, density: list[float], part: slice) -> Tensor:
    """Zero each element of task vectors (K, len) with probability 1 - density; the draws belong to the place."""
    for i, (row, share) in enumerate(zip(found, density, strict=True)):
        if share < 1:
            drawn = np.frombuffer(x.generator(i, part).bytes(4 * len(row)), np.uint32)
            row.mul_(torch.from_numpy(drawn < int(share * LEVELS)))
    return found


def l1_scale(x: Tensors, masked: Callable[[Tensor, slice], Tensor]) -> list[float]:
    """By how much what is left of each expert must grow for its L1 norm to stay; 1 where nothing is left."""
    before, after = (torch.zeros(len(x.experts), dtype=torch.float64) for _ in range(2))
    for part in x.chunks():
        found = x.deltas(part)
        before += found.abs().sum(dim=1)
        after += masked(found, part).abs().sum(dim=1)
    return [float(b / a) if b >= 1e-7 and a >= 1e-7 else 1.0 for b, a in zip(before, after, strict=True)]


LINEAR = Method(dare_linear, "DARE", "arXiv:2311.03099", restores=True)
TIES = Method(dare_ties, "DARE with TIES", "arXiv:2311.03099", restores=True)
LINEAR_PAPER = Method(dare_linear_paper, "DARE, the paper's rescaling", "arXiv:2311.03099", restores=True)
TIES_PAPER = Method(dare_ties_paper, "DARE with TIES, the paper's rescaling", "arXiv:2311.03099", restores=True)
