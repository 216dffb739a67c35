"""The forward pass of one proxy on a CPU without gradients: evaluation, and live merges.

Activation, gate and residual are fused into the products (engine/proxies/cpu_matmul.py), and logits are computed in
parts. Shapes: N = B * T rows, d width, h hidden width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.proxies import cpu_matmul as products
from engine.proxies.cpu_layers import joined, parted, rms, turn
from engine.proxies.cpu_matmul import activated, gated, product
from engine.spec.fidelity import Fidelity

LOGITS = 1 << 18  # at once: 1 MB, which fits in the cache


def token_nll(weights: dict[str, Tensor], fidelity: Fidelity, turns: Tensor, tokens: Tensor) -> Tensor:
    """The loss of every target in nats, (B, T): tokens (B, T + 1) ids, targets one later.

    weights: of one proxy, name -> (out, in); turns: rotary positions (T, head / 2) complex.
    """
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    x = normed(weights["embedding"].index_select(0, inputs.reshape(-1)))  # (N, d)
    for layer in range(fidelity.layers):
        name = f"layers.{layer}."
        mixed = attention(normed(x), weights[name + "attention.qkv"], turns, fidelity.heads)
        x = product(mixed, weights[name + "attention.output"], added=x)
        hidden = active(normed(x), weights[name + "mlp.up"], fidelity.activation == "swiglu")
        x = product(hidden, weights[name + "mlp.down"], added=x)
    head = weights["embedding" if fidelity.tie_embeddings else "head"]  # (V, d)
    return of_targets(normed(x) * fidelity.shrinks, head, targets.reshape(-1, 1)).view(targets.shape)


def of_targets(x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Loss of every target in nats, (N, 1): x (N, d), head (V, d), targets (N, 1) ids. In parts of the rows."""
    rows = max(1, LOGITS // len(head))
    found = []
    for part, own in zip(x.split(rows), targets.split(rows), strict=True):
        logits = product(part, head)
        found.append(torch.log_softmax(logits, -1, out=logits).gather(-1, own).neg_())
    return torch.cat(found)


def normed(x: Tensor) -> Tensor:
    """RMSNorm without gain: (N, d) -> (N, d)."""
    return rms(x)[0]


def attention(x: Tensor, qkv: Tensor, turns: Tensor, heads: int) -> Tensor:
    """Causal attention before its output matrix: x (N, d) normalised, qkv (3 d, d) -> (N, d)."""
    packed = product(x, qkv)[None]  # (1, N, 3 d)
    turn(packed, turns, heads)
    return joined(F.scaled_dot_product_attention(*parted(packed, len(turns), heads), is_causal=True), x)


def active(x: Tensor, up: Tensor, swiglu: bool) -> Tensor:
    """The hidden layer of an MLP: x (N, d) -> (N, h). up: (h, d) for GELU; (2 h, d), gate first, for SwiGLU."""
    if not swiglu:
        return activated(x, up, "gelu") if products.ONEDNN else F.gelu(product(x, up))
    gate, value = up.chunk(2)
    if products.ONEDNN:
        return gated(x, value, activated(x, gate, "swish"))
    return F.silu(product(x, gate)) * product(x, value)
