"""Cross-entropy with large vocabularies: a chunk of logits at a time, so that they never exist all at once.

The gradient of a weighted mean is known as soon as a chunk's logits are: softmax minus one at the target, times the
target's weight. So the forward pass makes both gradients while the chunk is at hand, and the backward pass only scales
them (as Liger's fused linear cross-entropy does, Hsu et al. 2024, arXiv:2410.10989). Nothing is computed twice, and
what is kept is as large as the hidden states and the head, not as the logits. G members, N targets, V tokens.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd import Function

from engine.spec.compute import CHUNK_CARD, CHUNK_CPU, WHOLE


def chunks(members: int, targets: int, vocabulary: int, device: str) -> Iterator[tuple[slice, slice]]:
    """Members and places of targets, in pieces whose fp32 logits stay within the device's limit."""
    together, limit = (1, CHUNK_CPU) if device == "cpu" else (members, CHUNK_CARD)
    rows = max(1, limit // (4 * together * vocabulary))
    for member in range(0, members, together):
        for first in range(0, targets, rows):
            yield slice(member, member + together), slice(first, first + rows)


def is_large(members: int, targets: int, vocabulary: int, device: str) -> bool:
    """Whether logits are too many to be kept for the backward pass."""
    return 4 * members * targets * vocabulary > WHOLE * (CHUNK_CPU if device == "cpu" else CHUNK_CARD)


def mean_loss(x: Tensor, head: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    """The weighted loss of each member in nats, (G,), in fp32.

    x (G, N, d) hidden states; head (G, V, d); targets (G, N) ids; weight (G, N) of each target, 0 where it does not
    count.
    """
    return MeanLoss.apply(x, head, targets, weight)


class MeanLoss(Function):
    """The weighted loss, with its gradients at x and head."""

    @staticmethod
    def forward(ctx, x: Tensor, head: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        loss = torch.zeros(len(x), dtype=torch.float32, device=x.device)
        grad_x = torch.empty_like(x) if wanted else None
        grad_head = torch.zeros_like(head) if wanted else None
        for piece in chunks(*targets.shape, head.shape[1], x.device.type):
            own, here = head[piece[0]].to(x.dtype), targets[piece]
            scores, nll = scored(x[piece], own, here)
            loss[piece[0]] += (nll * weight[piece]).sum(1)
            if wanted:
                grad = scores.exp_()  # softmax (g, n, V), and 1 less at the target
                grad.scatter_add_(-1, here[..., None], -torch.ones_like(nll)[..., None])
                grad = grad.mul_(weight[piece][..., None]).to(x.dtype)
                grad_x[piece] = torch.bmm(grad, own)
                grad_head[piece[0]] += torch.bmm(grad.mT, x[piece])
        ctx.save_for_backward(grad_x, grad_head)
        return loss

    @staticmethod
    def backward(ctx, gradient: Tensor):
        grad_x, grad_head = ctx.saved_tensors
        scale = gradient.view(-1, 1, 1)
        return grad_x * scale.to(grad_x.dtype), grad_head * scale.to(grad_head.dtype), None, None


def scored(x: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The log-probabilities of every token (g, n, V) in fp32, and the loss of the targets (g, n)."""
    logits = torch.bmm(x, head.mT).float()
    scores = torch.log_softmax(logits, -1)
    return scores, -scores.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def token_losses(x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """The loss of every target in nats, (G, N), in fp32, without gradients."""
    found = torch.empty(targets.shape, dtype=torch.float32, device=x.device)
    for piece in chunks(*targets.shape, head.shape[1], x.device.type):
        found[piece] = scored(x[piece], head[piece[0]].to(x.dtype), targets[piece])[1]
    return found
