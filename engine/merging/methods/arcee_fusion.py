"""Arcee Fusion: take from one other model only the changes that matter, by a threshold that each tensor sets itself."""

import numpy as np
import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, Tensors, finish, masked

QUARTILES = (0.25, 0.5, 0.75)
FENCE = 1.5  # interquartile ranges above the median, as in Tukey's rule for outliers
SMALLEST = 1e-8  # added to probabilities


def arcee_fusion(x: Tensors) -> ChunkFn:
    """base + d where its importance reaches median + 1.5 (Q3 - Q1) of the tensor's importances, else base.

    Importance is |d| times the row's KL(softmax expert || softmax base) (Arcee AI's fusion, as in mergekit 0.1.5; that
    estimates quartiles from a sample where a tensor has more than a million elements, here they are exact).
    """
    scores = torch.empty(x.n)
    for part in x.chunks(rows=True):
        scores[part] = importance(x, part)
    threshold = fence(scores.numpy())
    return lambda part: finish(x, masked(x.deltas(part)[0], scores[part] >= threshold), 1.0)


def importance(x: Tensors, part: slice) -> Tensor:
    """(len,) |d| times KL of its row; `part` is whole rows."""
    expert, base = x.experts32(part)[0], x.base32(part)
    rows = max(1, x.columns)
    p, q = (one.view(-1, rows).softmax(dim=-1) + SMALLEST for one in (expert, base))
    divergence = (p * torch.log(p / q)).sum(dim=-1, keepdim=True)
    return ((expert - base).abs_().view(-1, rows) * divergence).view(-1)


def fence(scores: np.ndarray) -> float:
    """median + 1.5 interquartile ranges; quartiles are elements, the lower one where a rank is none."""
    if not len(scores):
        return 0.0
    ranks = [int(share * (len(scores) - 1)) for share in QUARTILES]
    low, middle, high = np.partition(scores, ranks)[ranks]
    return float(np.float32(middle) + np.float32(FENCE) * np.float32(high - low))


METHOD = Method(
    arcee_fusion, "Arcee Fusion", "Arcee AI 2024", max_experts=1, peak_memory=(12, 0)
)  # the scores, and a partitioned copy beside a mask
