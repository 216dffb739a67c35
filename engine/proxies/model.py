"""Small decoder-only language models, G of them trained as one stack: every weight has a leading [G] dimension.

Pre-norm layers of causal attention with rotary positions and an MLP (SwiGLU or GELU), RMSNorm without gains
(a gain can be folded into the matrix behind it), no biases. All weights of all members are one flat buffer
(G, P), so the optimiser, the clipping and a checkpoint are each one operation on one tensor. Members share
nothing: the sum of their losses is differentiated, so each one's gradient is the same as alone.

On a CPU training runs through hand-written forward and backward passes (engine/proxies/cpu_layers.py), evaluation
through a forward pass of its own (engine/proxies/cpu_forward.py); elsewhere both run through the plain operations here,
which torch.compile fuses. Tests keep the three equal.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.core.errors import Problem
from engine.core.workspace import within
from engine.proxies import chunked, cpu_forward, cpu_layers
from engine.spec.fidelity import Fidelity, shapes


class Stack:
    """G proxies of one fidelity. weights: name -> (G, out, in), views into `flat` (G, P); so are `gradients`,
    into `flat.grad`.

    seeds: (G,) one per member; its initial weights depend on its seed alone, not on G or its position.
    """

    def __init__(self, fidelity: Fidelity, vocabulary: int, seeds: list[int], device: str = "cpu"):
        self.fidelity, self.vocabulary = fidelity, vocabulary
        self.shapes = shapes(fidelity, vocabulary)
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        self.flat = torch.stack([initial(self.shapes, seed) for seed in seeds]).to(device)  # (G, P)
        self.flat.grad = torch.zeros_like(self.flat)
        parts = list(zip(self.shapes.items(), self.flat.split(sizes, 1), self.flat.grad.split(sizes, 1), strict=True))
        self.weights = {name: value.view(-1, *shape).detach().requires_grad_() for (name, shape), value, _ in parts}
        self.gradients = [gradient.view(-1, *shape) for (_, shape), _, gradient in parts]
        turns = rotary(fidelity.context, fidelity.width // fidelity.heads).to(device)
        self.rotary = turns  # (T, head / 2) complex

    @property
    def members(self) -> int:
        """How many proxies, G."""
        return len(self.flat)

    @property
    def parameters(self) -> int:
        """Parameters of one proxy, P."""
        return self.flat.shape[1]

    @property
    def head(self) -> Tensor:
        """The matrix from the last hidden state to logits, (G, V, d): the embedding itself when tied."""
        return self.weights["embedding" if self.fidelity.tie_embeddings else "head"]

    def hidden(self, tokens: Tensor) -> Tensor:
        """The last hidden state, normalised, and with muP as small as its logits are to be.

        tokens: (G, B, T) ids, from V on too -> (G, B * T, d).
        """
        members, _, positions = tokens.shape
        tokens = tokens % self.vocabulary
        ops = cpu_layers if tokens.device.type == "cpu" else PLAIN
        w, kind = self.weights, self.fidelity
        x = ops.normed(ops.embed(w["embedding"], tokens.reshape(members, -1)))  # (G, N, d), N = B * T
        for layer in range(kind.layers):
            name = f"layers.{layer}."
            x = ops.attend(
                x,
                w[name + "attention.qkv"],
                w[name + "attention.output"],
                self.rotary[:positions],
                kind.heads,
            )
            x = ops.mlp(x, w[name + "mlp.up"], w[name + "mlp.down"], kind.activation == "swiglu")
        x = ops.normed(x)
        return x if kind.shrinks == 1 else x * kind.shrinks

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token. tokens: (G, B, T) -> (G, B, T, V)."""
        return torch.bmm(self.hidden(tokens), self.head.mT).view(*tokens.shape, self.vocabulary)

    def losses(self, tokens: Tensor) -> Tensor:
        """The mean loss of each member in nats per target, (G,). tokens: (G, B, T + 1), targets one later.

        Tokens from V on are read and never predicted (engine/corpus/shards.py): they are no targets.
        """
        inputs, targets = tokens[..., :-1], tokens[..., 1:].flatten(1)  # (G, B, T), (G, N)
        if chunked.is_large(*targets.shape, self.vocabulary, tokens.device.type):
            counted = (targets < self.vocabulary).float()
            weight = counted / counted.sum(1, keepdim=True).clamp(min=1)
            return chunked.mean_loss(self.hidden(inputs), self.head, targets % self.vocabulary, weight)
        nats, counted = self.target_losses(tokens)
        return (nats * counted).sum(1) / counted.sum(1).clamp(min=1)

    def target_losses(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each of the N = B * T targets in nats, (G, N), with gradients, and 1 where it counts, else 0."""
        inputs, targets = tokens[..., :-1], tokens[..., 1:].flatten(1)  # (G, B, T), (G, N)
        counted = (targets < self.vocabulary).to(self.flat.dtype)
        ops = cpu_layers if tokens.device.type == "cpu" else PLAIN
        return ops.nll(self.hidden(inputs), self.head, targets % self.vocabulary), counted

    def backward(self, losses: Tensor) -> None:
        """Write the gradient of every member's loss (G,) into `flat.grad` (G, P)."""
        torch._foreach_copy_(self.gradients, torch.autograd.grad(losses.sum(), list(self.weights.values())))

    @torch.no_grad()
    def token_nll(self, tokens: Tensor) -> Tensor:
        """The loss of every target in nats, (G, B, T), without gradients; 0 of what is never predicted. tokens: (G, B,
        T + 1)."""
        counted, ids = tokens[..., 1:] < self.vocabulary, tokens % self.vocabulary
        inputs, targets = ids[..., :-1], ids[..., 1:]
        if tokens.device.type != "cpu":
            nats = chunked.token_losses(self.hidden(inputs), self.head, targets.flatten(1))
            return nats.view(targets.shape) * counted
        turns = self.rotary[: inputs.shape[-1]]
        members = [{name: weight[g] for name, weight in self.weights.items()} for g in range(self.members)]
        pairs = zip(members, ids, strict=True)
        nats = torch.stack([cpu_forward.token_nll(member, self.fidelity, turns, own) for member, own in pairs])
        return nats * counted

    def member(self, g: int) -> dict[str, Tensor]:
        """The weights of one member as a plain state, without [G]: name -> (out, in), copied to the CPU."""
        return {name + ".weight": weight[g].detach().cpu().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def load(self, states: list[dict[str, Tensor]]) -> None:
        """Load the weights of G states as returned by `member`."""
        for g, state in enumerate(states):
            for name, weight in self.weights.items():
                weight[g].copy_(state[name + ".weight"])


def stack(fidelity: Fidelity, vocabulary: int, states: list[dict[str, Tensor]], device: str = "cpu") -> Stack:
    """Stack saved members (see `Stack.member`) into one model of G = len(states)."""
    model = Stack(fidelity, vocabulary, seeds=[0] * len(states), device=device)
    model.load(states)
    return model


def saved_proxy(workspace: Path, path: str, wanted: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    """The weights of a saved proxy (Stack.member). Raises Problem where it cannot be read, or is
    not of the shapes `wanted` (engine.spec.fidelity.shapes)."""
    try:
        state = load_file(within(workspace, path))
    except (OSError, ValueError, SafetensorError) as error:
        raise Problem(f"Cannot read the proxy {path}: {error}. Put it back, or retry the job that wrote it.") from error
    for name, shape in wanted.items():
        if f"{name}.weight" not in state or tuple(state[f"{name}.weight"].shape) != shape:
            raise Problem(f"Cannot use {path}: its {name!r} does not fit this study's proxies. Train it again.")
    return state


def shrinking(fidelity: Fidelity, table: dict[str, tuple[int, int]]) -> Tensor | None:
    """(P,) what muP multiplies the step of each weight by: of matrices from width to width BASE / width, of embedding
    and head 1; None where nothing shrinks."""
    if fidelity.shrinks == 1:
        return None
    parts = [(1.0 if name in ("embedding", "head") else fidelity.shrinks, shape) for name, shape in table.items()]
    return torch.cat([torch.full((math.prod(shape),), part) for part, shape in parts])


def initial(table: dict[str, tuple[int, int]], seed: int) -> Tensor:
    """The initial weights (P,) of the member with a seed.

    Embedding and head small, so that the first loss is that of a uniform guess; matrices that write to the residual
    stream zero, so that every layer starts as the identity; the others with variance 1 / inputs.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for name, shape in table.items():
        deviation = 0.02 if name in ("embedding", "head") else shape[1] ** -0.5
        deviation = 0.0 if name.endswith(("output", "down")) else deviation
        parts.append(torch.randn(shape, generator=generator).mul_(deviation).flatten())
    return torch.cat(parts)


def rotary(positions: int, head: int) -> Tensor:
    """The rotation of every pair of channels at every position, (T, head / 2) complex (Su et al. 2021)."""
    rates = 10_000.0 ** (-torch.arange(0, head, 2) / head)  # (head / 2,)
    angles = torch.outer(torch.arange(positions), rates)
    return torch.polar(torch.ones_like(angles), angles)


class PLAIN:
    """The layers as plain differentiable operations: for CUDA, where torch.compile fuses them."""

    @staticmethod
    def embed(table: Tensor, tokens: Tensor) -> Tensor:
        """The row of each token in its member's table: table (G, V, d), tokens (G, N) ids -> (G, N, d)."""
        members, vocabulary, d = table.shape
        first = vocabulary * torch.arange(members, device=tokens.device).unsqueeze(1)  # (G, 1) row of each one's table
        return F.embedding(tokens + first, table.reshape(-1, d))

    @staticmethod
    def normed(x: Tensor) -> Tensor:
        """RMSNorm without gain (Zhang and Sennrich 2019): (..., d) -> (..., d)."""
        return F.rms_norm(x, x.shape[-1:], eps=cpu_layers.EPSILON)

    @staticmethod
    def attend(x: Tensor, qkv: Tensor, output: Tensor, turns: Tensor, heads: int) -> Tensor:
        """x + attention(norm(x)): x (G, N, d), N = B * T; qkv (G, 3 d, d); output (G, d, d)."""
        members, rows, d = x.shape
        packed = torch.bmm(PLAIN.normed(x), qkv.mT)  # (G, N, 3 d)
        packed = packed.view(-1, len(turns), 3, heads, d // heads).transpose(1, 3)  # (G * B, heads, 3, T, head)
        q, k, v = packed.unbind(2)  # (G * B, heads, T, head) each
        mixed = F.scaled_dot_product_attention(turned(q, turns), turned(k, turns), v, is_causal=True)
        return x + torch.bmm(mixed.transpose(1, 2).reshape(members, rows, d), output.mT)

    @staticmethod
    def mlp(x: Tensor, up: Tensor, down: Tensor, gated: bool) -> Tensor:
        """x + mlp(norm(x)): x (G, N, d); up (G, h or 2 h, d), the gate's half first; down (G, d, h)."""
        wide = torch.bmm(PLAIN.normed(x), up.mT)
        if gated:
            gate, value = wide.chunk(2, -1)
            wide = F.silu(gate) * value
        else:
            wide = F.gelu(wide)
        return x + torch.bmm(wide, down.mT)

    @staticmethod
    def nll(x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        """Loss of every target in nats, (G, N), in fp32. x (G, N, d); head (G, V, d); targets (G, N) ids."""
        logits = torch.bmm(x, head.mT)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Rotate neighbouring channels of x (..., T, head) by their position's turns (T, head / 2)."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = turns.real.to(x.dtype), turns.imag.to(x.dtype)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)
