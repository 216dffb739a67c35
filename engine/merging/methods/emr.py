"""EMR-Merging: one elected task vector for all tasks; a mask and a rescaler per task recover each task's own.

A checkpoint holds one set of weights: `emr` gives the elected vector alone, `emr_task` the weights of one task. The
method itself keeps the elected vector and a mask (one bit per weight) and a rescaler per task, and switches.
"""

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, finish, masked
from engine.merging.methods.global_stats import Model


def emr(x: Tensors, weight: PerExpert, *, lam: float = 1.0) -> ChunkFn:
    """t0 + lam u; u has the sign of sum(e), e = w d, and the largest |e_i| that has this sign (arXiv:2405.17461)."""
    weights = torch.tensor(weight, dtype=torch.float32)[:, None]
    return lambda part: finish(x, elected(x.deltas(part).mul_(weights))[0], lam)


def emr_task(x: Tensors, weight: PerExpert, *, task: int, lam: float = 1.0) -> ChunkFn:
    """t0 + lam r_i u where e_i has u's sign, for the expert number `task`, from 1. Its rescaler r_i = sum |e_i| / sum
    |masked u|, both summed over tensors by their means, as its authors' code does."""
    if not 1 <= task <= len(x.experts):
        raise Problem(f"Cannot give the weights of task {task}: the experts are numbered 1 to {len(x.experts)}.")
    weights = torch.tensor(weight, dtype=torch.float32)[:, None]
    scale = float(x.global_stats[task - 1])

    def at(part: slice) -> Tensor:
        vector, masks = elected(x.deltas(part).mul_(weights))
        return finish(x, masked(vector, masks[task - 1]), lam * scale)

    return at


def elected(found: Tensor) -> tuple[Tensor, Tensor]:
    """The elected vector (len,), and the mask of every task (K, len). A sum of 0 counts as negative."""
    sign = torch.where(found.sum(dim=0) > 0, 1.0, -1.0)
    along = found.mul_(sign).clamp_(min=0)
    masks = along > 0
    return along.amax(dim=0).mul_(sign), masks


def rescalers(model: Model) -> Tensor:
    """(K,) one per task."""
    sizes = 0
    for x, arguments in model:
        weights = torch.tensor(arguments["weight"], dtype=torch.float32)[:, None]
        for part in x.chunks():
            found = x.deltas(part).mul_(weights)
            own = found.abs().sum(dim=1)
            vector, masks = elected(found)
            sizes = sizes + torch.stack([own, masks.float() @ vector.abs_()]).double() / x.n
    own, left = sizes
    return torch.where(left > 0, own / torch.where(left > 0, left, 1), 0)


METHOD = Method(emr, "EMR, elected vector", "arXiv:2405.17461", identity_at_one=True)
TASK = Method(
    emr_task, "EMR, one task's weights", "arXiv:2405.17461", identity_at_one=True, ordered=True, first_pass=rescalers
)
