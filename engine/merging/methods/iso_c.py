"""Iso-C: the sum of task matrices with its singular values made equal."""

import torch

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors


def iso_c(x: Tensors, weight: PerExpert, *, lam: float = 1.0) -> ChunkFn:
    """Matrices: mean(S) U V' of sum(w d) = U S V' (arXiv:2502.04959); other shapes the mean of w d; times lam."""
    total = summed(x, weight)
    if len(x.shape) == 2 and min(x.shape) > 0:
        u, s, v = torch.linalg.svd(total.reshape(x.shape), full_matrices=False)
        total = (u @ v).reshape(-1) * s.mean()
    else:
        total /= len(x.experts)
    return lambda part: x.base32(part).add(total[part], alpha=lam)


def summed(x: Tensors, weight: list[float]) -> torch.Tensor:
    """sum(w d) of the whole tensor, (n,) in fp32."""
    weights, total = torch.tensor(weight, dtype=torch.float32), torch.empty(x.n)
    for part in x.chunks():
        total[part] = weights @ x.deltas(part)
    return total


METHOD = Method(iso_c, "Iso-C", "arXiv:2502.04959", peak_memory=(30, 0), cubic=True)
