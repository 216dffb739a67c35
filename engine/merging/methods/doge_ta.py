"""DOGE: task arithmetic with one shift for all task vectors, optimised outside their shared directions."""

import torch
from torch import Tensor

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors
from engine.merging.methods.global_stats import Model, constant, kth
from engine.merging.methods.tsv_m import weighted
from engine.proxies.adam import AdamW

RATE, SUBSPACE = 1e-4, 6


def doge_ta(x: Tensors, weight: PerExpert, *, density: float = 0.3, steps: int = 400, lam: float = 0.07) -> ChunkFn:
    """Matrices: t0 + sum lam_i (d_i + delta), lam_i = w_i lam / |d_i|, where |d_i| belongs to the top `density` of its
    expert's matrices (arXiv:2501.01230). Other shapes are the base's, as in its authors' code.

    delta: Adam (1e-4) on sum_j sum_rows (sum_columns [d_j^2 - d_j sum lam_i (d_i + delta)])^2, its gradient
    without the part in the top int(R/6) directions of the experts' top int(R/K). Takes 2 K + 6 copies of the tensor.
    """
    if not is_matrix(x):
        return lambda part: x.base32(part).clone()
    deltas = torch.stack(list(weighted(x, [1.0] * len(x.experts))))  # (K, rows, columns)
    sizes = deltas.flatten(1).norm(dim=1)
    scales = torch.tensor(weight, dtype=torch.float32) * lam * torch.where(sizes > 0, 1 / sizes, 0)
    shift = shifted(deltas, scales, steps)
    moved = (deltas + shift).mul_(deltas.abs() >= x.global_stats[:, :, None])
    total = torch.tensordot(scales, moved, 1).reshape(-1)
    return lambda part: x.base32(part).add_(total[part])


def is_matrix(x: Tensors) -> bool:
    return len(x.shape) == 2 and x.n > 0


def first_pass(model: Model) -> Tensor:
    """(K, 1) the |d| above which an expert's weights are moved: two passes over the matrices."""
    (density,) = constant(model, "density")
    found = next((len(x.experts) for x, _ in model if is_matrix(x)), 0)
    if not found:
        return torch.zeros(0, 1)
    return kth(
        lambda: (x.deltas(part).abs_() for x, _ in model if is_matrix(x) for part in x.chunks()),
        lambda n: [[n - int(density * n) - 1]] * found,
    )


def shifted(deltas: Tensor, scales: Tensor, steps: int) -> Tensor:
    """delta (rows, columns) from task vectors (K, rows, columns) and lam_i (K,)."""
    shared = directions(deltas)
    merged, total = torch.tensordot(scales, deltas, 1), scales.sum()
    own = deltas.square().sum(dim=2)  # (K, rows)
    shift = torch.zeros_like(merged)
    adam = AdamW([shift], RATE)
    for _ in range(steps):
        missing = own - torch.einsum("krc,rc->kr", deltas, merged + total * shift)
        slope = torch.einsum("kr,krc->rc", missing, deltas).mul_(-2 * total)
        shift.grad = slope - shared @ (shared.T @ slope)
        adam.step()
    return shift


def directions(deltas: Tensor) -> Tensor:
    """(rows, int(R/6)) the strongest left directions among the strongest of each expert."""
    rank = min(deltas.shape[1:])
    keep = rank // len(deltas)
    each = [torch.linalg.svd(delta, full_matrices=False)[0][:, :keep] for delta in deltas]
    return torch.linalg.svd(torch.cat(each, dim=1), full_matrices=False)[0][:, : rank // SUBSPACE]


METHOD = Method(
    doge_ta, "DOGE with task arithmetic", "arXiv:2501.01230", first_pass=first_pass, peak_memory=(50, 13), cubic=True
)
