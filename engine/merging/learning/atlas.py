"""aTLAS: anisotropic scaling, a coefficient for every tensor (or random part of it) of every expert, from labels."""

import zlib

import torch
from torch import Tensor

from engine.merging.learning.base import Family, Learned, Run, Weights
from engine.merging.learning.descent import descend
from engine.proxies.adam import AdamW


def learn(family: Family, run: Run, *, steps: int, rate: float, batch: int, parts: int) -> Learned:
    """AdamW (weight decay 0.1, gradients clipped at 1) on the loss of the next token over windows of all domains, from
    coefficients of 0 (Zhang et al., arXiv:2407.02880). parts: the K of aTLAS x K, a random partition of each tensor."""
    count = len(family.experts)
    values = {name: torch.zeros(count, parts, device=family.device) for name in family.base}
    places = {name: partition(name, value, parts, run.seed) for name, value in family.base.items()}

    def weights() -> Weights:
        return {name: scaled(family, name, values[name], places[name]) for name in family.base}

    def loss_of(step: int) -> Tensor:
        return family.nll(weights(), family.mixed_batch(batch, step))

    losses = descend(values, lambda leaves: AdamW(leaves, rate, weight_decay=0.1), loss_of, steps, run, clip=1.0)
    note = f"{sum(v.numel() for v in values.values()):,} coefficients"
    if losses:
        note += f"; loss {losses[0]:.3f} to {losses[-1]:.3f} nats per token"
    return Learned(weights=weights(), note=note)


def partition(name: str, value: Tensor, parts: int, seed: int) -> Tensor | None:
    """A random part number for every element of a tensor; None for a single part."""
    if parts == 1:
        return None
    generator = torch.Generator().manual_seed((seed << 32) + zlib.crc32(name.encode()))
    return torch.randint(parts, value.shape, generator=generator).to(value.device)


def scaled(family: Family, name: str, coefficients: Tensor, places: Tensor | None) -> Tensor:
    """base + sum of coefficient x task vector: coefficients (K, parts), places: each element's part."""
    own = coefficients[:, 0] if places is None else coefficients[:, places]
    if places is None:
        return family.base[name] + torch.tensordot(own, family.deltas[name], 1)
    return family.base[name] + (own * family.deltas[name]).sum(0)
