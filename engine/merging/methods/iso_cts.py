"""Iso-CTS: the strongest shared directions and each task's own, with equal singular values."""

import torch

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors
from engine.merging.methods.iso_c import summed
from engine.merging.methods.tsv_m import polar, weighted


def iso_cts(x: Tensors, weight: PerExpert, *, common: float = 0.8, lam: float = 1.0) -> ChunkFn:
    """Matrices of rank R: the top k_c = R - K t directions of sum(e), e = w d, and of each task the top t of (I - Uc
    Uc') e_i, t = round((R - int(common R)) / K); polar factors of both sides, the mean singular value
    (arXiv:2502.04959). Other shapes the mean of e; times lam."""
    count, rank = len(x.experts), min(x.shape, default=0)
    total = summed(x, weight)
    if len(x.shape) != 2 or rank == 0:
        total /= count
        return lambda part: x.base32(part).add(total[part], alpha=lam)
    own = min(round((rank - int(rank * common)) / count), rank // count)
    u, s, v = torch.linalg.svd(total.reshape(x.shape), full_matrices=False)
    shared = rank - own * count
    pieces = [(u[:, :shared], s[:shared], v[:shared])]
    for delta in weighted(x, weight):
        u, s, v = torch.linalg.svd(delta - pieces[0][0] @ (pieces[0][0].T @ delta), full_matrices=False)
        pieces.append((u[:, :own], s[:own], v[:own]))
    u, s, v = (torch.cat(parts, dim=axis) for parts, axis in zip(zip(*pieces, strict=True), (1, 0, 0), strict=True))
    total = (polar(u) @ polar(v)).mul_(s.mean()).reshape(-1)
    return lambda part: x.base32(part).add(total[part], alpha=lam)


METHOD = Method(iso_cts, "Iso-CTS", "arXiv:2502.04959", peak_memory=(40, 16), cubic=True)
