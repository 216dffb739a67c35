"""Concrete: one mask for all task vectors, learned through a relaxation of its Bernoulli draws."""

import torch
from torch import Tensor

from engine.merging.learning.base import Family, Learned, Run, Weights
from engine.merging.learning.descent import descend
from engine.proxies.adam import AdamW

TEMPERATURE = 0.5


def learn(family: Family, run: Run, *, steps: int, rate: float, batch: int, lam: float) -> Learned:
    """t0 + lam sum(m d_i), m shared by experts: relaxed Bernoulli of mask logits that start at 0, temperature 0.5,
    divided by the tensor's mean; Adam on the entropy of predictions (Tang et al., arXiv:2312.06173). Written with the
    mask's expectation. Takes 3 more copies of the model."""
    masks = {name: torch.zeros_like(value) for name, value in family.base.items()}
    total = {name: value.sum(0) for name, value in family.deltas.items()}

    def loss_of(step: int) -> Tensor:
        generator = run.generator(step, family.device)
        drawn = {name: relaxed(value, generator) for name, value in masks.items()}
        return family.entropy(through(family.base, total, drawn, lam), family.mixed_batch(batch, step))

    losses = descend(masks, lambda leaves: AdamW(leaves, rate), loss_of, steps, run)
    final = {name: value.sigmoid() for name, value in masks.items()}
    note = f"entropy {losses[0]:.3f} to {losses[-1]:.3f} nats per token" if losses else ""
    return Learned(weights=through(family.base, total, final, lam), note=note)


def relaxed(logits: Tensor, generator: torch.Generator) -> Tensor:
    """A relaxed Bernoulli draw of every element (Maddison et al., arXiv:1611.00712), differentiable in the logits."""
    uniform = torch.rand(logits.shape, generator=generator, device=logits.device).clamp_(1e-6, 1 - 1e-6)
    return ((logits + uniform.logit()) / TEMPERATURE).sigmoid()


def through(base: Weights, total: Weights, masks: Weights, lam: float) -> Weights:
    """t0 + lam x the sum of task vectors through masks of mean 1."""
    return {name: value + lam * normalised(masks[name]) * total[name] for name, value in base.items()}


def normalised(mask: Tensor) -> Tensor:
    """A mask divided by its mean, so that it scales nothing on average."""
    return mask / mask.mean().clamp_min(1e-6)
