"""MagMax: at each weight the task vector that moved it most wins."""

from engine.merge_methods.base import At, Method, PerExpert, Tensors, finish


def magmax(x: Tensors, weight: PerExpert, *, lam: float = 0.5) -> At:
    """t0 + lam d_i with the largest |w_i d_i| (arXiv:2407.06322; its scale is 0.5)."""

    def at(part: slice):
        found = x.deltas(part)
        for row, one in zip(found, weight, strict=True):
            row.mul_(one)
        return finish(x, found.gather(0, found.abs().argmax(dim=0, keepdim=True))[0], lam)

    return at


METHOD = Method(magmax, "MagMax", "arXiv:2407.06322")
