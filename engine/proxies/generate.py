"""Text generation: how models continue rows of tokens, one token after another, each drawn from its prediction.

G models, B rows of each, V tokens in the vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Rows = list[list[int]]  # [B] of tokens


@torch.no_grad()
def continued(
    logits: Callable[[list[Rows]], Tensor],
    rows: list[Rows],
    count: int,
    temperature: float,
    generator: torch.Generator,
    done: Callable[[list[Rows]], bool] = lambda new: False,
) -> list[Rows]:
    """[G][B] the tokens that follow rows [G][B]: `count` of them, or fewer once `done` says so of what is new.

    logits: of what follows each row, (G, B, V). temperature 0: always the most likely token.
    """
    whole = [[list(row) for row in own] for own in rows]
    new: list[Rows] = [[[] for _ in own] for own in rows]
    for _ in range(count):
        chosen = drawn(logits(whole), temperature, generator).tolist()
        for g, own in enumerate(chosen):
            for b, token in enumerate(own):
                whole[g][b].append(token)
                new[g][b].append(token)
        if done(new):
            break
    return new


def drawn(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """(...,) tokens by their logits (..., V): the most likely, or drawn at a temperature. Where logits are no numbers,
    as those of a model that diverged, any token: the others beside it are drawn as they would be without it."""
    if temperature == 0:
        return logits.argmax(-1).cpu()
    chances = (logits.double().cpu() / temperature).softmax(-1)
    chances = torch.where(chances.isfinite().all(-1, keepdim=True), chances, torch.ones(()))
    return torch.multinomial(chances.flatten(0, -2), 1, generator=generator).view(logits.shape[:-1])
