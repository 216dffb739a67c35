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
aten = torch.ops.aten


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
    """x + attention(norm(x)), projections and rotary positions included.

    It goes block by block (Dao et al. 2022, arXiv:2205.14135; torch's own kernel), keeps one number of each row instead
    of (T, T) weights, and leaves out the masked half.
    """

    @staticmethod
    def forward(ctx, x: Tensor, qkv: Tensor, output: Tensor, turns: Tensor, heads: int) -> Tensor:
        normal, factor = rms(x)
        packed = products(normal, qkv)  # (G, N, 3 d)
        turn(packed, turns, heads)
        mixed, total = aten._scaled_dot_product_flash_attention_for_cpu(*parted(packed, len(turns), heads), 0.0, True)
        ctx.heads = heads
        ctx.save_for_backward(normal, factor, packed, mixed, total, qkv, output, turns)
        return products(joined(mixed, x), output, added=x)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        normal, factor, packed, mixed, total, qkv, output, turns = ctx.saved_tensors
        positions, heads = len(turns), ctx.heads
        grad_output = outer_products(gradient, joined(mixed, gradient))  # (G, d, d)
        grad_mixed = products_back(gradient, output).view(-1, positions, heads, mixed.shape[-1]).transpose(1, 2)
        grads = aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad_mixed, *parted(packed, positions, heads), mixed, total, 0.0, True
        )
        grad_packed = torch.empty_like(packed)  # (G, N, 3 d)
        for into, grad in zip(parted(grad_packed, positions, heads), grads, strict=True):
            into.copy_(grad)
        turn(grad_packed, turns.conj(), heads)
        grad_qkv = outer_products(grad_packed, normal)  # (G, 3 d, d)
        grad_x = rms_backward(normal, factor, products_back(grad_packed, qkv)).add_(gradient)
        return grad_x, grad_qkv, grad_output, None, None


def parted(packed: Tensor, positions: int, heads: int) -> tuple[Tensor, ...]:
    """Queries, keys and values of packed (G, N, 3 d), as views: (S, heads, T, d / heads) each."""
    width = packed.shape[-1] // 3 // heads
    return packed.view(-1, positions, 3, heads, width).transpose(1, 3).unbind(2)


def joined(mixed: Tensor, like: Tensor) -> Tensor:
    """What the heads (S, heads, T, d / heads) make together, as rows like x (G, N, d)."""
    return mixed.transpose(1, 2).reshape(like.shape)


def turn(packed: Tensor, turns: Tensor, heads: int) -> None:
    """Rotate the queries and keys of packed (G, N, 3 d) in place, pairs of channels as complex numbers."""
    d = packed.shape[-1] // 3
    pairs = torch.view_as_complex(packed.view(-1, len(turns), 3 * heads, d // heads // 2, 2))  # (S, T, 3 H, pairs)
    pairs[:, :, : 2 * heads].mul_(turns.unsqueeze(1))


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
    return Attend.apply(x, qkv, output, turns, heads)


def mlp(x: Tensor, up: Tensor, down: Tensor, gated: bool) -> Tensor:
    """x + mlp(norm(x)): x (G, N, d); up (G, h or 2 h, d), the gate's half first; down (G, d, h)."""
    return Mlp.apply(x, up, down, gated)


def nll(x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Loss of every target in nats, (G, N): x (G, N, d); head (G, V, d); targets (G, N) ids."""
    return Nll.apply(x, head, targets)
