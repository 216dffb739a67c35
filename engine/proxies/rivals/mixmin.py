"""MixMin: one expert per domain, and the shares at which their average predicts validation text best.

Zero further runs where a merge study has made the experts, one short run a domain otherwise (Thudi et al. 2025,
arXiv:2502.10510; Belenki et al. 2025, arXiv:2502.15950). What each expert gives every validation token is kept
(engine/corpus/expert_tokens.py), so any other mixture is scored while a fader moves.
"""

import numpy as np
import torch

from engine.corpus import expert_tokens
from engine.corpus.expert_tokens import LEAST, ExpertTokens
from engine.jobs.runs import TaskRun
from engine.proxies.evaluate import rows_at_once, validation_windows
from engine.proxies.model import Stack, stack
from engine.proxies.rivals.ask import Answer, Ask
from engine.proxies.train import Training
from engine.space.expert_mixture import lowest
from engine.spec.fidelity import group_size
from engine.spec.rivals import Cost


def mixture(ask: Ask) -> Answer:
    """The shares at which the experts' average has the lowest weighted loss; keeps the tokens' probabilities."""
    experts = ask.experts or trained(ask)
    model = stack(ask.fidelity, ask.corpus.vocabulary, experts, ask.device)
    found = [probabilities(ask, model, place) for place in range(len(ask.domains))]
    tokens = ExpertTokens(list(ask.domains), [one for one, _ in found], np.array([size for _, size in found]))
    expert_tokens.save(ask.tokens_file, tokens)
    answer = lowest(*tokens.joined(ask.weights))
    read = len(ask.domains) * sum(len(one) for one, _ in found)
    return Answer(answer.shares, Cost(0 if ask.experts else len(ask.domains) * ask.fidelity.trained_tokens, read))


def trained(ask: Ask) -> list[dict]:
    """One model a domain, trained on that alone, in stacks as large as pay."""
    members = [
        TaskRun(id=f"expert-{place}", weights=row.tolist(), seed=ask.seed)
        for place, row in enumerate(np.eye(len(ask.domains)))
    ]
    size, made = group_size(ask.fidelity.width), []
    for first in range(0, len(members), size):
        group = members[first : first + size]
        training = Training(ask.fidelity, ask.corpus, ask.domains, group, ask.device, ask.keep)
        while training.step < ask.fidelity.steps:
            training.advance()
            done = (first + len(group) * training.step / ask.fidelity.steps) / len(members)
            ask.tell(0.9 * done, f"training {len(members)} experts")
        made += [training.stack.member(place) for place in range(len(group))]
    return made


@torch.no_grad()
def probabilities(ask: Ask, model: Stack, domain: int) -> tuple[np.ndarray, int]:
    """(N, K) of a domain's predicted validation tokens by every expert, and the bytes that they stand for."""
    name, context = ask.domains[domain], ask.fidelity.context
    ask.tell(0.9 + 0.1 * domain / len(ask.domains), f"reading {name}")
    windows = validation_windows(ask.corpus.valid(name), context, ask.fidelity.eval_tokens, name)  # (W, T + 1)
    parts = torch.from_numpy(windows.astype(np.int64)).to(ask.device).split(rows_at_once(model, context))
    nats = torch.cat([model.token_nll(part.expand(model.members, -1, -1)) for part in parts], 1)  # (K, W, T)
    targets = windows[:, 1:]
    counted = targets.ravel() < ask.corpus.vocabulary
    found = nats.flatten(1).neg().exp().clamp(min=LEAST).T.cpu().numpy()[counted]
    return found.astype(np.float32), int(ask.corpus.token_bytes[targets].sum())
