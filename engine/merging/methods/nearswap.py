"""NearSwap: takes one other model's weights where they lie near the base's."""

from engine.merging.methods.base import ChunkFn, Method, Tensors


def nearswap(x: Tensors, *, t: float) -> ChunkFn:
    """t0 + clip(t / |d|, 0, 1) d: differences up to t are taken in full, larger ones are clipped to t."""
    return lambda part: x.deltas(part)[0].clamp_(-t, t).add_(x._base[: part.stop - part.start])


METHOD = Method(nearswap, "NearSwap", "alchemonaut 2024", min_experts=1, max_experts=1)
