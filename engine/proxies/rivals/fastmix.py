"""FastMix: shares p = softmax(z) move during one run, by gradients of the head alone (arXiv:2606.14971).

Every few steps g_j = <gradient of the validation loss, gradient of domain j's training loss>, both at the matrix that
makes logits, and z <- z + rate J' g with J = diag(p) - p p': domains whose text lowers the validation loss rise. g is
divided by the validation gradient's length and the domains' mean length, so that the rate has no unit; both gradients
are of text that was not trained on at that step. The mixture is the mean of p over the second half of the run, in
which single steps' noise averages out; that, and the rate, are ours.
"""

import numpy as np
import torch
from torch import Tensor

from engine.proxies.model import Stack
from engine.proxies.rivals.ask import Answer, Ask
from engine.proxies.rivals.online import Online
from engine.spec.rivals import PROBED, every

RATE = 1.0
LEAST = 1e-3  # of p: a domain that got nothing would never be drawn again


@torch.no_grad()
def head_gradient(stack: Stack, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient (V, d) of the summed loss of a single model's targets at the matrix that makes its logits, what lies
    before it held fixed; and how many targets (). tokens (n, T + 1)."""
    targets = tokens[:, 1:].flatten()
    counted = (targets < stack.vocabulary).float()
    hidden = stack.hidden(tokens[None, :, :-1])[0].float()  # (N, d)
    error = torch.softmax(hidden @ stack.head[0].float().T, -1)  # (N, V)
    error[torch.arange(len(targets)), targets % stack.vocabulary] -= 1
    return (error * counted[:, None]).T @ hidden, counted.sum()


def agreement(run: Online) -> np.ndarray:
    """(D,) g: how far a step on each domain's text would lower the weighted validation loss."""
    wanted, own = torch.zeros_like(run.stack.head[0]), []
    for place, weight in enumerate(run.ask.weights.tolist()):
        text, valid = run.training_text(place, PROBED), run.validation_text(place, PROBED)
        gradient, count = head_gradient(run.stack, text)
        own.append((gradient / count.clamp(min=1)).flatten())
        wanted += weight * head_gradient(run.stack, valid)[0] / run.token_bytes[valid[:, 1:]].sum().clamp(min=1)
        run.read += text[:, 1:].numel() + valid[:, 1:].numel()
    each = torch.stack(own)  # (D, V d)
    scale = wanted.norm() * each.norm(dim=1).mean()
    found: np.ndarray = (each @ wanted.flatten() / scale.clamp(min=1e-12)).double().cpu().numpy()
    return found


def mixture(ask: Ask) -> Answer:
    """The mean of the shares over the second half of one run."""
    run, z = Online(ask), np.zeros(len(ask.domains))
    path: list[tuple[int, np.ndarray]] = []
    while True:
        run.go(every(ask.fidelity), "training while the shares move")
        path.append((run.step, run.shares.copy()))
        if run.step >= ask.fidelity.steps:
            break
        g, p = agreement(run), run.shares
        z += RATE * p * (g - p @ g)  # J' g
        run.shares = shares_of(z)
    half = [shares for step, shares in path if step > ask.fidelity.steps / 2]
    return Answer(np.mean(half, axis=0), run.cost, path)


def shares_of(z: np.ndarray) -> np.ndarray:
    """(D,) softmax of z, none below LEAST."""
    p = np.exp(z - z.max())
    p = np.maximum(p / p.sum(), LEAST)
    found: np.ndarray = p / p.sum()
    return found
