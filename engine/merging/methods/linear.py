"""Linear: the weighted mean of the models themselves. Equal weights are the uniform soup."""

import torch

from engine.core.errors import Problem
from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, undivided


def linear(x: Tensors, weight: PerExpert, *, normalize: bool = True) -> ChunkFn:
    """sum(w t) / sum(w), or sum(w t) if not normalised (Model soups, arXiv:2203.05482). Raises Problem if
    normalised weights sum to 0."""
    weights = torch.tensor(weight, dtype=torch.float32)
    if normalize:
        if refusal := undivided(weight, x.name):
            raise Problem(refusal)
        weights = weights / weights.sum()
    return lambda part: weights @ x.experts32(part)


METHOD = Method(linear, "Linear", "arXiv:2203.05482", base="none", identity_at_one=True)
