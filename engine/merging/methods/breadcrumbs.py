"""Model Breadcrumbs: drop the largest and the smallest changes of every expert, add the rest; with or without TIES."""

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors, added, elected
from engine.merging.methods.topk import trimmed


def breadcrumbs(
    x: Tensors,
    weight: PerExpert,
    *,
    density: PerExpert,
    gamma: PerExpert,
    normalize: bool = False,
    rescale: bool = False,
    lam: float = 1.0,
) -> ChunkFn:
    """Drop the int(gamma n) largest |d|, keep the next int(density n), add (arXiv:2312.06795), per tensor."""
    return added(x, crumbs(x, density, gamma, rescale), weight, normalize, lam)


def breadcrumbs_ties(
    x: Tensors,
    weight: PerExpert,
    *,
    density: PerExpert,
    gamma: PerExpert,
    normalize: bool = False,
    rescale: bool = False,
    lam: float = 1.0,
) -> ChunkFn:
    """The same trim, then the election of TIES."""
    return elected(x, crumbs(x, density, gamma, rescale), weight, normalize, lam)


def crumbs(x: Tensors, density: list[float], gamma: list[float], rescale: bool):
    """The trimmed task vectors; rescale: grown to their L1 norms before (as in mergekit). A large gamma shrinks, so
    that the density holds."""
    keep = [x.n if fraction >= 1 else int(fraction * x.n) for fraction in density]
    skip = [0 if k == x.n else min(int(g * x.n), x.n - k) for g, k in zip(gamma, keep, strict=True)]
    return trimmed(x, skip, keep, rescale)


METHOD = Method(breadcrumbs, "Breadcrumbs", "arXiv:2312.06795", identity_at_one=True, peak_memory=(0, 0.2))
TIES = Method(breadcrumbs_ties, "Breadcrumbs with TIES", "arXiv:2312.06795", identity_at_one=True, peak_memory=(0, 0.2))
