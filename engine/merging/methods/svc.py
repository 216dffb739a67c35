"""Singular value calibration: a finish for any method, against directions that several experts share and add up."""

import torch

from engine.merging.methods.base import ChunkFn, Tensors

SMALLEST = 1e-12  # of a response's square that is divided by


def calibrated(x: Tensors, at: ChunkFn, alpha: float) -> ChunkFn:
    """A merged matrix with its singular values calibrated (arXiv:2602.05536); other tensors as they are.

    merged - base = U S V'; along u_r the merge responds by a_r = u_r' (merged - base), expert i by a_r^i = u_r' d_i;
    s_r^i = <a_r, a_r^i> / |a_r^i|^2 is how much of expert i's response is there, 1 if just that. S_r becomes
    S_r K / sum_i max(alpha, s_r^i). Holds six fp32 matrices of the tensor's size.
    """
    if x.base is None or len(x.shape) != 2 or x.n == 0:
        return at
    whole, base = torch.empty(x.n), torch.empty(x.n)
    for part in x.chunks():
        whole[part] = at(part)
        base[part] = x.base32(part)
    u, s, v = torch.linalg.svd((whole - base).view(x.shape), full_matrices=False)
    if not float(s.max()) > 0:
        return at
    merged, total = s[:, None] * v, torch.zeros(len(s))  # the merge's responses are S V'
    for expert in x.experts:
        own = u.T @ (expert.float() - base).view(x.shape)
        total += ((merged * own).sum(dim=1) / own.square().sum(dim=1).clamp(min=SMALLEST)).clamp(min=alpha)
    delta = (u * (s * len(x.experts) / total)) @ v
    found = base.add_(delta.reshape(-1))
    return lambda part: found[part]
