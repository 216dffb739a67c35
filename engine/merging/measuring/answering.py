"""How one model that gives logits answers the items of tasks: a language model on disk, a merge, or a learned one."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.metrics.models import Ids, Scored
from engine.proxies.answering import batches
from engine.proxies.generate import Rows, continued

TOKENS = 4096  # that go through the model together


class LogitModels:
    """engine.metrics.models.Models, of one model. logits: tokens (B, T) -> (B, T, V); encode, decode: of its tokenizer;
    begin: tokens before every text; context: the most tokens that it sees; device: where its tokens go."""

    members = 1

    def __init__(
        self,
        logits: Callable[[Tensor], Tensor],
        encode: Callable[[str], Ids],
        decode: Callable[[Sequence[int]], str],
        begin: Ids,
        context: int,
        device: str | torch.device,
    ) -> None:
        self.logits, self.encode, self.decode = logits, encode, decode
        self.begin, self.context, self.device = begin, context, device

    def nats(self, rows: Sequence[Ids]) -> list[np.ndarray]:
        """The loss of every token but the first of each row, (1, len - 1) each."""
        return [one.nats for one in self.scored(rows)]

    @torch.no_grad()
    def scored(self, rows: Sequence[Ids]) -> list[Scored]:
        """The loss of every token but the first of each row, and whether it is the most likely, (1, len - 1) each."""
        found: list[Scored] = [Scored(np.empty(0), np.empty(0))] * len(rows)
        for places, tokens in batches(rows, lambda length: max(1, TOKENS // length)):
            tokens = tokens.to(self.device)
            logs = self.logits(tokens[:, :-1]).float().log_softmax(-1)  # (B, T, V)
            targets = tokens[:, 1:, None]
            nats = -logs.gather(-1, targets)[..., 0].double().cpu().numpy()  # (B, T)
            first = (logs.argmax(-1, keepdim=True) == targets)[..., 0].cpu().numpy()
            for row, place in enumerate(places):
                own = slice(row, row + 1), slice(len(rows[place]) - 1)
                found[place] = Scored(nats[own], first[own])
        return found

    def generate(
        self, rows: Sequence[Ids], tokens: int, temperature: float, seed: int, ends: Callable[[str], bool]
    ) -> list[list[str]]:
        """How the model continues each row (engine.metrics.models.Models)."""
        generator, found = torch.Generator().manual_seed(seed), []
        done = lambda new: ends(self.decode(new[0][0]))  # noqa: E731
        for row in rows:
            ((new,),) = continued(self.next_logits, [[row]], tokens, temperature, generator, done)
            found.append(self.decode(new))
        return [found]

    def next_logits(self, rows: list[Rows]) -> Tensor:
        """(1, 1, V) of the token after the one row [1][1], of which the last `context` tokens are seen."""
        seen = torch.tensor([rows[0][0][-self.context :]], device=self.device)
        return self.logits(seen)[:, -1:]
