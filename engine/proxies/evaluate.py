"""Model to losses: bits per byte of every domain, on validation windows that are the same for every model."""

import math

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.corpus.windows import starts
from engine.proxies.model import Stack

ROWS = 4096  # tokens of one pass on a CPU: large enough for full speed, small enough to stay in the cache


def evaluate(stack: Stack, corpus, domains: list[str], tokens_per_domain: int) -> tuple[np.ndarray, np.ndarray]:
    """Losses of every member on every domain, and their standard errors over windows: two (G, D) arrays.

    Bits per byte: nats of all targets / ln 2 / bytes that the targets stand for, so vocabularies compare. The
    standard error is that of a ratio of means over windows of T tokens. Raises Problem for a domain without
    two windows of validation text.
    """
    columns = [bits_per_byte(*window_sums(stack, corpus, domain, tokens_per_domain)) for domain in domains]
    losses, errors = zip(*columns, strict=True)
    return np.stack(losses, 1), np.stack(errors, 1)


def window_sums(stack: Stack, corpus, domain: str, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums over each validation window of a domain: nats (G, W) of the members, bytes of the targets (W,)."""
    windows = validation_windows(corpus.valid(domain), stack.fidelity.context, tokens, domain)  # (W, T + 1)
    members, positions = stack.members, stack.fidelity.context
    sizes = corpus.token_bytes[windows[:, 1:]].sum(1)
    if sizes.sum() == 0:
        raise Problem(
            f"Cannot measure bits per byte on domain {domain!r}. This is because the {len(windows)} "
            "validation windows stand for 0 bytes. Rebuild the corpus."
        )
    at_once = max(1, ROWS // positions) if stack.flat.device.type == "cpu" else 64
    nats = []
    for part in torch.from_numpy(windows.astype(np.int64)).to(stack.flat.device).split(at_once):
        tokens_of_all: Tensor = part.expand(members, -1, -1)  # (G, W', T + 1), the same windows for each
        nats.append(stack.token_nll(tokens_of_all).double().sum(-1).cpu())
    return torch.cat(nats, 1).numpy(), sizes


def validation_windows(shard: np.ndarray, context: int, tokens: int, domain: str) -> np.ndarray:
    """About `tokens` targets in whole windows (W, T + 1), spread evenly over a shard, no target twice."""
    available = (len(shard) - 1) // context
    if available < 2:
        raise Problem(
            f"Cannot measure the loss of domain {domain!r}. This is because its validation text has "
            f"{len(shard)} tokens, and two windows take {2 * context + 1}. "
            "Give it more text, or shorten the context."
        )
    return np.lib.stride_tricks.sliding_window_view(shard, context + 1)[starts(len(shard), context, tokens)]


def bits_per_byte(nats: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Loss (G,) and its standard error (G,) from window sums: nats (G, W), bytes (W,). Delta method."""
    bits, total = nats / math.log(2), sizes.sum()
    losses = bits.sum(1) / total
    residuals = bits - losses[:, None] * sizes  # (G, W), sum to 0 over windows
    windows = len(sizes)
    return losses, np.sqrt(windows / (windows - 1) * (residuals**2).sum(1)) / total
