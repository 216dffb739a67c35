"""RAM, for agents trained by reinforcement: what one expert alone moved stays whole, shared moves are averaged."""

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, Tensors, finish


def ram(x: Tensors, *, epsilon: float = 1e-5) -> ChunkFn:
    """base + the sum of the task vectors over how many experts moved that element by more than epsilon
    (arXiv:2601.13572)."""

    def at(part: slice) -> Tensor:
        found, _, count = moved(x, part, epsilon)
        return finish(x, found.sum(dim=0).div_(count.clamp_(min=1)), 1.0)

    return at


def ramplus_tl(x: Tensors, *, r: float = 0.1, alpha: float = 0.2, epsilon: float = 1e-5) -> ChunkFn:
    """The same, where what expert i moved alone counts 1 + r min(alpha, shared_i / alone_i): the numbers of elements of
    this tensor that it moved with others, and alone (RAM+ of arXiv:2601.13572, per tensor as in mergekit)."""
    shared, alone = torch.zeros(2, len(x.experts), dtype=torch.float64)
    for part in x.chunks():
        _, is_moved, count = moved(x, part, epsilon)
        alone += (is_moved & (count == 1)).sum(dim=1)
        shared += (is_moved & (count > 1)).sum(dim=1)
    factor = (1 + r * (shared / alone.clamp(min=epsilon)).clamp(0, alpha)).float()

    def at(part: slice) -> Tensor:
        found, _, count = moved(x, part, epsilon)
        found.mul_(torch.where(count == 1, factor[:, None], 1 / count.clamp(min=1)))
        return finish(x, found.sum(dim=0), 1.0)

    return at


def moved(x: Tensors, part: slice, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Task vectors (K, len) without moves of at most epsilon; which are left; and (len,) by how many experts."""
    found = x.deltas(part)
    is_moved = found.abs() > epsilon
    return found.mul_(is_moved), is_moved, is_moved.sum(dim=0).float()


METHOD = Method(ram, "RAM", "arXiv:2601.13572", identity_at_one=True)
PLUS = Method(ramplus_tl, "RAM+, by tensor", "arXiv:2601.13572", identity_at_one=True)
