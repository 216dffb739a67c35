"""What the tests of learned merges share: a model whose answers are known, quick knobs, a task of tiny Llamas."""

import numpy as np
import torch

from engine.merging.learning.base import Family, Run
from engine.merging.learning.job import function_of
from engine.merging.measuring.answering import LogitModels
from engine.spec.merge import MergeSpec
from engine.spec.merge_learners import LEARNERS, checked_settings
from engine.spec.tasks import Merging

FAST = {"steps": 12, "windows": 4, "batch": 6, "rate": 0.02}  # knobs that make all of them quick


class Bigrams(Family):
    """A real small model whose answers are known: the logits after token t are row t of one table (V, V)."""

    def __init__(self, size: int = 5, count: int = 2, domains: int = 2, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.experts, self.device = [f"d{n}" for n in range(count)], "cpu"
        self.domains = [f"d{n}" for n in range(domains)]
        self.base = {"table": torch.randn(size, size, generator=generator)}
        self.deltas = {"table": torch.randn(count, size, size, generator=generator)}
        self.size, self.vocabulary, self.workspace, self.merge = size, size, None, MergeSpec()

    def logits(self, weights, tokens):
        return weights["table"][tokens % self.size]

    def hidden(self, weights, tokens):
        return weights["table"][tokens % self.size]

    def speaking(self, predict):
        return LogitModels(predict, list, str, [], 8, self.device)

    def batch(self, domain, rows, draw):
        rng = np.random.default_rng([self.domains.index(domain), draw])
        return torch.from_numpy(rng.integers(self.size, size=(rows, 9)))

    def validation(self, domain):
        yield self.batch(domain, 8, 10**6), np.full(8, 8)

    def write(self, weights, out, card):
        raise NotImplementedError


def llama_task() -> Merging:
    """The task of a merge of the tiny Llamas in tests/support/language_models.py."""
    names = ["python", "prose"]
    spec = MergeSpec(base="base", experts={name: name for name in names}, eval_bytes=4096)
    return Merging(
        study="s",
        merge=spec.to_dict(),
        names=names,
        base="checkpoints/base",
        experts={name: f"checkpoints/{name}" for name in names},
        corpus="small",
        domains=names,
        fidelity=None,
    )


def learned(name: str, family: Family, run: Run | None = None, **more):
    """What a method learns, with knobs that make it quick."""
    learner = LEARNERS[name]
    fast = {key: value for key, value in FAST.items() if key in learner.knobs} | more
    knobs = checked_settings(name, fast)
    seed = knobs.pop("seed")
    share = learner.usual_weight(len(family.experts))
    run = run or Run(seed=seed, weight=(share,) * len(family.experts))
    return function_of(learner)(family, run, **learner.fixed, **knobs)


def weights_of(family, found):
    """The merged weights, or the merge at the coefficients that were learned."""
    return found.weights if found.weights is not None else family.combined(found.coefficients)
