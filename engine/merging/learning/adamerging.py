"""AdaMerging: coefficients that minimise the entropy of the merged model's predictions, on unlabelled text."""

import torch
from torch import Tensor

from engine.merging.learning.base import Family, Learned, Run, Weights, keys_of
from engine.merging.learning.descent import descend
from engine.merging.methods.base import elect
from engine.proxies.adam import AdamW


def learn(
    family: Family, run: Run, *, by: str, steps: int, rate: float, batch: int, start: float, density: float = 1.0
) -> Learned:
    """Adam on the mean entropy of the next token's distribution over windows of all domains, from one value for all
    coefficients (Yang et al., arXiv:2310.02575). by: one per expert, per expert and block, or per expert and tensor.
    density below 1 is `++`: task vectors are trimmed, and only what agrees with the elected sign is kept."""
    deltas = agreeing(family.deltas, density) if density < 1 else family.deltas
    count = len(family.experts)
    values = {key: torch.full((count,), start, device=family.device) for key in keys_of(family, by)}

    def loss_of(step: int) -> Tensor:
        return family.entropy(family.combined(values, deltas), family.mixed_batch(batch, step))

    losses = descend(values, lambda leaves: AdamW(leaves, rate), loss_of, steps, run)
    note = f"entropy {losses[0]:.3f} to {losses[-1]:.3f} nats per token" if losses else ""
    if density < 1:
        return Learned(
            weights=family.combined(values, deltas), note=f"{note}; coefficients {coefficients_text(family, values)}"
        )
    return Learned(coefficients=values, note=note)


def coefficients_text(family: Family, values: dict[str, Tensor]) -> str:
    """The mean coefficient of each expert, as text."""
    mean = torch.stack(list(values.values())).mean(0).tolist()
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(family.experts, mean, strict=True))


def agreeing(deltas: Weights, density: float) -> Weights:
    """Task vectors (K, *shape) trimmed to their largest values that have the elected sign.

    As TIES over the whole model: each expert is trimmed over all its tensors, signs are elected without weights.
    """
    flat = torch.cat([value.flatten(1) for value in deltas.values()], dim=1)  # (K, P)
    keep = max(1, int(density * flat.shape[1]))
    least = flat.abs().kthvalue(flat.shape[1] - keep + 1, dim=1).values
    found = {}
    for name, value in deltas.items():
        own = value.flatten(1)
        own = torch.where(own.abs() >= least[:, None], own, 0)
        sign = elect(own.cpu().clone(), torch.ones(len(own)), normalize=False).sign().to(own.device)
        found[name] = torch.where(own * sign > 0, own, 0).view_as(value)
    return found
