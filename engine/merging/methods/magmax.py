"""MagMax: for each weight, the task vector that moved it most wins."""

import torch

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, finish


def magmax(x: Tensors, weight: PerExpert, *, lam: float = 0.5) -> ChunkFn:
    """t0 + lam w_i d_i with the largest |w_i d_i|, the later one if tied (arXiv:2407.06322; its scale is 0.5)."""
    weights = torch.tensor(weight, dtype=torch.float32)[:, None]

    def at(part: slice) -> torch.Tensor:
        first, *others = x.deltas(part).mul_(weights)
        for other in others:
            first = torch.where(other.abs() >= first.abs(), other, first)
        return finish(x, first, lam)

    return at


METHOD = Method(magmax, "MagMax", "arXiv:2407.06322")
