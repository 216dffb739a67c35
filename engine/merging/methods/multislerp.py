"""Multi-SLERP: barycentric interpolation of several models on a hypersphere."""

import numpy as np

from engine.core.errors import Problem
from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, undivided


def multislerp(x: Tensors, weight: PerExpert, *, normalize_weights: bool = True, eps: float = 1e-8) -> ChunkFn:
    """Mean of the unit vectors, tangent mean there, and back to the sphere, times the weighted mean of the norms.

    Everything lies in the span of the vectors, so their Gram matrix (K, K) suffices. With a base it acts on task
    vectors. Raises Problem if normalised weights sum to 0, or the weighted unit vectors cancel.
    """
    if len(x.experts) == 1:
        return Tensors(x.name, x.shape, None, x.experts, x.seed).combined([1.0])
    gram, w = x.gram(), np.array(weight, float)
    if normalize_weights:
        if refusal := undivided(weight, x.name):
            raise Problem(refusal)
        w = w / w.sum()
    sizes = np.sqrt(np.diag(gram))
    if not sizes.any():
        return x.combined(np.zeros(len(w)))
    units = 1 / (sizes + eps)
    mean = w * units  # as coefficients of the vectors, like all that follows
    length = norm(mean, gram)
    if length < eps:
        if len(w) == 2:
            return x.combined(w)
        raise Problem(
            f"Cannot merge {x.name!r} by multislerp: the weighted directions of the experts cancel. Change a weight."
        )
    mean = mean / length
    dots = (gram @ mean) * units
    tangent = w * units - (w @ dots) * mean
    angle = norm(tangent, gram) + eps
    return x.combined((mean * np.cos(angle) + tangent * np.sin(angle) / angle) * (sizes @ w))


def norm(coefficients: np.ndarray, gram: np.ndarray) -> float:
    """Length of a combination of vectors with that Gram matrix."""
    return float(np.sqrt(max(0.0, coefficients @ gram @ coefficients)))


METHOD = Method(multislerp, "Multi-SLERP", "Goddard 2025", base="optional", identity_at_one=True)
