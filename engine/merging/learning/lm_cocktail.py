"""LM-Cocktail: experts weighted by their loss on a few examples."""

import torch
from torch import Tensor

from engine.merging.learning.base import Family, Learned, Run


def learn(family: Family, run: Run, *, windows: int, temperature: float) -> Learned:
    """w = softmax(-loss_i / T), loss_i of expert i in nats per token over a few windows of every domain (Xiao et al.,
    arXiv:2311.13534)."""
    losses = []
    with torch.no_grad():
        for k in range(len(family.experts)):
            weights, own = family.expert(k), []
            for place, domain in enumerate(family.domains):
                run.progress(k * len(family.domains) + place, len(family.experts) * len(family.domains), "losses")
                own += [family.nll(weights, family.batch(domain, 1, n)) for n in range(windows)]
            losses.append(torch.stack(own).mean())
    found = torch.stack(losses)
    each = ", ".join(f"{name} {loss:.3f}" for name, loss in zip(family.experts, found.tolist(), strict=True))
    return Learned(coefficients={"": weights_of(found, temperature)}, note=f"losses in nats per token: {each}")


def weights_of(losses: Tensor, temperature: float) -> Tensor:
    """(K,) coefficients that sum to 1, from losses (K,)."""
    return (-losses / temperature).softmax(0)
