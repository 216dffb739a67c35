"""The layers of engine/proxies/model.py for the CPU: forward and backward passes written out by hand.

At d = 32 to 128 a training step is bound by memory traffic and small kernels, not by arithmetic. Each
function here is one node of the autograd graph: it works in place on its own buffers, recomputes
what is cheaper to compute than to store, reads heads as column slices of the packed projections (no transposes, no
copies), and writes packed gradients. Shapes: G members, N = B * T rows, d width, S = G * B sequences.
"""

import torch
from torch import Tensor
from torch.autograd import Function

from engine.proxies.cpu_matmul import outer_products, products, products_back

EPSILON = 1e-6  # of RMSNorm


def rms(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (G, N, d) -> x normalised to a mean square of 1, and the factor (G, N, 1) that did it."""
    factor = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(EPSILON).rsqrt_()
    return x * factor, factor


def rms_backward(normal: Tensor, factor: Tensor, gradient: Tensor) -> Tensor:
    """Gradient at the input of `rms` from the one at its output, overwritten: (g - n mean(g n)) factor."""
    mean = (gradient * normal).mean(-1, keepdim=True)
    return gradient.addcmul_(normal, mean, value=-1).mul_(factor)


class Embed(Function):
    """The row of each token in its member's table."""

    @staticmethod
    def forward(ctx, table: Tensor, tokens: Tensor) -> Tensor:
        members, vocabulary, d = table.shape
        ctx.vocabulary, ctx.tokens = vocabulary, tokens
        out = table.new_empty(*tokens.shape, d)
        for g in range(members):  # a single call would need the tables contiguous in memory
            torch.index_select(table[g], 0, tokens[g], out=out[g])
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor):
        grad_table = gradient.new_zeros(len(gradient), ctx.vocabulary, gradient.shape[-1])
        for g, tokens in enumerate(ctx.tokens):
            grad_table[g].index_add_(0, tokens, gradient[g])
        return grad_table, None


