"""NuSLERP: spherical interpolation of two models, or of their task vectors, by relative weight."""

import math

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors

COLLINEAR = 1e-8


def nuslerp(x: Tensors, weight: PerExpert, *, nuslerp_row_wise: bool = False, nuslerp_flatten: bool = True) -> ChunkFn:
    """With f = w2 / (w1 + w2), from the first (f = 0) to the second; a straight line only where collinear.

    Over the whole tensor; without `nuslerp_flatten` over vectors along the last dimension, or with `nuslerp_row_wise`
    along the first. With a base it acts on task vectors.
    """
    total = sum(weight)
    f = 0.5 if abs(total) < 1e-6 else weight[1] / total
    if nuslerp_flatten or len(x.shape) < 2:
        gram = x.gram()
        sizes = [max(math.sqrt(gram[i, i]), 1e-7) for i in range(2)]
        cosine = min(1.0, max(-1.0, gram[0, 1] / (sizes[0] * sizes[1])))
        return x.combined(coefficients(torch.tensor([cosine], dtype=torch.float64), f)[:, 0].tolist())
    return along(x, f, 0 if nuslerp_row_wise else -1)


def along(x: Tensors, f: float, dimension: int) -> ChunkFn:
    """Each vector along a dimension by itself, on whole tensors: takes a few fp32 copies of the tensor."""
    one, other = (v.reshape(x.shape).transpose(dimension, -1) for v in x.vectors(slice(0, x.n)).clone())
    unit = [v / v.norm(dim=-1, keepdim=True).clamp(min=1e-7) for v in (one, other)]
    cosine = (unit[0] * unit[1]).sum(dim=-1, keepdim=True).clamp(-1, 1)
    first, second = coefficients(cosine, f)
    mixed = (first * one + second * other).transpose(dimension, -1).reshape(-1)
    if x.base is not None:
        mixed += x.base32(slice(0, x.n))
    return lambda part: mixed[part]


def coefficients(cosine: Tensor, f: float) -> Tensor:
    """(2, ...) factors of the two vectors."""
    straight = 1 - cosine.square() <= COLLINEAR**2
    angle = torch.acos(torch.where(straight, 0, cosine))
    round_ = torch.stack([torch.sin((1 - f) * angle), torch.sin(f * angle)]) / torch.sin(angle)
    flat = torch.stack([torch.full_like(cosine, 1 - f), torch.full_like(cosine, f)])
    return torch.where(straight, flat, round_)


METHOD = Method(
    nuslerp, "NuSLERP", "mergekit", base="optional", min_experts=2, max_experts=2, ordered=True, peak_memory=(45, 0)
)
