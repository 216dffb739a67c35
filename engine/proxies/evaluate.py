"""Evaluation of stacked proxies on validation windows that are the same for every model."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.corpus.windows import starts
from engine.metrics import LOSS, Metric, Prediction, Text, values_of, window_scores
from engine.proxies.model import Stack

TOKENS = 4096  # per pass on a CPU: large enough for full speed, small enough for the cache
A_BATCH = 64  # rows per pass elsewhere, at most
A_PASS = 4 << 30  # bytes of logits and hidden states in a pass elsewhere
KEPT = 16  # hidden states that a pass holds for each token
Tell = Callable[[str, Prediction], None]  # is told what is predicted of some windows of a domain


def evaluate(
    stack: Stack,
    corpus,
    domains: list[str],
    tokens_per_domain: int,
    metrics: Sequence[Metric] = (LOSS,),
    tell: Tell | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Metrics of every member, and standard errors over windows: two (G, M) arrays, ordered as engine.metrics.names_of.

    Raises Problem for a domain without two windows of validation text.
    """
    found = [window_sums(stack, corpus, domain, tokens_per_domain, metrics, tell) for domain in domains]
    sums, texts = zip(*found, strict=True)
    return values_of(metrics, sums, texts)


def window_sums(
    stack: Stack,
    corpus,
    domain: str,
    tokens: int,
    metrics: Sequence[Metric] = (LOSS,),
    tell: Tell | None = None,
) -> tuple[np.ndarray, Text]:
    """Sums of the scores over each validation window of a domain, (metrics, G, W), and the text of the windows."""
    windows = validation_windows(corpus.valid(domain), stack.fidelity.context, tokens, domain)  # (W, T + 1)
    members, positions = stack.members, stack.fidelity.context
    targets = windows[:, 1:]
    text = Text((targets < corpus.vocabulary).sum(1), corpus.token_bytes[targets].sum(1))
    if text.bytes.sum() == 0:
        raise Problem(
            f"Cannot measure bits per byte on domain {domain!r}: the {len(windows)} "
            "validation windows hold 0 bytes that are predicted. Give it more text, or a longer evaluation."
        )
    batch_size = rows_at_once(stack, positions)
    sums = []
    with torch.no_grad():
        for part in torch.from_numpy(windows.astype(np.int64)).to(stack.flat.device).split(batch_size):
            prediction = prediction_of(stack, part.expand(members, -1, -1))
            sums.append(window_scores(metrics, prediction))
            if tell is not None:
                tell(domain, prediction)
    return np.concatenate(sums, -1), text


def rows_at_once(stack: Stack, length: int) -> int:
    """How many rows of so many tokens go through a stack together."""
    if stack.flat.device.type == "cpu":
        return max(1, TOKENS // length)
    a_row = 4 * stack.members * length * (stack.vocabulary + KEPT * stack.fidelity.width)
    return max(1, min(A_BATCH, A_PASS // a_row))


def passage_bits(stack: Stack, tokens: np.ndarray) -> np.ndarray:
    """Bits of every target of passages (P, T + 1), by every member: (G, P, T)."""
    with torch.no_grad():
        own = torch.from_numpy(tokens).to(stack.flat.device).expand(stack.members, -1, -1)
        nats: np.ndarray = stack.token_nll(own).double().cpu().numpy()
    return nats / np.log(2)


def prediction_of(stack: Stack, tokens: Tensor) -> Prediction:
    """Predictions of tokens (G, W, T + 1). Losses need no logits, which a CPU never stores in full."""
    return Prediction(
        tokens[..., 1:], lambda: stack.forward(tokens[..., :-1]), lambda: stack.token_nll(tokens), stack.vocabulary
    )


def validation_windows(shard: np.ndarray, context: int, tokens: int, domain: str) -> np.ndarray:
    """About `tokens` targets in whole windows (W, T + 1), spread evenly over a shard, no target twice."""
    available = (len(shard) - 1) // context
    if available < 2:
        raise Problem(
            f"Cannot measure the loss of domain {domain!r}: its validation text has "
            f"{len(shard)} tokens, and two windows take {2 * context + 1}. "
            "Give it more text, or shorten the context."
        )
    return np.lib.stride_tricks.sliding_window_view(shard, context + 1)[starts(len(shard), context, tokens)]
