"""What a method that finds a mixture is asked, and what it gives back. D domains."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from engine.corpus.shelf import Corpus
from engine.spec.fidelity import Fidelity
from engine.spec.rivals import Cost


@dataclass(frozen=True)
class Ask:
    """corpus, domains: the text; fidelity, seed, keep (1 or D): of every run that is trained for it; weights (D,): how
    much each domain's loss counts, of sum 1; prior (D,): the natural shares; experts: the weights of one model a
    domain, None where they are to be trained; tokens_file: where what experts give each token is kept; tell(done,
    note): progress from 0 to 1, which may raise Stopped."""

    corpus: Corpus
    domains: list[str]
    fidelity: Fidelity
    seed: int
    weights: np.ndarray
    prior: np.ndarray
    tokens_file: Path
    keep: float | list[float] = 1.0
    experts: list[dict[str, Tensor]] | None = None
    device: str = "cpu"
    tell: Callable[[float, str], None] = lambda done, note: None


@dataclass(frozen=True)
class Answer:
    """shares (D,): the mixture; cost: what it really took; path: on the way, [step, shares (D,)] each."""

    shares: np.ndarray
    cost: Cost
    path: list[tuple[int, np.ndarray]] = field(default_factory=list)
