"""How a stack of proxies answers the items of tasks: all members at once, rows of like length together."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from engine.corpus.shelf import Corpus
from engine.metrics.models import Scored
from engine.proxies import cached
from engine.proxies.evaluate import A_BATCH, rows_at_once
from engine.proxies.generate import Rows, continued
from engine.proxies.model import Stack
from engine.tasks.reading import CorpusReader


class StackModels(CorpusReader):
    """engine.metrics.models.Models: the G members of a stack, and the tokens of their corpus."""

    def __init__(self, stack: Stack, corpus: Corpus) -> None:
        super().__init__(corpus, stack.fidelity.context)
        self.stack = stack

    @property
    def members(self) -> int:
        """G."""
        return self.stack.members

    def nats(self, rows: Sequence[list[int]]) -> list[np.ndarray]:
        """The loss of every token but the first of each row, (G, len - 1) each."""
        return self._of_tokens(rows, lambda tokens: self.stack.token_nll(tokens).double())

    def scored(self, rows: Sequence[list[int]]) -> list[Scored]:
        """The same, and whether each of these tokens is the most likely one. Logits are formed for the latter only, so
        that losses stay those of `nats` to the last bit."""
        first = self._of_tokens(rows, lambda tokens: self.stack.forward(tokens[..., :-1]).argmax(-1) == tokens[..., 1:])
        return [Scored(*both) for both in zip(self.nats(rows), first, strict=True)]

    @torch.no_grad()
    def _of_tokens(self, rows: Sequence[list[int]], of: Callable[[Tensor], Tensor]) -> list[np.ndarray]:
        """What a function of tokens (G, B, T + 1) says of all but the first, (G, B, T), by row: (G, len - 1) each."""
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        for places, tokens in batches(rows, partial(rows_at_once, self.stack)):
            own = of(tokens.to(self.stack.flat.device).expand(self.members, -1, -1)).cpu().numpy()
            for row, place in enumerate(places):
                found[place] = own[:, row, : len(rows[place]) - 1]
        return found

    def generate(
        self, rows: Sequence[list[int]], tokens: int, temperature: float, seed: int, ends: Callable[[str], bool]
    ) -> list[list[str]]:
        """How each member continues each row (engine.metrics.models.Models). Rows that fit the context with what
        follows take one position for each token, others all that they see."""
        found = [[""] * len(rows) for _ in range(self.members)]
        generator = torch.Generator().manual_seed(seed)
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        short = [place for place in order if len(rows[place]) + tokens <= self.context]
        for places in parts(short, cached.rows_at_once(self.stack, self.context)):
            own = [rows[place] for place in places]
            done = lambda new: ends(self.decode(new))  # noqa: E731
            new = cached.continued(self.stack, own, tokens, temperature, generator, done)
            self._place(found, places, new)
        for places in parts(order[len(short) :], A_BATCH):
            part = [[rows[place] for place in places]] * self.members
            all_done = lambda new: all(ends(self.decode(row)) for own in new for row in own)  # noqa: E731
            self._place(found, places, continued(self.next_logits, part, tokens, temperature, generator, all_done))
        return found

    def _place(self, found: list[list[str]], places: Sequence[int], new: list[Rows]) -> None:
        """Put the texts of new tokens [G][B] where they belong."""
        for texts, own in zip(found, new, strict=True):
            for place, ids in zip(places, own, strict=True):
                texts[place] = self.decode(ids)

    def next_logits(self, rows: list[Rows]) -> Tensor:
        """(G, B, V) of the token after each row [G][B], of which the last `context` tokens are seen."""
        seen = [[row[-self.context :] for row in own] for own in rows]
        longest = max(len(row) for row in seen[0])
        padded = torch.tensor([[row + [0] * (longest - len(row)) for row in own] for own in seen])
        last = torch.tensor([len(row) - 1 for row in seen[0]])  # of like length in every member
        hidden = self.stack.hidden(padded.to(self.stack.flat.device))
        hidden = hidden.view(self.members, len(last), longest, -1)[:, torch.arange(len(last)), last]  # (G, B, d)
        return torch.bmm(hidden, self.stack.head.mT)


def parts(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Places, so many at a time."""
    for start in range(0, len(places), size):
        yield places[start : start + size]


def batches(rows: Sequence[list[int]], size: Callable[[int], int]):
    """Rows of like length together, as (places, tokens (B, longest)): shorter ones are filled up behind, which nothing
    before sees. size: rows of a length that go together."""
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place]))
    while order:
        longest = len(rows[order[0]])
        places, order = order[: size(longest)], order[size(longest) :]
        tokens = torch.zeros(len(places), longest, dtype=torch.long)
        for row, place in enumerate(places):
            tokens[row, : len(rows[place])] = torch.tensor(rows[place])
        yield places, tokens
