"""Passthrough: one model's tensors as they are, or scaled; slices of several models make a model of their layers."""

from engine.merging.methods.base import ChunkFn, Method, PerExpert, Tensors


def passthrough(x: Tensors, *, scale: PerExpert) -> ChunkFn:
    """scale x the tensor of the one model. Layers that are repeated, dropped or stacked from several models ("depth
    up-scaling", SOLAR, arXiv:2312.15166) are slices with one source each; a scale of 0 on o_proj and down_proj makes
    a layer that passes its input on."""
    return x.combined(scale)


METHOD = Method(passthrough, "Passthrough", "arXiv:2312.15166", base="none", max_experts=1, identity_at_one=True)
