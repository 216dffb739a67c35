"""ScaLearn: learned scales of every expert's outputs, folded into the rows of its weights."""

import torch
from torch import Tensor

from engine.merging.learning.base import Family, Learned, Run, Weights
from engine.merging.learning.descent import descend
from engine.proxies.adam import AdamW


def learn(family: Family, run: Run, *, steps: int, rate: float, batch: int) -> Learned:
    """t0 + sum diag(omega_i) d_i, omega_i one number per row of every tensor, from 1/K: AdamW on the loss of the
    next token over windows of all domains (Frohmann et al., arXiv:2310.01217, who scale adapters' outputs; scaling an
    output channel is scaling the row that makes it)."""
    count = len(family.experts)
    values = {
        name: torch.full((count, len(value) if value.ndim > 1 else 1), 1 / count, device=family.device)
        for name, value in family.base.items()
    }

    def loss_of(step: int) -> Tensor:
        return family.nll(by_rows(family, values), family.mixed_batch(batch, step))

    losses = descend(values, lambda leaves: AdamW(leaves, rate), loss_of, steps, run)
    note = f"{sum(value.numel() for value in values.values()):,} scales"
    if losses:
        note += f"; loss {losses[0]:.3f} to {losses[-1]:.3f} nats per token"
    return Learned(weights=by_rows(family, values), note=note)


def by_rows(family: Family, values: dict[str, Tensor]) -> Weights:
    """The merge by scales (K, rows) of each tensor; one (K, 1) for a vector."""
    found = {}
    for name, value in family.base.items():
        scales = values[name].reshape(values[name].shape + (1,) * (value.ndim - 1)) if value.ndim > 1 else values[name]
        found[name] = value + (scales * family.deltas[name]).sum(0)
    return found
