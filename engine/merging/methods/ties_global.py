"""TIES as in the paper: trimmed over the whole model, with signs elected without weights."""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, finish, masked
from engine.merging.methods.global_stats import Model, all_deltas, constant, kth


def ties_global(x: Tensors, weight: PerExpert, *, density: PerExpert = 0.2, lam: float = 0.3) -> ChunkFn:
    """Keep |d| from the (1 - density) quantile of the model up; the sign of the sum wins, sums of 0 take the sign that
    won most often; t0 + lam x the mean of w d where it agrees (arXiv:2306.01708)."""
    return disjoint(x, weight, lam, lambda kept, w: (w @ kept).div_((kept != 0).sum(dim=0).clamp_(min=1)))


def ties_global_sum(x: Tensors, weight: PerExpert, *, density: PerExpert = 0.2, lam: float = 0.3) -> ChunkFn:
    """The same trim and signs, then the sum of w d where it agrees."""
    return disjoint(x, weight, lam, lambda kept, w: w @ kept)


def ties_global_max(x: Tensors, weight: PerExpert, *, density: PerExpert = 0.2, lam: float = 0.3) -> ChunkFn:
    """The same trim and signs, then the w d that is largest where it agrees."""

    def largest(kept: Tensor, w: Tensor) -> Tensor:
        kept.mul_(w[:, None])
        return kept.gather(0, kept.abs().argmax(dim=0, keepdim=True))[0]

    return disjoint(x, weight, lam, largest)


def first_pass(model: Model) -> tuple[Tensor, float]:
    """(thresholds (K, 1), the sign that won most often): three passes over the model."""
    (density,) = constant(model, "density")
    thresholds = kth(
        lambda: (part.abs_() for part in all_deltas(model)),
        lambda n: [[n - int(fraction * n) - 1] for fraction in density],
    )
    won = sum(float(trimmed(part, thresholds).sum(dim=0).sign_().sum()) for part in all_deltas(model))
    return thresholds, 1.0 if won >= 0 else -1.0


def trimmed(found: Tensor, thresholds: Tensor) -> Tensor:
    """Task vectors (K, len) with values below the thresholds set to 0, in place."""
    return masked(found, found.abs() >= thresholds)


def disjoint(x: Tensors, weight: list[float], lam: float, gather: Callable[[Tensor, Tensor], Tensor]) -> ChunkFn:
    """base + lam x `gather`(sizes that agree (K, len; others 0), weights (K,)), with the elected sign."""
    weights = torch.tensor(weight, dtype=torch.float32)
    thresholds, majority = x.global_stats

    def at(part: slice) -> Tensor:
        kept = trimmed(x.deltas(part), thresholds)
        sign = kept.sum(dim=0).sign_()
        sign[sign == 0] = majority
        return finish(x, gather(kept.mul_(sign).clamp_(min=0), weights).mul_(sign), lam)

    return at


METHOD = Method(ties_global, "TIES, trimmed over the model", "arXiv:2306.01708", first_pass=first_pass)
SUM = Method(ties_global_sum, "TIES over the model, sum", "arXiv:2306.01708", first_pass=first_pass)
MAX = Method(ties_global_max, "TIES over the model, largest", "arXiv:2306.01708", first_pass=first_pass)
