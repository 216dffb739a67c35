"""Logit fusion: a merge in output space. Small experts steer a large model; no weights are merged."""

import torch
from torch import Tensor

from engine.merging.learning.base import Family, Learned, Predict, Run

MOST, HALVINGS = 2.0, 24  # of alpha; how often its interval is halved


def learn(family: Family, run: Run, *, matched: int, large: str = "") -> Learned:
    """softmax(M_L + sum w_i alpha_i (m_i - m_S)): m_S the base, m_i the experts, M_L the large model (the base itself
    if none is named); alpha_i of every token so that KL(fused, large) is KL(expert, small) (Fan et al.,
    arXiv:2406.15480). w: the coefficients given."""
    experts = [family.expert(k) for k in range(len(family.experts))]
    whole: Predict = family.large(large) if large else lambda tokens: family.logits(family.base, tokens)

    @torch.no_grad()
    def predict(tokens: Tensor) -> Tensor:
        small = family.logits(family.base, tokens).float()
        steps = torch.stack([family.logits(one, tokens).float() for one in experts])
        return fused(whole(tokens).float(), small, steps, torch.tensor(run.weight), bool(matched))

    return Learned(predict=predict, note=f"no checkpoint: {len(experts) + 1 + bool(large)} models run side by side")


def fused(large: Tensor, small: Tensor, experts: Tensor, weight: Tensor, matched: bool = True) -> Tensor:
    """Logits (..., V) of the fusion. large, small (..., V); experts (K, ..., V); weight (K,)."""
    total = large.clone()
    for w, expert in zip(weight.tolist(), experts, strict=True):
        if w:
            shift = expert - small
            alpha = matching(large, shift, divergence(expert, small)) if matched else 1.0
            total += w * alpha * shift
    return total


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p, q) of logits (..., V), in nats: (...)."""
    one, other = p.log_softmax(-1), q.log_softmax(-1)
    return (one.exp() * (one - other)).sum(-1)


def matching(large: Tensor, shift: Tensor, wanted: Tensor) -> Tensor:
    """alpha (..., 1) in 0..MOST with KL(softmax(large + alpha shift), softmax(large)) = wanted (...), the nearest end
    if there is none. The divergence rises with alpha (its slope is alpha x a variance), so bisection finds it."""
    low = torch.zeros_like(wanted)
    high = torch.full_like(wanted, MOST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        short = divergence(large + middle[..., None] * shift, large) < wanted
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return ((low + high) / 2)[..., None]
