"""DARE: drop changes at random and rescale what is left; added, or elected as in TIES.

Two rescalings, and they differ: the paper's 1 / density keeps the expectation; mergekit's keeps the L1 norm of every
tensor. Draws are seeded by tensor, expert and place, so a merge can be repeated.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, added, bernoulli_mask, elected, masked
from engine.merging.methods.topk import growth


def dare_linear(
    x: Tensors,
    weight: PerExpert,
    *,
    density: PerExpert,
    normalize: bool = False,
    rescale: bool = True,
    lam: float = 1.0,
) -> ChunkFn:
    """Drop with probability 1 - density, rescale to the same L1 norm, add (arXiv:2311.03099; mergekit's rescaling)."""
    return added(x, dropped(x, density, "l1" if rescale else None), weight, normalize, lam)


def dare_ties(
    x: Tensors,
    weight: PerExpert,
    *,
    density: PerExpert,
    normalize: bool = False,
    rescale: bool = True,
    lam: float = 1.0,
) -> ChunkFn:
    """The same, then TIES' sign election."""
    return elected(x, dropped(x, density, "l1" if rescale else None), weight, normalize, lam)


def dare_linear_paper(
    x: Tensors, weight: PerExpert, *, density: PerExpert, normalize: bool = False, lam: float = 1.0
) -> ChunkFn:
    """Drop, rescale by 1 / density as the paper does, add."""
    return added(x, dropped(x, density, "density"), weight, normalize, lam)


def dare_ties_paper(
    x: Tensors, weight: PerExpert, *, density: PerExpert, normalize: bool = False, lam: float = 1.0
) -> ChunkFn:
    """Drop, rescale by 1 / density as the paper does, elect."""
    return elected(x, dropped(x, density, "density"), weight, normalize, lam)


def dropped(x: Tensors, density: list[float], rescale: str | None) -> Callable[[slice], Tensor]:
    """Task vectors (K, len) with elements dropped at random; rescale: "l1", "density" or None."""
    if rescale == "l1":
        return masked_to_l1(x, lambda i, row, part: drawn(x, i, row, density[i], part), rows=False)
    scale = [1 / fraction if rescale and fraction > 0 else 1.0 for fraction in density]

    def at(part: slice) -> Tensor:
        found = x.deltas(part)
        for i, row in enumerate(found):
            masked(row, drawn(x, i, row, density[i], part)).mul_(scale[i])
        return found

    return at


def drawn(x: Tensors, expert: int, row: Tensor, density: float, part: slice) -> Tensor:
    """(len,) which elements stay, each with probability `density`; the draws belong to the place."""
    if density >= 1:
        return torch.ones(len(row), dtype=torch.bool)
    return torch.from_numpy(bernoulli_mask(x.generator(expert, part), density, (len(row),)))


def masked_to_l1(x: Tensors, mask: Callable, rows: bool) -> Callable[[slice], Tensor]:
    """Task vectors (K, len) times `mask(expert, row, part)`, grown so that each expert's L1 norm stays.

    Keeps masks: one byte per element and expert. rows: in whole rows of the tensor.
    """
    keep = torch.empty(len(x.experts), x.n, dtype=torch.bool)
    before, after = torch.zeros(2, len(x.experts), dtype=torch.float64)
    for part in x.chunks(rows):
        found = x.deltas(part)
        for i, row in enumerate(found):
            keep[i, part] = mask(i, row, part)
        before += found.abs_().sum(dim=1)
        after += masked(found, keep[:, part]).sum(dim=1)
    scale = growth(before, after)
    return lambda part: masked(x.deltas(part), keep[:, part]).mul_(scale[:, None])


PAPER = "arXiv:2311.03099"
LINEAR = Method(dare_linear, "DARE", PAPER, identity_at_one=True, ordered=True, peak_memory=(0, 1))
TIES = Method(dare_ties, "DARE with TIES", PAPER, identity_at_one=True, ordered=True, peak_memory=(0, 1))
LINEAR_PAPER = Method(dare_linear_paper, "DARE, the paper's rescaling", PAPER, identity_at_one=True, ordered=True)
TIES_PAPER = Method(dare_ties_paper, "DARE with TIES, the paper's rescaling", PAPER, identity_at_one=True, ordered=True)
