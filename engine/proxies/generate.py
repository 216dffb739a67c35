"""Text generation: how a proxy continues a prompt, tokens drawn one after another, each from its prediction."""

import numpy as np
import torch

from engine.proxies.model import Stack


@torch.no_grad()
def continued(stack: Stack, prompt: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` tokens after a prompt (T,), by the first member of the stack, which sees the last `context` of them."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.from_numpy(np.asarray(prompt, np.int64))
    for _ in range(count):
        seen = tokens[-stack.fidelity.context :].to(stack.flat.device)
        logits = stack.forward(seen.expand(stack.members, 1, -1))[0, 0, -1].double().cpu()  # (V,)
        drawn = torch.multinomial(logits.softmax(0), 1, generator=generator)
        tokens = torch.cat([tokens, drawn])
    return tokens[len(prompt) :].numpy()
