"""Text generation by a stack that keeps the keys and values of what its rows hold already: each new token is one step
of one position, whatever stands before it. For rows that fit the context with all that follows; no gradients.

G members, B rows, T positions, V tokens in the vocabulary; h channels of an attention head.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.proxies.generate import drawn
from engine.proxies.model import PLAIN, Stack, turned

MEMORY = 1 << 28  # bytes of keys and values that are kept at once


def rows_at_once(stack: Stack, positions: int) -> int:
    """How many rows of so many positions are continued together."""
    kind = stack.fidelity
    a_row = 2 * kind.layers * stack.members * positions * kind.width * stack.flat.element_size()
    return max(1, min(64, MEMORY // a_row))


class Kept:
    """The keys and values of B rows up to the position `at`, in each layer (2, G, B, heads, T, h)."""

    def __init__(self, stack: Stack, rows: int, positions: int) -> None:
        kind, self.stack, self.at = stack.fidelity, stack, 0
        shape = (2, stack.members, rows, kind.heads, positions, kind.width // kind.heads)
        self.layers = [stack.flat.new_zeros(shape) for _ in range(kind.layers)]

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """(G, B, V) of what follows the tokens (G, B) at the next position."""
        kind, w = self.stack.fidelity, self.stack.weights
        x = PLAIN.normed(PLAIN.embed(w["embedding"], tokens))  # (G, B, d)
        for place, kept in enumerate(self.layers):
            name = f"layers.{place}."
            x = self._attended(x, kept, w[name + "attention.qkv"], w[name + "attention.output"])
            x = PLAIN.mlp(x, w[name + "mlp.up"], w[name + "mlp.down"], kind.activation == "swiglu")
        self.at += 1
        return torch.bmm(PLAIN.normed(x), self.stack.head.mT)

    def _attended(self, x: Tensor, kept: Tensor, qkv: Tensor, output: Tensor) -> Tensor:
        members, rows, _ = x.shape
        packed = torch.bmm(PLAIN.normed(x), qkv.mT).view(members, rows, 3, self.stack.fidelity.heads, -1)
        q, k, v = packed.unbind(2)  # (G, B, heads, h) each
        turns = self.stack.rotary[self.at]
        kept[0, ..., self.at, :], kept[1, ..., self.at, :] = turned(k, turns), v
        keys, values = kept[..., : self.at + 1, :]
        mixed = F.scaled_dot_product_attention(turned(q, turns)[..., None, :], keys, values)
        return x + torch.bmm(mixed.reshape(members, rows, -1), output.mT)


def continued(
    stack: Stack,
    rows: Sequence[list[int]],
    count: int,
    temperature: float,
    generator: torch.Generator,
    ends: Callable[[list[int]], bool],
) -> list[list[list[int]]]:
    """[G][B] the tokens by which each member continues each row (engine.proxies.generate): `count` of them, or fewer
    once all rows of all members have ended. ends: of the new tokens of one row. Rows are of any length of at least one
    token, and fit the context with what follows."""
    lengths = torch.tensor([len(row) for row in rows])
    total = int(lengths.max()) + count
    whole = torch.zeros(stack.members, len(rows), total, dtype=torch.long)
    for place, row in enumerate(rows):
        whole[:, place, : len(row)] = torch.tensor(row)
    kept, ended = Kept(stack, len(rows), total), torch.zeros(stack.members, len(rows), dtype=torch.bool)
    at = 0
    for at in range(total - 1):
        logits = kept.logits(whole[..., at].to(stack.flat.device))
        new = (lengths <= at + 1) & (at + 1 < lengths + count)
        if not new.any():
            continue
        whole[:, new, at + 1] = drawn(logits[:, new.to(logits.device)], temperature, generator)
        ended |= lengths + count <= at + 2
        for g, place in (~ended & new).nonzero().tolist():
            ended[g, place] = ends(whole[g, place, lengths[place] : at + 2].tolist())
        if ended.all():
            break
    return [
        [own[place, length : min(length + count, at + 2)].tolist() for place, length in enumerate(lengths.tolist())]
        for own in whole
    ]
