"""SLERP: along the great circle from the base to one other model."""

import math

from engine.merging.methods.base import ChunkFn, Method, Tensors

STRAIGHT = 0.9995  # cosine above which a straight line is as accurate, and stable


def slerp(x: Tensors, *, t: float) -> ChunkFn:
    """[sin((1-t) phi) a + sin(t phi) b] / sin phi over the whole tensor; a straight line where nearly collinear.

    t = 0 is the base (Shoemake 1985).
    """
    pair = Tensors(x.name, x.shape, None, [x.base, *x.experts], x.seed)
    gram = pair.gram()
    sizes = [math.sqrt(gram[i, i]) or 1.0 for i in range(2)]
    cosine = min(1.0, max(-1.0, gram[0, 1] / (sizes[0] * sizes[1])))
    if abs(cosine) > STRAIGHT:
        return pair.combined([1 - t, t])
    angle = math.acos(cosine)
    return pair.combined([math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)])


METHOD = Method(slerp, "SLERP", "Shoemake 1985", min_experts=1, max_experts=1)
