"""A family of proxies: the base and the experts that a merge study has trained."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.merging.checkpoints.writer import Slot, writing
from engine.merging.learning.base import Family, Predict, Weights
from engine.merging.measuring.answering import LogitModels
from engine.merging.measuring.proxies import ProxyMerges
from engine.proxies.answering import StackModels
from engine.proxies.evaluate import validation_windows
from engine.proxies.model import Stack
from engine.spec.tasks import Merging

BATCH = 16  # validation windows of one pass


class ProxyFamily(Family):
    """task: of a merge job. Raises Problem if an expert is missing or does not fit."""

    def __init__(self, task: Merging, workspace: Path, device: str = "auto"):
        merges = ProxyMerges(task, workspace, device)
        self.experts, self.domains, self.device = merges.experts, merges.domains, merges.device
        self.corpus, self.fidelity, self.seed, self.metrics = merges.corpus, merges.fidelity, 0, merges.metrics
        self.merge, self.tasks, self.workspace = merges.merge, merges.tasks, workspace
        self.reference = merges.reference(self.fidelity.eval_tokens) if merges.counts_flips else None
        places = list(merges.blocks.items())
        self.base = {name: merges.base[at].view(merges.shapes[name]).clone() for name, at in places}
        self.deltas = {
            name: merges.deltas[:, at].reshape(len(self.experts), *merges.shapes[name]).clone() for name, at in places
        }
        self.vocabulary = self.corpus.vocabulary
        self.stack = Stack(self.fidelity, self.vocabulary, [0], self.device)

    def speaking(self, predict: Predict) -> LogitModels:
        own = StackModels(self.stack, self.corpus)
        return LogitModels(predict, own.encode, own.decode, own.begin, own.context, self.device)

    def _with(self, weights: Weights) -> Stack:
        self.stack.weights = {name: value[None] for name, value in weights.items()}
        return self.stack

    def logits(self, weights: Weights, tokens: Tensor) -> Tensor:
        return self._with(weights).forward(tokens[None])[0]

    def hidden(self, weights: Weights, tokens: Tensor) -> Tensor:
        return self._with(weights).hidden(tokens[None])[0].view(*tokens.shape, -1)

    def batch(self, domain: str, rows: int, draw: int) -> Tensor:
        shard, context = self.corpus.train(domain), self.fidelity.context
        places = (len(shard) - 1) // context
        if places < 1:
            raise Problem(f"Cannot learn from {domain!r}: its training text has {len(shard)} tokens. Add text.")
        rng = np.random.default_rng([self.seed, zlib.crc32(domain.encode()), draw])
        starts = rng.integers(places, size=rows) * context
        windows = np.stack([shard[start : start + context + 1] for start in starts]).astype(np.int64)
        return torch.from_numpy(windows).to(self.device)

    def validation(self, domain: str) -> Iterator[tuple[Tensor, np.ndarray]]:
        kind = self.fidelity
        windows = validation_windows(self.corpus.valid(domain), kind.context, kind.eval_tokens, domain)
        for start in range(0, len(windows), BATCH):
            part = windows[start : start + BATCH]
            tokens = torch.from_numpy(part.astype(np.int64)).to(self.device)
            yield tokens, self.corpus.token_bytes[part[:, 1:]].sum(1)

    def write(self, weights: Weights, out: Path, card: str) -> None:
        """A bare file, like all proxies; the card is dropped."""
        write_tensors({f"{name}.weight": value for name, value in weights.items()}, out)

    def large(self, name: str):
        raise Problem(
            f"Cannot steer {name!r} by proxies: a larger model must share their tokens. Use external checkpoints."
        )


def write_tensors(tensors: Weights, out: Path) -> None:
    """Tensors as one .safetensors file, atomically."""
    slots = [Slot(name, value.dtype, tuple(value.shape)) for name, value in tensors.items()]
    with writing(out, slots, {}, {}) as file:
        for name, value in tensors.items():
            file.put(name, 0, value.detach().cpu().contiguous().view(-1))
