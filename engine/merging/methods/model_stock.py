"""Model Stock: between the base and the mean of the experts, by the angle between task vectors."""

import numpy as np
import torch

from engine.merging.methods.base import ChunkFn, Method, Tensors


def model_stock(x: Tensors, *, filter_wise: bool = False) -> ChunkFn:
    """t0 + f (mean(ti) - t0), f = K c / (1 + (K-1) c), c the mean pairwise cosine (arXiv:2403.19522).

    filter_wise: each row by itself. Where the denominator vanishes the base stays.
    """
    if filter_wise:
        return row_wise(x)
    gram, count = x.gram(), len(x.experts)
    sizes = np.sqrt(np.diag(gram))
    pairs = np.triu_indices(count, 1)
    cosine = np.clip(gram[pairs] / np.maximum(np.outer(sizes, sizes)[pairs], 1e-6), -1, 1).mean()
    return x.combined(np.full(count, ratio_of(torch.tensor(cosine), count).item() / count))


def ratio_of(cosine: torch.Tensor, count: int) -> torch.Tensor:
    """The interpolation ratio f for mean cosines of any shape."""
    below = 1 + (count - 1) * cosine
    singular = below.abs() < 1e-6
    return torch.where(singular, 0, count * cosine / torch.where(singular, 1, below))


def row_wise(x: Tensors) -> ChunkFn:
    """One f per row: the chunk is widened to whole rows."""
    count, columns = len(x.experts), x.columns
    pairs = [(i, j) for i in range(count) for j in range(i)]
    ratios = torch.empty(max(1, x.n // columns))
    for part in x.chunks(rows=True):
        rows = x.deltas(part).reshape(count, -1, columns)
        size = rows.norm(dim=-1)
        cosines = [
            ((rows[i] * rows[j]).sum(dim=-1) / (size[i] * size[j]).clamp(min=1e-6)).clamp(-1, 1) for i, j in pairs
        ]
        ratios[part.start // columns : part.stop // columns] = ratio_of(torch.stack(cosines).mean(dim=0), count)

    def at(part: slice) -> torch.Tensor:
        mean = x.deltas(part).mean(dim=0)
        rows = torch.arange(part.start, part.stop) // columns
        return mean.mul_(ratios[rows]).add_(x._base[: len(mean)])

    return at


METHOD = Method(model_stock, "Model Stock", "arXiv:2403.19522", min_experts=2)
