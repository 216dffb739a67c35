"""Model Breadcrumbs as the paper has it: both trims in every row, one scale for all."""

import numpy as np
import torch

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, finish, masked
from engine.merging.methods.topk import bits_of


def breadcrumbs_row(
    x: Tensors, weight: PerExpert, *, beta: float = 0.85, gamma: float = 0.01, lam: float = 0.3
) -> ChunkFn:
    """Per row: zero the int(gamma c) largest |d|, keep the int(beta c) largest of the rest, add, times lam
    (arXiv:2312.06795). Keeps masks: one byte per element and expert."""
    columns = x.columns
    first, count = int(gamma * columns), int(beta * columns)
    keep = torch.zeros(len(x.experts), x.n, dtype=torch.bool)
    for part in x.chunks(rows=True):
        for row, mask in zip(x.deltas(part), keep[:, part], strict=True):
            order = np.argsort(bits_of(row).numpy().reshape(-1, columns), axis=1)
            kept = torch.from_numpy(order[:, max(0, columns - first - count) : columns - first].copy())
            mask.view(-1, columns).scatter_(1, kept, True)
    weights = torch.tensor(weight, dtype=torch.float32)
    return lambda part: finish(x, weights @ masked(x.deltas(part), keep[:, part]), lam)


METHOD = Method(breadcrumbs_row, "Breadcrumbs, by row", "arXiv:2312.06795", peak_memory=(0, 1))
