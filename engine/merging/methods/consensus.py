"""Consensus: the sum of task vectors, only where the TALL masks of enough experts agree."""

import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, finish, masked


def consensus(x: Tensors, weight: PerExpert, *, mask_lambda: float = 0.4, agree: int = 2, lam: float = 1.0) -> ChunkFn:
    """An expert's TALL mask is set where |e_i| > mask_lambda |sum e - e_i|, e = w d. Where fewer than `agree` masks
    are set the base stays, elsewhere lam sum(e) is added (arXiv:2405.07813). Raises Problem if `agree` is above K."""
    if agree > len(x.experts):
        raise Problem(f"Cannot require {agree} experts to agree: there are {len(x.experts)}. Lower `agree`.")
    weights = torch.tensor(weight, dtype=torch.float32)[:, None]

    def at(part: slice) -> Tensor:
        found = x.deltas(part).mul_(weights)
        total = found.sum(dim=0)
        mask = found.abs() > (total - found).abs_().mul_(mask_lambda)
        return finish(x, masked(total, mask.sum(dim=0) >= agree), lam)

    return at


METHOD = Method(consensus, "Consensus of TALL masks", "arXiv:2405.07813", min_experts=2)
