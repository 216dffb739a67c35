"""Which training sequences every proxy of a stack sees when: common random numbers over mixtures. No torch.

Slot s of a training run is one sequence. Its domain is the inverse CDF of the mixture at u_s, where u_s is a
low-discrepancy sequence of the seed (Kronecker with the golden ratio), so realised shares lie within a few
slots of the weights. The k-th sequence taken from a domain is the same one for every mixture of that seed:
windows of the domain in a random order, a new order each epoch. So two proxies of one seed differ only by their
mixtures, and the text that they share comes in the same order. With phases the mixture changes at some slots, and
nothing else does: until then a run reads the same as one that stays with the first.
"""

import math
import zlib

import numpy as np

from engine.core.errors import Problem

GOLDEN = (math.sqrt(5) - 1) / 2


class Sampler:
    """The sequences of G training runs of `slots` sequences each, planned completely at the start.

    shards: D token arrays, memory-mapped; names: their D names; weights: (G, D) shares of each mixture, or (G, F, D) of
    each phase, which end before the slots `ends` (F,); seeds: (G,); context: positions T of a sequence; keep: (G, D),
    or what broadcasts to that: the fraction of every domain that each run may see (engine/spec/repetition.py); which
    windows are kept depends on the domain's name alone, and a smaller part lies within a larger one; together: how many
    sequences in a row are of one domain (a batch, where batches are unmixed). It has no state: batch t is the same
    whenever it is asked for, so a resumed run needs no position. Raises Problem for a sampled domain with less than
    T + 1 tokens.
    """

    def __init__(
        self,
        shards: list,
        names: list[str],
        weights: np.ndarray,
        seeds: list[int],
        context: int,
        slots: int,
        keep: np.ndarray | float = 1.0,
        ends: list[int] | None = None,
        together: int = 1,
    ):
        self.shards, self.context = shards, context
        keep = np.broadcast_to(np.asarray(keep, float), (len(weights), len(names)))
        phases, drawn = np.reshape(weights, (len(weights), -1, len(names))), ends or [slots]
        drawn = [math.ceil(end / together) for end in drawn]
        domains = [domains_of_slots(w, seed, drawn) for w, seed in zip(phases, seeds, strict=True)]
        self.domain = np.stack(domains).repeat(together, 1)[:, :slots]
        self.start = np.zeros(self.domain.shape, np.int64)  # (G, S) first token of each slot in its domain
        for j, name in enumerate(names):
            taken = self.domain == j  # (G, S)
            windows = max(0, (len(shards[j]) - 1) // context)
            if taken.any() and not windows:
                raise Problem(
                    f"Cannot train on domain {name!r}: it has {len(shards[j])} training "
                    f"tokens, and a sequence takes {context + 1}. Leave it out, give it more text, "
                    "or shorten the context."
                )
            for part in np.unique(keep[:, j]):
                runs = np.flatnonzero(keep[:, j] == part)
                kept, most = kept_windows(name, windows, part), int(taken[runs].sum(1).max())
                orders = {seed: window_order(name, seed, len(kept), most) for seed in {seeds[g] for g in runs}}
                for g in runs:
                    self.start[g, taken[g]] = kept[orders[seeds[g]][: taken[g].sum()]] * context

    def take(self, rows: list[int]) -> None:
        """Only these runs."""
        self.domain, self.start = self.domain[rows], self.start[rows]

    def shares(self) -> np.ndarray:
        """The realised shares (G, D): the fraction of each run's tokens from each domain."""
        return np.stack([(self.domain == j).mean(1) for j in range(len(self.shards))], axis=1)

    def tokens(self, first: int, last: int, runs: int | None = None) -> np.ndarray:
        """The sequences of slots [first, last) of the first `runs` runs, of all by default: (runs, last - first, T + 1)
        int64."""
        domain, start = self.domain[:runs, first:last], self.start[:runs, first:last]
        out = np.empty((*domain.shape, self.context + 1), np.int64)
        for j, shard in enumerate(self.shards):
            slots = np.nonzero(domain == j)
            if len(slots[0]):
                windows = np.lib.stride_tricks.sliding_window_view(shard, self.context + 1)  # (tokens - T, T + 1)
                out[slots] = windows[start[slots]]
        return out


def domains_of_slots(weights: np.ndarray, seed: int, ends: list[int]) -> np.ndarray:
    """The domain (S,) of every slot of one run: inverse CDF of the weights (F, D) of its phase at uniform numbers.

    A domain of weight 0 gets no slot: its step of the CDF, [c, c), is empty.
    """
    uniform = (np.random.default_rng([seed, 0]).random() + GOLDEN * np.arange(ends[-1])) % 1.0  # (S,) in [0, 1)
    parts = []
    for phase, first, last in zip(weights, [0, *ends], ends, strict=False):
        cdf = np.cumsum(phase)
        parts.append(np.searchsorted(cdf[:-1] / cdf[-1], uniform[first:last], side="right"))
    return np.concatenate(parts).astype(np.int16)


def kept_windows(name: str, windows: int, keep: float) -> np.ndarray:
    """The windows of a domain that may be seen: all, or a fixed random part of them, at least one."""
    if keep >= 1 or windows == 0:
        return np.arange(windows)
    order = np.random.default_rng([2, zlib.crc32(name.encode())]).permutation(windows)
    return order[: max(1, round(keep * windows))]


def window_order(name: str, seed: int, windows: int, count: int) -> np.ndarray:
    """The first `count` windows that a seed takes from a domain: a permutation of 0..windows-1 per epoch.

    The order depends on the domain's name, not on its position, so it is the same for other sets of domains.
    """
    epochs = math.ceil(count / windows) if count else 0
    seeds = [[seed, 1, zlib.crc32(name.encode()), epoch] for epoch in range(epochs)]
    return np.concatenate([np.zeros(0, np.int64), *(np.random.default_rng(s).permutation(windows) for s in seeds)])[
        :count
    ]