class Normed(Function):
    """RMSNorm without gain."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        normal, factor = rms(x)
        ctx.save_for_backward(normal, factor)
        return normal

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        normal, factor = ctx.saved_tensors
        return rms_backward(normal, factor, gradient.clone())


class Attend(Function):
    """x + attention(norm(x)), projections and rotary positions included."""

    @staticmethod
    def forward(ctx, x: Tensor, qkv: Tensor, output: Tensor, turns: Tensor, heads: int, mask: Tensor) -> Tensor:
        normal, factor = rms(x)
        packed = products(normal, qkv)  # (G, N, 3 d)
        turn(packed, turns, heads)
        sequences = packed.view(-1, len(turns), packed.shape[-1])  # (S, T, 3 d)
        mixed = torch.empty_like(x)  # (G, N, d)
        weights = []  # per head (S, T, T)
        for q, k, v, out in columns(sequences, mixed.view(-1, len(turns), x.shape[-1]), heads):
            scores = torch.baddbmm(mask, q, k.mT, alpha=q.shape[-1] ** -0.5)
            weights.append(torch.softmax(scores, -1, out=scores))
            torch.bmm(weights[-1], v, out=out)
        ctx.heads = heads
        ctx.save_for_backward(normal, factor, packed, mixed, qkv, output, turns, *weights)
        return products(mixed, output, added=x)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        normal, factor, packed, mixed, qkv, output, turns, *weights = ctx.saved_tensors
        positions, d = len(turns), mixed.shape[-1]
        grad_output = outer_products(gradient, mixed)  # (G, d, d)
        grad_mixed = products_back(gradient, output).view(-1, positions, d)  # (S, T, d)
        grad_packed = torch.empty_like(packed)  # (G, N, 3 d)
        parts = zip(
            columns(packed.view(-1, positions, 3 * d), grad_mixed, ctx.heads),
            columns(grad_packed.view(-1, positions, 3 * d), grad_mixed, ctx.heads),
            weights,
            strict=True,
        )
        for (q, k, v, grad), (grad_q, grad_k, grad_v, _), attention in parts:
            scale = q.shape[-1] ** -0.5
            torch.bmm(attention.mT, grad, out=grad_v)
            scores = torch.bmm(grad, v.mT)  # gradient at the attention weights, then at the scores: (S, T, T)
            torch._softmax_backward_data(scores, attention, -1, scores.dtype, grad_input=scores)
            scores.mul_(scale)
            torch.bmm(scores, k, out=grad_q)
            torch.bmm(scores.mT, q, out=grad_k)
        turn(grad_packed, turns.conj(), ctx.heads)
        grad_qkv = outer_products(grad_packed, normal)  # (G, 3 d, d)
        grad_x = rms_backward(normal, factor, products_back(grad_packed, qkv)).add_(gradient)
        return grad_x, grad_qkv, grad_output, None, None, None


def turn(packed: Tensor, turns: Tensor, heads: int) -> None:
    """Rotate the queries and keys of packed (G, N, 3 d) in place, pairs of channels as complex numbers."""
    d = packed.shape[-1] // 3
    pairs = torch.view_as_complex(packed.view(-1, len(turns), 3 * heads, d // heads // 2, 2))  # (S, T, 3 H, pairs)
    pairs[:, :, : 2 * heads].mul_(turns.unsqueeze(1))


def columns(packed: Tensor, mixed: Tensor, heads: int):
    """The head-wide column slices q, k, v of packed (S, T, 3 d) and of mixed (S, T, d), head by head."""
    return zip(*(part.chunk(heads, -1) for part in (*packed.chunk(3, -1), mixed)), strict=True)


class Mlp(Function):
    """x + mlp(norm(x)), SwiGLU or GELU."""

    @staticmethod
    def forward(ctx, x: Tensor, up: Tensor, down: Tensor, gated: bool) -> Tensor:
        normal, factor = rms(x)
        wide = products(normal, up)  # (G, N, h) or (G, N, 2 h)
        if gated:
            gate, value = wide.chunk(2, -1)
            sigmoid = torch.sigmoid(gate)
            active = (gate * sigmoid).mul_(value)  # (G, N, h)
        else:
            active, sigmoid = torch.nn.functional.gelu(wide), None
        ctx.gated = gated
        ctx.save_for_backward(normal, factor, wide, active, sigmoid, up, down)
        return products(active, down, added=x)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        normal, factor, wide, active, sigmoid, up, down = ctx.saved_tensors
        grad_down = outer_products(gradient, active)  # (G, d, h)
        grad_active = products_back(gradient, down)  # (G, N, h)
        if ctx.gated:
            gate, value = wide.chunk(2, -1)
            grad_wide = torch.empty_like(wide)
            grad_gate, grad_value = grad_wide.chunk(2, -1)
            swish = gate * sigmoid
            torch.mul(grad_active, swish, out=grad_value)
            # silu'(z) = s + z s (1 - s) = s + swish - swish s
            slope = torch.addcmul(sigmoid, swish, sigmoid, value=-1).add_(swish)
            torch.mul(grad_active.mul_(value), slope, out=grad_gate)
        else:
            grad_wide = torch.ops.aten.gelu_backward(grad_active, wide)
        grad_up = outer_products(grad_wide, normal)
        grad_x = rms_backward(normal, factor, products_back(grad_wide, up)).add_(gradient)
        return grad_x, grad_up, grad_down, None


class Nll(Function):
    """Loss of every target; logits become their own gradient in place, so they are written once."""

    @staticmethod
    def forward(ctx, x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        logits = products(x, head)  # (G, N, V)
        scores = torch.log_softmax(logits, -1, out=logits)
        ctx.save_for_backward(x, head, targets, scores)
        return -scores.gather(-1, targets.unsqueeze(-1)).squeeze(-1)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        x, head, targets, scores = ctx.saved_tensors
        grad = scores.exp_().mul_(gradient.unsqueeze(-1))  # softmax (G, N, V), and 1 less at the target
        grad.scatter_add_(-1, targets.unsqueeze(-1), -gradient.unsqueeze(-1))
        return products_back(grad, head), outer_products(grad, x), None


def embed(table: Tensor, tokens: Tensor) -> Tensor:
    """The row of each token in its member's table: table (G, V, d), tokens (G, N) ids -> (G, N, d)."""
    return Embed.apply(table, tokens)


def normed(x: Tensor) -> Tensor:
    """RMSNorm without gain: (G, N, d) -> (G, N, d)."""
    return Normed.apply(x)


def attend(x: Tensor, qkv: Tensor, output: Tensor, turns: Tensor, heads: int) -> Tensor:
    """x + attention(norm(x)): x (G, N, d); qkv (G, 3 d, d); output (G, d, d); turns (T, head / 2) complex."""
    mask = torch.full((len(turns), len(turns)), float("-inf")).triu_(1)  # (T, T), added to the scores
    return Attend.apply(x, qkv, output, turns, heads, mask)


def mlp(x: Tensor, up: Tensor, down: Tensor, gated: bool) -> Tensor:
    """x + mlp(norm(x)): x (G, N, d); up (G, h or 2 h, d), the gate's half first; down (G, d, h)."""
    return Mlp.apply(x, up, down, gated)


def nll(x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Loss of every target in nats, (G, N): x (G, N, d); head (G, V, d); targets (G, N) ids."""
    return Nll.apply(x, head, targets)
