"""PCB-Merging: weights compete within their task and across tasks; the strongest of each task are combined."""

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, finish
from engine.merging.methods.global_stats import Model, all_deltas, constant, kth

CLIP = 1e-4  # fraction of a task vector's |d| that is clipped at either end


def pcb(x: Tensors, weight: PerExpert, *, ratio: float = 0.1, lam: float = 1.0) -> ChunkFn:
    """t0 + lam sum(w sign(d) a s) / sum(s) (arXiv:2410.02396).

    a = |d| clipped to its 1e-4 quantiles at both ends of the whole model; beta = exp(K norm(a)^2) tanh(d sum d);
    s = beta from its (1 - ratio) quantile to its largest, on 0 to 1.
    """
    ends, (floor, top) = x.global_stats
    weights = torch.tensor(weight, dtype=torch.float32)

    def at(part: slice) -> Tensor:
        found = x.deltas(part)
        fraction = ranged(competed(found, ends), floor, top)
        clipped = found.abs().clamp_(ends[0], ends[1]).mul_(found.sign()).mul_(fraction)
        return finish(x, (weights @ clipped).div_(fraction.sum(dim=0).clamp_(min=1e-12)), lam)

    return at


def first_pass(model: Model) -> tuple[Tensor, Tensor]:
    """The ends (2, K, 1) that |d| is clipped to, and the quantile and the largest (2, K, 1) of beta: four passes."""
    (ratio,) = constant(model, "ratio")
    count = len(next(iter(model))[0].experts)
    ends = kth(
        lambda: (part.abs_() for part in all_deltas(model)),
        lambda n: [[int(n * CLIP), int(n * (1 - CLIP) - 1)]] * count,
    ).T[:, :, None]
    betas = kth(
        lambda: (competed(part, ends) for part in all_deltas(model)),
        lambda n: [[int(n * (1 - ratio)), n - 1]] * count,
    ).T[:, :, None]
    return ends, betas


def competed(found: Tensor, ends: Tensor) -> Tensor:
    """beta (K, len) of task vectors."""
    own = ranged(found.abs(), ends[0], ends[1]).square_().mul_(len(found)).exp_()
    return own.mul_((found * found.sum(dim=0)).tanh_())


def ranged(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Values (K, len) clipped to low..high (K, 1) and scaled to 0 to 1, in place; 0 where low equals high."""
    span = high - low
    return values.clamp_(low, high).sub_(low).div_(torch.where(span > 0, span, 1))


METHOD = Method(pcb, "PCB-Merging", "arXiv:2410.02396", first_pass=first_pass)
