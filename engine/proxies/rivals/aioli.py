"""Aioli: a law of how each domain lowers each loss, estimated again and again in one run (Chen et al. 2024,
arXiv:2411.05735).

L_i(t + 1) = L_i(t) - sum_j A_ij p_j: at the beginning of each round short pieces are trained on mixtures that are
mostly one domain, in a random order and twice, and validation losses looked at after each, from which A is solved. It
is shifted so that no entry is below 0 and divided by its sum, and p_j <- p_j exp(rate sum_i A_ij), the sum being
weighted here by how much each domain's loss counts. The rest of the round is trained on p. The mixture is the mean of
p over the rounds. The pieces' share of .75 and the rate are those of the authors' runs.
"""

import numpy as np

from engine.proxies.rivals.ask import Answer, Ask
from engine.proxies.rivals.online import Online
from engine.spec.rivals import LOOKED, SWEEPS, rounds_of

MOSTLY = 0.75  # share of the one domain in a piece of a sweep
RATE = 1.0
NOTE = "training while the shares move"


def pieces(domains: int) -> np.ndarray:
    """(D, D) the mixtures that a sweep trains on, one a row."""
    found = np.full((domains, domains), (1 - MOSTLY) / (domains - 1))
    np.fill_diagonal(found, MOSTLY)
    return found


def learned(run: Online, steps: int) -> np.ndarray:
    """(D, D) A: how far a step's worth of domain j lowers loss i, from sweeps whose pieces take so many steps."""
    mixtures = pieces(len(run.ask.domains))
    before, fell = run.losses_now(LOOKED), np.zeros(mixtures.shape)
    for place in np.concatenate([run.chooser.permutation(len(mixtures)) for _ in range(SWEEPS)]):
        run.shares = mixtures[place]
        run.go(steps, NOTE)
        now = run.losses_now(LOOKED)
        fell[:, place] += (before - now) / SWEEPS
        before = now
    solved: np.ndarray = np.linalg.solve(mixtures, fell.T).T
    return solved


def moved(shares: np.ndarray, law: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(D,) the next shares by a law A (D, D) and how much each loss counts (D,)."""
    law = law - min(0.0, float(law.min()))
    counted = weights @ law * len(weights) / max(float(law.sum()), 1e-12)  # as the plain sum, where all count alike
    raised = shares * np.exp(RATE * counted)
    found: np.ndarray = raised / raised.sum()
    return found


def mixture(ask: Ask) -> Answer:
    """The mean of the shares over the rounds of one run."""
    rounds, steps = rounds_of(ask.fidelity, len(ask.domains))
    run, path = Online(ask), []
    shares = run.shares
    for number in range(1, rounds + 1):
        shares = moved(shares, learned(run, steps), ask.weights)
        run.shares = shares
        run.go(ask.fidelity.steps * number // rounds - run.step, NOTE)
        path.append((run.step, shares))
    return Answer(np.mean([one for _, one in path], axis=0), run.cost, path)
