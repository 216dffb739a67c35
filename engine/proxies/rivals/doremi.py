"""DoReMi: shares rise where a run still loses more than a reference does (Xie et al. 2023, arXiv:2305.10429).

Two runs: the reference, on the natural shares; and one that reads all domains alike, with its loss weighted by shares
a that move every step, a <- (1 - c) a exp(r e) / sum + c / D, where e is the excess loss of each domain's last text
over the reference, a token's where it is below 0 being 0. The mixture is the mean of all shares on the way. Weights are
normalised within a batch, and a domain that a batch lacks keeps its last excess, as in the authors' code. It asks
nobody how much a domain counts.
"""

import numpy as np
import torch
from torch import Tensor

from engine.core.errors import Problem
from engine.jobs.runs import TaskRun
from engine.proxies.model import Stack
from engine.proxies.rivals.ask import Answer, Ask
from engine.proxies.rivals.online import Online
from engine.proxies.train import Training
from engine.spec.rivals import Cost

RATE, SMOOTHING = 1.0, 1e-3  # r and c of the authors
KEPT = 32  # points of the path


class Excess(Online):
    """A run whose loss is weighted by shares that follow its excess over a reference."""

    def __init__(self, ask: Ask, reference: Stack):
        super().__init__(ask)
        self.reference, self.losses_of = reference, self.weighted
        self.weighed = self.shares.copy()  # (D,) the shares a; sequences stay even
        self.excess = np.zeros(len(ask.domains))  # (D,) nats per token

    def weighted(self, tokens: Tensor) -> Tensor:
        """(1,) the loss of a batch by the shares of its domains; moves the shares."""
        nats, counted = (one.view(tokens[..., 1:].shape)[0] for one in self.stack.target_losses(tokens))  # (B, T)
        with torch.no_grad():
            over = (nats - self.reference.token_nll(tokens)[0]).clamp(min=0) * counted
        self.read += over.numel()
        self.move(over.sum(1).cpu().numpy(), counted.sum(1).cpu().numpy())
        weight = torch.from_numpy(self.weighed[self.domain]).to(nats)[:, None] * counted
        return ((nats * weight).sum() / weight.sum().clamp(min=1e-12))[None]

    def move(self, over: np.ndarray, counted: np.ndarray) -> None:
        """Move the shares by the excess (B,) of a batch's sequences, of so many predicted tokens (B,)."""
        for domain in np.unique(self.domain):
            own = self.domain == domain
            self.excess[domain] = over[own].sum() / max(1.0, counted[own].sum())
        raised = self.weighed * np.exp(RATE * self.excess)
        self.weighed = (1 - SMOOTHING) * raised / raised.sum() + SMOOTHING / len(raised)


def mixture(ask: Ask) -> Answer:
    """The mean of the shares over the second run."""
    reference = trained(ask)
    run, total, path = Excess(ask, reference), np.zeros(len(ask.domains)), []
    while run.step < ask.fidelity.steps:
        run.go(1, "training against the reference", 0.5, 1.0)
        total += run.weighed
        if run.step % max(1, ask.fidelity.steps // KEPT) == 0:
            path.append((run.step, run.weighed.copy()))
    cost = Cost(2 * run.cost.trained, run.cost.read)
    return Answer(total / run.step, cost, path)


def trained(ask: Ask) -> Stack:
    """The reference. Raises Problem if it diverges."""
    run = TaskRun(id="reference", weights=ask.prior.tolist(), seed=ask.seed)
    training = Training(ask.fidelity, ask.corpus, ask.domains, [run], ask.device, ask.keep)
    while training.step < ask.fidelity.steps:
        training.advance()
        ask.tell(0.5 * training.step / ask.fidelity.steps, "training the reference")
    if not bool(training.alive.all()):
        raise Problem("Cannot find DoReMi's mixture: the reference diverged. Use a lower rate.")
    return training.stack
