"""Linear: the weighted mean of the models themselves. Equal weights are the uniform soup."""

import torch

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors


def linear(x: Tensors, weight: PerExpert, *, normalize: bool = True) -> ChunkFn:
    """sum(w t) / sum(w), or sum(w t) where it is not normalised (Model soups, arXiv:2203.05482). NaN or infinite where
    weights that are normalised sum to 0."""
    weights = torch.tensor(weight, dtype=torch.float32)
    if normalize:
        weights = weights / weights.sum()
    return lambda part: weights @ x.experts32(part)


METHOD = Method(linear, "Linear", "arXiv:2203.05482", base="none", restores=True)
