"""OPCM: experts are added one after another, each without what lies along the merge's strongest directions."""

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors
from engine.merging.methods.global_stats import Model
from engine.merging.methods.tsv_m import weighted

ROUNDED = 1e-6  # of the largest singular value: below it, a direction is rounding


def opcm(x: Tensors, weight: PerExpert, *, alpha: float = 0.5) -> ChunkFn:
    """M = w_1 d_1, then M += P(w_i d_i) for each further expert; t0 + M x (mean norm of the w d) / |M|, both over the
    whole model, so that the merge is as far from the base as its experts (arXiv:2501.09522).

    P leaves out of a matrix, in the singular basis of the M so far, the diagonal, and all among the top directions that
    hold `alpha` of the singular values' sum. Other shapes are added. The order of the experts matters: a new one can be
    added to a finished merge, which then comes first.
    """
    total, scale = added_up(x, weight, alpha), float(x.global_stats)
    return lambda part: x.base32(part).add(total[part], alpha=scale)


def added_up(x: Tensors, weight: list[float], alpha: float) -> Tensor:
    """M of one tensor, (n,) in fp32."""
    deltas = weighted(x, weight)
    total = next(deltas)
    for delta in deltas:
        if len(x.shape) == 2 and min(x.shape) > 0:
            delta = projected(delta, total, alpha)
        total = total + delta
    return total.reshape(-1)


def projected(delta: Tensor, total: Tensor, alpha: float) -> Tensor:
    """P(delta), given the M so far; both (rows, columns)."""
    u, s, v = torch.linalg.svd(total, full_matrices=False)
    s = s * (s > ROUNDED * s[0])
    rank = int((s > 0).sum())
    inside = u[:, :rank].T @ delta @ v[:rank].T
    top = int((s.cumsum(0) <= alpha * s.sum()).sum()) if alpha < 1 else rank
    taken = torch.diag(torch.diagonal(inside))
    taken[:top, :top] = inside[:top, :top]
    return delta - u[:, :rank] @ taken @ v[:rank]


def first_pass(model: Model) -> float:
    """What M is multiplied by: the mean of |w_i d_i|, weighted by |w_i|, over |M|; 0 where nothing moved."""
    found, own, given = 0.0, None, None
    for x, arguments in model:
        weight = arguments["weight"]
        found += float(added_up(x, weight, arguments["alpha"]).double().square().sum())
        squares = torch.tensor([float(one.double().square().sum()) for one in weighted(x, weight)], dtype=torch.double)
        sizes = x.n * torch.tensor(weight, dtype=torch.double).abs()  # by tensor, where weights differ between them
        own, given = (squares, sizes) if own is None else (own + squares, given + sizes)
    if not found or own is None or not float(given.sum()):
        return 0.0
    return float((given * own.sqrt()).sum() / given.sum()) / found**0.5


METHOD = Method(
    opcm,
    "OPCM",
    "arXiv:2501.09522",
    identity_at_one=True,
    ordered=True,
    first_pass=first_pass,
    peak_memory=(40, 4),
    cubic=True,
)
