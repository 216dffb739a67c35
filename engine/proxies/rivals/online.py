"""One proxy in training whose shares change on the way, and what it reads beside: for methods that mix online.

Its sequences are those that any run of its seed takes from each domain, in the same order (engine/proxies/sampling.py);
only which domain a slot falls to follows the shares of the moment. D domains, T + 1 tokens of a sequence.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.corpus.windows import starts
from engine.jobs.runs import TaskRun
from engine.proxies.evaluate import evaluate, validation_windows
from engine.proxies.sampling import domains_of_slots, kept_windows, window_order
from engine.proxies.train import Training
from engine.spec.rivals import Cost

if TYPE_CHECKING:
    from engine.proxies.rivals.ask import Ask


class Stream:
    """The training sequences of each domain, one after the other, as a seed takes them."""

    def __init__(self, ask: "Ask", seed: int):
        self.shards = [ask.corpus.train(domain) for domain in ask.domains]
        self.names, self.seed, self.context = ask.domains, seed, ask.fidelity.context
        parts = np.broadcast_to(np.asarray(ask.keep, float), len(self.names))
        counts = [max(0, (len(shard) - 1) // self.context) for shard in self.shards]
        self.kept = [kept_windows(*one) for one in zip(self.names, counts, parts.tolist(), strict=True)]
        if short := [name for name, kept in zip(self.names, self.kept, strict=True) if not len(kept)]:
            raise Problem(
                f"Cannot train on domain {short[0]!r}: it has no sequence of {self.context + 1} tokens. Leave it out, "
                "give it more text, or shorten the context."
            )
        self.orders = [np.zeros(0, np.int64) for _ in self.names]
        self.next = np.zeros(len(self.names), int)

    def take(self, domains: np.ndarray) -> np.ndarray:
        """The next sequences (n, T + 1) of the domains (n,), by their places."""
        out = np.empty((len(domains), self.context + 1), np.int64)
        for j in np.unique(domains):
            slots = np.flatnonzero(domains == j)
            first, self.next[j] = self.next[j], self.next[j] + len(slots)
            if len(self.orders[j]) < self.next[j]:
                self.orders[j] = window_order(self.names[j], self.seed, len(self.kept[j]), 2 * int(self.next[j]))
            windows = np.lib.stride_tricks.sliding_window_view(self.shards[j], self.context + 1)
            out[slots] = windows[self.kept[j][self.orders[j][first : self.next[j]]] * self.context]
        return out


class Online(Training):
    """A run whose `shares` (D,) may be set before any step; at first they are even."""

    def __init__(self, ask: "Ask"):
        even = np.full(len(ask.domains), 1 / len(ask.domains))
        run = TaskRun(id="online", weights=even.tolist(), seed=ask.seed)
        super().__init__(ask.fidelity, ask.corpus, ask.domains, [run], ask.device, ask.keep)
        self.ask, self.shares, self.read = ask, even, 0
        self.stream = Stream(ask, ask.seed)
        self.beside = Stream(ask, ask.seed + 1)  # what is read between steps, not what will be trained on next
        self.chooser = np.random.default_rng([ask.seed, 3])
        self.domain = np.zeros(ask.fidelity.batch, int)  # of each sequence of the last batch

    def batch(self, step: int) -> Tensor:
        """The tokens of a step, (1, B, T + 1), by the shares of this moment."""
        size = self.fidelity.batch
        self.domain = domains_of_slots(self.shares[None], self.ask.seed, [(step + 1) * size])[step * size :]
        return torch.from_numpy(self.stream.take(self.domain))[None].to(self.device)

    def go(self, steps: int, note: str, begin: float = 0.0, end: float = 1.0) -> None:
        """So many steps, no more than are left; begin, end: the part of the method's work that the whole run is.

        Raises Problem if the proxy diverges.
        """
        whole = self.fidelity.steps
        for _ in range(min(steps, whole - self.step)):
            self.advance()
            self.ask.tell(begin + (end - begin) * self.step / whole, note)
        if not bool(self.alive.all()):
            raise Problem(
                f"Cannot find a mixture: the proxy diverged at step {int(self.diverged_at[0])}. Use a lower rate."
            )

    @property
    def cost(self) -> Cost:
        """What it took so far."""
        return Cost(self.step * self.fidelity.batch * self.fidelity.context, self.read)

    def training_text(self, domain: int, count: int) -> Tensor:
        """Sequences (count, T + 1) of a domain's training text that are only read."""
        return torch.from_numpy(self.beside.take(np.full(count, domain))).to(self.device)

    def validation_text(self, domain: int, count: int) -> Tensor:
        """Random windows (count, T + 1) of a domain's validation text."""
        name = self.ask.domains[domain]
        every = validation_windows(self.ask.corpus.valid(name), self.fidelity.context, self.fidelity.eval_tokens, name)
        chosen = every[self.chooser.integers(len(every), size=count)]
        return torch.from_numpy(chosen.astype(np.int64)).to(self.device)

    def losses_now(self, tokens: int) -> np.ndarray:
        """(D,) bits per byte of each domain on about so many validation tokens."""
        ask, context = self.ask, self.fidelity.context
        found, _ = evaluate(self.stack, ask.corpus, ask.domains, tokens)
        self.read += sum(context * len(starts(len(ask.corpus.valid(name)), context, tokens)) for name in ask.domains)
        losses: np.ndarray = found[0]
        return losses
