"""Matrix products on a CPU, of stacked members or of one: by oneDNN if that is faster than torch's default library.

torch ships oneDNN for compiled models. On AMD processors its products in fp32 run at up to twice the rate of
the default library, which keeps to 256-bit registers there, and an activation, a gate or a residual is done before a
product leaves the registers (benchmarks/results/merges.md, stacking.md). It takes one member at a time, so in stacks it
pays from a width of 128 on. Where torch was built without it, the default library does everything. G members, N rows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
LINEAR = torch.ops.mkldnn._linear_pointwise if ONEDNN else None
FUSED = (LINEAR, LINEAR.binary) if ONEDNN else ()  # the ops called: the input comes first
WIDE = 128  # smallest matrices of stacked members that oneDNN is faster on: below, its calls cost what it gains


def product(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    """x (N, i) by weight (o, i), plus an addend: (N, o)."""
    if not ONEDNN:
        return F.linear(x, weight) if added is None else torch.addmm(added, x, weight.T)
    if added is None:
        return activated(x, weight, "none")
    return LINEAR.binary(x, added, weight, None, "add")


def activated(x: Tensor, weight: Tensor, activation: str) -> Tensor:
    """x (N, i) by weight (o, i), then no activation, swish, or exact gelu: (N, o). By oneDNN."""
    return LINEAR(x, weight, None, activation, [], "none")


def gated(x: Tensor, weight: Tensor, gate: Tensor) -> Tensor:
    """x (N, i) by weight (o, i), times a gate (N, o). By oneDNN."""
    return LINEAR.binary(x, gate, weight, None, "mul")


def products(x: Tensor, weight: Tensor, added: Tensor | None = None) -> Tensor:
    """Of every member: x (G, N, i) by weight (G, o, i), plus an addend: (G, N, o)."""
    if not (ONEDNN and min(weight.shape[1:]) >= WIDE):
        return torch.bmm(x, weight.mT) if added is None else torch.baddbmm(added, x, weight.mT)
    out = x.new_empty(*x.shape[:2], weight.shape[1])
    for g in range(len(x)):
        out[g] = product(x[g], weight[g], None if added is None else added[g])
    return out


def products_back(gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient at x of `products`, from the one at its output: (G, N, o) by weight (G, o, i) -> (G, N, i)."""
    if not (ONEDNN and min(weight.shape[1:]) >= WIDE):
        return torch.bmm(gradient, weight)
    return products(gradient, weight.mT.contiguous())


def outer_products(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient at the weight of `products`: (G, N, o), (G, N, i) -> (G, o, i)."""
    if not (ONEDNN and min(gradient.shape[-1], x.shape[-1]) >= WIDE):
        return torch.bmm(gradient.mT, x)
    out = x.new_empty(len(x), gradient.shape[-1], x.shape[-1])
    for g in range(len(x)):
        out[g] = product(gradient[g].T.contiguous(), x[g].T.contiguous())
    return out
