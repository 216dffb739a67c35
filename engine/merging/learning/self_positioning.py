"""Self-positioning: where between the experts, and how far from the base, the loss of a small probe set is lowest."""

import torch
from torch import Tensor

from engine.merging.learning.base import Family, Learned, Run
from engine.merging.learning.descent import descend


def learn(family: Family, run: Run, *, steps: int, rate: float, batch: int) -> Learned:
    """SGD (momentum 0.9) on alpha, on the simplex as a softmax, and on lam, of t0 + lam sum(alpha_i d_i), against the
    loss on one small set of windows, balanced over domains (Li et al., arXiv:2410.15035)."""
    each = max(1, batch // len(family.domains))
    probe = torch.cat([family.batch(domain, each, 0) for domain in family.domains])  # (B, T + 1)
    values = {
        "place": torch.zeros(len(family.experts), device=family.device),
        "lam": torch.ones((), device=family.device),
    }

    def loss_of(step: int) -> Tensor:
        return family.nll(family.combined({"": coefficients(values)}), probe)

    losses = descend(values, lambda leaves: torch.optim.SGD(leaves, lr=rate, momentum=0.9), loss_of, steps, run)
    note = f"lam {float(values['lam']):.2f}, {len(probe)} windows"
    if losses:
        note += f"; loss {losses[0]:.3f} to {losses[-1]:.3f} nats per token"
    return Learned(coefficients={"": coefficients(values)}, note=note)


def coefficients(values: dict[str, Tensor]) -> Tensor:
    """(K,) lam x alpha."""
    return values["lam"] * values["place"].softmax(0)
