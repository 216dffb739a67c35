"""Twin-Merging: shared weights, low-rank factors of what each expert has of its own, and a router that mixes these.

The merged weights depend on the input, so there is no checkpoint. A window is measured causally: its first quarter is
predicted with equal weights, the router sees that quarter only, and the rest is predicted with the router's weights.
"""

import torch
from torch import Tensor, nn

from engine.merging.learning.base import Family, Learned, Run, Weights
from engine.merging.learning.descent import descend
from engine.proxies.adam import AdamW

PROMPT = 4  # the router sees 1 / PROMPT of a window
HIDDEN = 64  # of the router


def learn(family: Family, run: Run, *, steps: int, rate: float, batch: int, rank: float, lam: float) -> Learned:
    """shared = t0 + lam sum d; exclusive_i = truncated SVD of (t_i - shared), vectors whole; per input, shared + sum
    softmax(router)_i exclusive_i (Lu et al., arXiv:2406.15479). The router, an MLP on shared's mean last hidden state,
    learns which expert has the lowest loss on a window."""
    twin = Twin(family, rank, lam)
    losses = twin.train(run, steps, rate, batch)
    note = f"input dependent; kept {rank:.0%} of the rank; router's loss {losses[-1]:.3f}" if losses else ""
    return Learned(predict=twin.predict, tensors=twin.tensors(), note=note)


class Twin:
    """factors: of each expert, name -> (left (out, r), right (r, in)), or (whole,) where a tensor is no matrix."""

    def __init__(self, family: Family, rank: float, lam: float):
        self.family, count = family, len(family.experts)
        self.shared = family.combined({"": torch.full((count,), lam, device=family.device)})
        self.factors = [
            {name: factors(value - self.shared[name], rank) for name, value in family.expert(k).items()}
            for k in range(count)
        ]
        self.router: dict[str, Tensor] = {}

    def weights(self, routing: Tensor) -> Weights:
        """shared + the sum of the exclusive parts, each times its weight in `routing` (K,)."""
        found = dict(self.shared)
        for weight, own in zip(routing.tolist(), self.factors, strict=True):
            for name, parts in own.items():
                value = parts[0] if len(parts) == 1 else parts[0] @ parts[1]
                found[name] = found[name] + weight * value.view_as(found[name])
        return found

    def router_input(self, tokens: Tensor) -> Tensor:
        """The router's input from windows (B, T): the mean last hidden state of their beginnings (B, d)."""
        return self.family.hidden(self.shared, tokens[:, : prompt(tokens)]).float().mean(1)

    def route(self, hidden: Tensor) -> Tensor:
        """Logits of the experts (B, K)."""
        hidden = (hidden @ self.router["up"] + self.router["up_bias"]).relu()
        return hidden @ self.router["down"] + self.router["down_bias"]

    def train(self, run: Run, steps: int, rate: float, batch: int) -> list[float]:
        """Create the router and train it; returns its losses."""
        family, generator = self.family, run.generator(0)
        d = self.router_input(family.batch(family.domains[0], 1, 0)[:, :-1]).shape[1]
        hidden = torch.randn(d, HIDDEN, generator=generator) * d**-0.5
        self.router = {
            "up": hidden.to(family.device),
            "up_bias": torch.zeros(HIDDEN, device=family.device),
            "down": torch.zeros(HIDDEN, len(family.experts), device=family.device),
            "down_bias": torch.zeros(len(family.experts), device=family.device),
        }
        experts = [family.expert(k) for k in range(len(family.experts))]

        def loss_of(step: int) -> Tensor:
            tokens = family.mixed_batch(batch, step)
            with torch.no_grad():
                best = torch.stack([window_losses(family, one, tokens) for one in experts]).argmin(0)
                seen = self.router_input(tokens[:, :-1])
            return nn.functional.cross_entropy(self.route(seen), best)

        return descend(self.router, lambda leaves: AdamW(leaves, rate), loss_of, steps, run)

    @torch.no_grad()
    def predict(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, V): the first quarter with equal weights, the rest as routed by it."""
        family, count, first = self.family, len(self.factors), prompt(tokens)
        even = family.logits(self.weights(torch.full((count,), 1 / count)), tokens[:, :first])
        routing = self.route(self.router_input(tokens)).softmax(1)
        routed = [family.logits(self.weights(own), row[None]) for own, row in zip(routing, tokens, strict=True)]
        return torch.cat([even, torch.cat(routed)[:, first:]], dim=1)

    def tensors(self) -> Weights:
        """The tensors of its file."""
        named = {f"shared.{name}": value for name, value in self.shared.items()}
        for expert, own in zip(self.family.experts, self.factors, strict=True):
            for name, parts in own.items():
                kinds = ("whole",) if len(parts) == 1 else ("left", "right")
                named |= {f"{kind}.{expert}.{name}": part for kind, part in zip(kinds, parts, strict=True)}
        return named | {f"router.{name}": value for name, value in self.router.items()}


def prompt(tokens: Tensor) -> int:
    """How many tokens of windows (B, T) the router sees."""
    return max(1, tokens.shape[1] // PROMPT)


def factors(value: Tensor, rank: float) -> tuple[Tensor, ...]:
    """A matrix as (left (out, r), right (r, in)) of its r strongest directions, r = rank x the full one, at least 1;
    other shapes whole."""
    if value.ndim != 2:
        return (value,)
    u, s, v = torch.linalg.svd(value, full_matrices=False)
    keep = max(1, round(rank * len(s)))
    return u[:, :keep] * s[:keep], v[:keep]


def window_losses(family: Family, weights: Weights, tokens: Tensor) -> Tensor:
    """(B,) loss of each window (B, T + 1) in nats per token that is predicted."""
    nats, counted = family.token_nll(weights, tokens)
    return nats.sum(1) / counted.sum(1).clamp(min=1)
