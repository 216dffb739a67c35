"""KnOTS: TIES on the coordinates of the task vectors in a shared basis."""

import torch

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors
from engine.merging.methods.ties import ties
from engine.merging.methods.tsv_m import weighted


def knots(
    x: Tensors, weight: PerExpert, *, density: PerExpert, normalize: bool = True, tol: float = 1e-4, lam: float = 1.0
) -> ChunkFn:
    """Matrices: [d_1 ... d_K] = U S [V_1' ... V_K'] in fp64, without singular values up to `tol`; t0 + lam U S TIES(V)
    (arXiv:2410.19735). Other shapes: TIES. Takes fp64 copies of the concatenated tensor."""
    if len(x.shape) != 2 or x.n == 0:
        return ties(x, weight, density=density, normalize=normalize, lam=lam)
    joined = torch.cat(list(weighted(x, [1.0] * len(x.experts))), dim=1).double()
    u, s, v = torch.linalg.svd(joined, full_matrices=False)
    keep = s > tol
    if not keep.any():
        return lambda part: x.base32(part).clone()
    blocks = [block.reshape(-1) for block in v[keep].float().split(x.shape[1], dim=1)]
    shape = (int(keep.sum()), x.shape[1])
    inner = Tensors(x.name, shape, torch.zeros(1).expand(blocks[0].numel()), blocks, x.seed)
    at = ties(inner, weight, density=density, normalize=normalize, lam=lam)
    merged = torch.cat([at(part).clone() for part in inner.chunks()]).reshape(shape)
    total = ((u[:, keep] * s[keep]).float() @ merged).reshape(-1)
    return lambda part: x.base32(part).add(total[part])


METHOD = Method(knots, "KnOTS with TIES", "arXiv:2410.19735", identity_at_one=True, peak_memory=(40, 28), cubic=True)
