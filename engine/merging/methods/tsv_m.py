"""TSV-M: the strongest singular directions of every task, orthogonalised across tasks."""

from collections.abc import Iterator

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors
from engine.merging.methods.iso_c import summed


def tsv_m(x: Tensors, weight: PerExpert, *, lam: float = 1.0) -> ChunkFn:
    """Matrices: the top int(R/K) singular triplets of each w d, concatenated; U and V are replaced by their polar
    factors, the singular values stay (arXiv:2412.00081). Other shapes: the mean of w d."""
    count = len(x.experts)
    if len(x.shape) != 2 or min(x.shape) < count:
        total = summed(x, weight) / count
    else:
        keep = min(x.shape) // count
        pieces = []
        for delta in weighted(x, weight):
            u, s, v = torch.linalg.svd(delta, full_matrices=False)
            pieces.append((u[:, :keep], s[:keep], v[:keep]))
        u, s, v = (torch.cat(parts, dim=axis) for parts, axis in zip(zip(*pieces, strict=True), (1, 0, 0), strict=True))
        total = (polar(u) * s @ polar(v)).reshape(-1)
    return lambda part: x.base32(part).add(total[part], alpha=lam)


def weighted(x: Tensors, weight: list[float]) -> Iterator[Tensor]:
    """Each w d as the whole tensor, in fp32."""
    for expert, one in zip(x.experts, weight, strict=True):
        yield one * (expert.float() - x.base.float()).reshape(x.shape)


def polar(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal columns (or rows)."""
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


METHOD = Method(tsv_m, "TSV-Merge", "arXiv:2412.00081", identity_at_one=True, peak_memory=(36, 8), cubic=True)
