"""SCE: select the weights that the experts disagree on, weight experts by their energy there, erase minorities."""

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, Tensors, finish, masked
from engine.merging.methods.topk import cuts


def sce(x: Tensors, *, select_topk: float = 1.0) -> ChunkFn:
    """Keep the top fraction by variance across experts, weight by the mean square, elect on the sum (arXiv:2408.07990).

    k = int(nonzero variances x fraction); the weighted mean's denominator is at least 1e-6.
    """
    inside = selected(x, select_topk)
    energy = torch.zeros(len(x.experts), dtype=torch.float64)
    for part in x.chunks():
        energy += inside(x.deltas(part), part).double().square().sum(dim=1)
    energy /= max(1, x.n)
    total = float(energy.sum())
    weight = (torch.full_like(energy, 1 / len(energy)) if abs(total) < 1e-6 else energy / total).float()

    def at(part: slice) -> Tensor:
        found = inside(x.deltas(part), part)
        agree = (found > 0) == (found.sum(dim=0) >= 0)
        agree &= found != 0
        fraction = weight[:, None] * agree
        return finish(x, (found * fraction).sum(dim=0).div_(fraction.sum(dim=0).clamp_(min=1e-6)), 1.0)

    return at


def selected(x: Tensors, fraction: float):
    """A function that zeroes task vectors (K, len) outside the top fraction by variance."""
    if fraction >= 1:
        return lambda found, part: found
    spread = torch.empty(x.n)  # one fp32 copy of the tensor
    nonzero = 0
    for part in x.chunks():
        spread[part] = x.deltas(part).var(dim=0, unbiased=False)
        nonzero += int(torch.count_nonzero(spread[part]))
    keep = max(0, int(nonzero * fraction))
    whole = Tensors(x.name, x.shape, torch.zeros(1).expand(x.n), [spread])
    (cut,) = cuts(whole, [keep])

    def inside(found: Tensor, part: slice) -> Tensor:
        return masked(found, cut.keep(spread[part].clone(), part) > 0)

    return inside


METHOD = Method(sce, "SCE", "arXiv:2408.07990", identity_at_one=True, peak_memory=(4, 0.1))
