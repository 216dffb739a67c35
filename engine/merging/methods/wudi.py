"""WUDI: the task vector with the least interference in each expert's own input directions."""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors
from engine.merging.methods.iso_c import summed
from engine.merging.methods.tsv_m import weighted
from engine.proxies.adam import AdamW

RATE = 1e-5


def wudi(x: Tensors, weight: PerExpert, *, steps: int = 300, lam: float = 1.0) -> ChunkFn:
    """Matrices: Adam (1e-5) from m = sum(e), e = w d, on sum_i |(m - e_i) e_i'|_F^2 / |e_i|_F^2 (arXiv:2503.08099).
    Other shapes the mean of e; times lam. Takes 2 K + 5 copies of the tensor in fp32."""
    total = summed(x, weight)
    if len(x.shape) != 2 or x.n == 0:
        total /= len(x.experts)
    else:
        total = settled(total.reshape(x.shape), list(weighted(x, weight)), steps).reshape(-1)
    return lambda part: x.base32(part).add(total[part], alpha=lam)


def settled(start: Tensor, deltas: list[Tensor], steps: int) -> Tensor:
    """m (rows, columns) after the descent."""
    slope = slope_of([delta for delta in deltas if delta.any()])
    if slope is None:
        return start
    adam = AdamW([start], RATE)
    for _ in range(steps):
        start.grad = slope(start)
        adam.step()
    return start


def slope_of(deltas: list[Tensor]) -> Callable[[Tensor], Tensor] | None:
    """The gradient 2 sum (m - e) e' e / |e|^2 as a function of m; None without task vectors.

    Where columns are few it is 2 (m A - B), A = sum(e' e / |e|^2): one product per step, whatever K is.
    """
    if not deltas:
        return None
    rows, columns = deltas[0].shape
    scaled = [delta * (2 / delta.square().sum()) for delta in deltas]
    if columns > 2 * len(deltas) * rows:
        return lambda m: sum(((m - e) @ e.T) @ s for e, s in zip(deltas, scaled, strict=True))
    through, target = torch.zeros(columns, columns), torch.zeros(rows, columns)
    for e, s in zip(deltas, scaled, strict=True):
        inner = e.T @ s
        through += inner
        target += e @ inner
    return lambda m: torch.addmm(target, m, through, beta=-1)


METHOD = Method(wudi, "WUDI", "arXiv:2503.08099", peak_memory=(40, 12), cubic=True)
