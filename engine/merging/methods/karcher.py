"""Karcher mean: the Riemannian centre of several models on a hypersphere."""

import numpy as np

from engine.merging.methods.base import DOT, ChunkFn, Method, Tensors
from engine.merging.methods.multislerp import norm

BLUR = 1e-3  # the error of an angle near 0 or pi from products summed in fp32


def karcher(x: Tensors, *, max_iter: int = 10, tol: float = 1e-5) -> ChunkFn:
    """Iterates the tangent mean of the unit vectors, all alike, times the mean norm (Karcher 1977; arXiv:2603.04972).

    Vectors of norm up to `tol` are left out, and vectors opposite to the mean have no effect. Works on the Gram matrix.
    """
    gram, count = x.gram(), len(x.experts)
    if count == 1:
        return x.combined([1.0])
    sizes = np.sqrt(np.diag(gram))
    valid = sizes > tol
    if not valid.any():
        return x.combined(np.zeros(count))
    units = np.where(valid, 1 / np.where(valid, sizes, 1), 0)
    fraction = valid / valid.sum()
    blur = tol if x.n < DOT else max(tol, BLUR)
    mean = fraction * units
    length = norm(mean, gram)
    mean = units * (np.arange(count) == valid.argmax()) if length <= blur else mean / length
    for _ in range(max_iter):
        dots = np.clip((gram @ mean) * units, -1, 1)
        angle = np.arccos(dots)
        near = (angle <= tol) | (angle >= np.pi - blur) | ~valid
        pull = np.where(near, 0, fraction * angle / np.where(near, 1, np.sin(angle)))
        tangent = pull * units - (pull @ dots) * mean
        length = norm(tangent, gram)
        if length <= tol:
            break
        mean = np.cos(length) * mean + np.sin(length) * tangent / length
        mean = mean / norm(mean, gram)
    return x.combined(mean * sizes.mean())


METHOD = Method(karcher, "Karcher mean", "arXiv:2603.04972", base="none", identity_at_one=True)
