"""TIES: keep the largest changes of every expert, elect a sign for each weight, average those that agree."""

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, elected
from engine.merging.methods.topk import trimmed


def ties(
    x: Tensors,
    weight: PerExpert,
    *,
    density: PerExpert,
    normalize: bool = True,
    rescale: bool = False,
    lam: float = 1.0,
) -> ChunkFn:
    """Trim to the max(1, int(density n)) largest |d| of this tensor, elect, merge (arXiv:2306.01708).

    The trim is per tensor, as in mergekit, and so is `rescale`, back to the L1 norm before; for the paper's trim over
    the whole model see ties_global.py.
    """
    kept = trimmed(x, [0] * len(density), [keep_of(fraction, x.n) for fraction in density], rescale)
    return elected(x, kept, weight, normalize, lam)


def keep_of(density: float, n: int) -> int:
    """How many elements a density keeps: at least one, unless it is 0."""
    return n if density >= 1 else 0 if density <= 0 or n == 0 else max(1, int(density * n))


METHOD = Method(ties, "TIES", "arXiv:2306.01708", identity_at_one=True, peak_memory=(0, 0.1))
