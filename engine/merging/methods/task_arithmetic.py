"""Task arithmetic: the base plus a weighted sum of task vectors."""

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, added


def task_arithmetic(x: Tensors, weight: PerExpert, *, normalize: bool = False, lam: float = 1.0) -> ChunkFn:
    """t0 + lam sum(w d) (arXiv:2212.04089)."""
    return added(x, x.deltas, weight, normalize, lam)


METHOD = Method(task_arithmetic, "Task arithmetic", "arXiv:2212.04089", identity_at_one=True)
