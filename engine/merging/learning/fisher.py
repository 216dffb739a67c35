"""Fisher merging: an average that weights each expert's parameters by how much its own predictions depend on them."""

import torch
from torch import Tensor

from engine.merging.learning.base import Family, Learned, Run, Weights

LEAST = 1e-6  # added to every Fisher value


def learn(family: Family, run: Run, *, windows: int) -> Learned:
    """F_i = E[sum_c p_c (grad log p_c)^2] over `windows` windows of the expert's own text; sum(c F t) / sum(c F) with
    c_i = coefficient x normalised 1 / |F_i| (Matena and Raffel, arXiv:2111.09832)."""
    found = []
    for k, expert in enumerate(family.experts):
        weights = {name: value.requires_grad_() for name, value in family.expert(k).items()}
        domains, total = family.domains_of(k), {name: torch.zeros_like(value) for name, value in weights.items()}
        for place in range(windows):
            run.progress(k * windows + place, windows * len(family.experts), f"Fisher information of {expert}")
            tokens = family.batch(domains[place % len(domains)], 1, place)
            squared_scores(family, weights, tokens, run.generator(place, family.device), total)
        found.append({name: value / windows for name, value in total.items()})
    experts = [family.expert(k) for k in range(len(family.experts))]
    return Learned(weights=averaged(experts, found, torch.tensor(run.weight)), note=f"{windows} windows per expert")


def squared_scores(family: Family, weights: Weights, tokens: Tensor, generator, total: Weights) -> None:
    """Add one window's Fisher values to the total.

    One next token is drawn from each place's own prediction. Scores of different places are uncorrelated, so the
    square of their sum is, in expectation, the sum of sum_c p_c (grad log p_c)^2 over places: one backward pass per
    window, not one per token of the vocabulary.
    """
    logs = family.logits(weights, tokens[:, :-1]).float().log_softmax(-1)[0]  # (T, V)
    drawn = torch.multinomial(logs.detach().exp(), 1, generator=generator)
    score = logs.gather(1, drawn).sum()
    gradients = torch.autograd.grad(score, list(weights.values()), allow_unused=True)
    for name, gradient in zip(weights, gradients, strict=True):
        if gradient is not None:
            total[name] += gradient.square()


def averaged(experts: list[Weights], fishers: list[Weights], weight: Tensor) -> Weights:
    """sum(c F t) / sum(c F), F with LEAST added, c (K,) = weight x (1 / |F_i|, normalised), |F_i| over the model."""
    sizes = torch.stack([sum(value.double().square().sum() for value in one.values()).sqrt() for one in fishers])
    inverse = 1 / (sizes + LEAST)
    scales = (weight.to(inverse) * inverse / inverse.sum()).tolist()
    merged = {}
    for name in experts[0]:
        weights = [c * (one[name] + LEAST) for c, one in zip(scales, fishers, strict=True)]
        total = sum(weight * expert[name] for weight, expert in zip(weights, experts, strict=True))
        merged[name] = total / sum(weights)
    return merged
