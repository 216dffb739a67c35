"""The interface of learners: a base and its experts as tensors by name, a model that runs with any weights, text.

A learner is a function `(family: Family, run: Run, **knobs) -> Learned`. It works for both families: proxies
(proxies.py) and causal language models of transformers (llms.py). K experts; d_i = expert - base; B windows of T
tokens; V tokens in the vocabulary. All weights in fp32; a family holds K + 1 copies of the model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.merging.measuring.answering import LogitModels
from engine.merging.measuring.flips import Losses, Reference
from engine.metrics import (
    LOSS,
    Asked,
    Metric,
    Prediction,
    Text,
    names_of,
    task_values,
    values_of,
    window_scores,
)
from engine.spec.merge import MergeSpec, block_of

Weights = dict[str, Tensor]
Predict = Callable[[Tensor], Tensor]  # tokens (B, T) -> logits of the next one (B, T, V)


NO_EVALUATORS = "Evaluators do not measure what is learned: measure its coefficients as a merge."


def quiet(done: float, total: float, note: str = "") -> None:
    """Ignores progress."""


@dataclass
class Run:
    """One attempt at learning. progress(done, total, note) raises Stopped; folder: for state between attempts, if any;
    seed: of all random draws; weight (K,): coefficients for learners that take them."""

    progress: Callable[[float, float, str], None] = quiet
    folder: Path | None = None
    seed: int = 0
    weight: tuple[float, ...] = ()

    def generator(self, step: int, device: str = "cpu") -> torch.Generator:
        """The generator of a step: the same after a resume."""
        return torch.Generator(device).manual_seed(1_000_003 * (self.seed + 1) + step)


@dataclass
class Learned:
    """A learner's result: coefficients of plain task arithmetic, weights, or a predictor without weights.

    coefficients: (K,) by "" for all tensors, or by block or tensor; predict: if weights depend on the input; tensors:
    content of its file, if that is not a checkpoint; note: for the user.
    """

    coefficients: dict[str, Tensor] | None = None
    weights: Weights | None = None
    predict: Predict | None = None
    tensors: Weights | None = None
    note: str = ""


class Family(ABC):
    """A base and K experts of one architecture, and the text of M domains.

    experts [K], domains: names; base: name -> tensor; deltas: name -> (K, *shape); vocabulary: V, tokens from there on
    are read and never predicted (engine/corpus/shards.py); device: of them all; merge: how the study merges; metrics,
    tasks: to measure; workspace: where the tasks' verifiers lie; reference: what the base did, where it is counted what
    merges do worse; missing: which metrics of what was measured last have no value, and why.
    """

    experts: list[str]
    domains: list[str]
    base: Weights
    deltas: Weights
    vocabulary: int
    device: str
    merge: MergeSpec
    metrics: tuple[Metric, ...] = (LOSS,)
    tasks: Sequence[Asked] = ()
    workspace: Path
    reference: Reference | None = None
    missing: dict[str, str]

    @abstractmethod
    def logits(self, weights: Weights, tokens: Tensor) -> Tensor:
        """Logits of the next token, (B, T, V), differentiable in the weights. tokens (B, T), from V on too."""

    @abstractmethod
    def hidden(self, weights: Weights, tokens: Tensor) -> Tensor:
        """The last hidden states (B, T, d). tokens (B, T)."""

    @abstractmethod
    def batch(self, domain: str, rows: int, draw: int) -> Tensor:
        """Windows of training text (rows, T + 1); `draw` numbers the random draw."""

    @abstractmethod
    def write(self, weights: Weights, out: Path, card: str) -> None:
        """Write weights as a checkpoint of the family's kind; card: text of its model card."""

    @abstractmethod
    def validation(self, domain: str) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Windows (B, T + 1) of validation text, and the bytes of their tokens that are predicted (B,)."""

    @abstractmethod
    def speaking(self, predict: Predict) -> LogitModels:
        """A model of the family's tokens, by its logits."""

    @property
    def reader(self) -> LogitModels:
        """How its models read a text."""
        return self.speaking(lambda tokens: self.logits(self.base, tokens))

    @property
    def measures(self) -> list[str]:
        """The names of what `measure` tells, in its order."""
        worse = self.reference.names if self.reference else []
        return [*names_of(self.metrics, self.domains, self.tasks), *worse, *self.merge.evaluated]

    def expert(self, k: int) -> Weights:
        """The weights of one expert."""
        return {name: value + self.deltas[name][k] for name, value in self.base.items()}

    def domains_of(self, k: int) -> list[str]:
        """An expert's own domains: the one of its name, else all."""
        return [self.experts[k]] if self.experts[k] in self.domains else self.domains

    def nll(self, weights: Weights, tokens: Tensor) -> Tensor:
        """Mean loss of the next token in nats, of those that are predicted. tokens (B, T + 1)."""
        nats, counted = self.token_nll(weights, tokens)
        return nats.sum() / counted.sum().clamp(min=1)

    def token_nll(self, weights: Weights, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of every target in nats, 0 of what is never predicted, and what is: (B, T) each. tokens (B, T +
        1)."""
        logits, targets = self.logits(weights, tokens[:, :-1]).float(), tokens[:, 1:]
        counted = targets < self.vocabulary
        nats = F.cross_entropy(logits.flatten(0, 1), (targets % self.vocabulary).flatten(), reduction="none")
        return nats.view(targets.shape) * counted, counted

    def entropy(self, weights: Weights, tokens: Tensor) -> Tensor:
        """Mean entropy of the next token's distribution in nats. tokens (B, T + 1); the last is ignored."""
        logs = self.logits(weights, tokens[:, :-1]).float().log_softmax(-1)
        return -(logs.exp() * logs).sum(-1).mean()

    def mixed_batch(self, rows: int, draw: int) -> Tensor:
        """Windows of training text from all domains in turn, (rows, T + 1)."""
        size, count = len(self.domains), [0] * len(self.domains)
        for place in range(rows):
            count[(place + draw * rows) % size] += 1
        return torch.cat([self.batch(d, n, draw) for d, n in zip(self.domains, count, strict=True) if n])

    def combined(self, coefficients: dict[str, Tensor], deltas: Weights | None = None) -> Weights:
        """base + sum of coefficient x task vector, differentiable: (K,) by "", by block, or by tensor."""
        return {
            name: value + torch.tensordot(coefficient_of(coefficients, name), (deltas or self.deltas)[name], 1)
            for name, value in self.base.items()
        }

    @torch.no_grad()
    def measure(self, predict: Predict, progress=quiet) -> tuple[np.ndarray, np.ndarray]:
        """Metrics on every domain, and standard errors over validation windows: (M,) each, in the order of
        engine.metrics.names_of, then what is worse than under the base; NaN for what evaluators would tell."""
        sums, texts, single = [], [], Losses()
        for place, domain in enumerate(self.domains):
            own, parts = [], []
            for tokens, size in self.validation(domain):
                progress(place, len(self.domains), f"measuring {domain}")
                ids = tokens % self.vocabulary
                prediction = Prediction(tokens[:, 1:], lambda seen=ids: predict(seen[:, :-1]), None, self.vocabulary)
                own.append(window_scores(self.metrics, prediction)[:, None])  # (metrics, 1, W)
                single.take(domain, prediction)
                counted = prediction.counted.sum(1).cpu().numpy()
                parts.append(Text(counted, size.astype(float)))
            sums.append(np.concatenate(own, -1))
            texts.append(Text.joined(parts))
        values, errors = values_of(self.metrics, sums, texts)
        answered = task_values(self.speaking(predict), self.tasks, self.workspace)
        found, error = np.hstack([values, answered.values])[0], np.hstack([errors, answered.errors])[0]
        self.missing = answered.missing(self.tasks) | dict.fromkeys(self.merge.evaluated, NO_EVALUATORS)
        if self.reference is not None:
            worse, of_worse = self.reference.flips(single, answered.outcomes)
            found, error = np.hstack([found, worse[0]]), np.hstack([error, of_worse[0]])
            self.missing |= self.reference.missing(answered.unscored)
        untold = np.full(len(self.merge.evaluated), np.nan)
        return np.hstack([found, untold]), np.hstack([error, untold])


def coefficient_of(coefficients: dict[str, Tensor], name: str) -> Tensor:
    """(K,) the coefficients of a tensor."""
    for key in (name, "", block_of(name)):
        if key in coefficients:
            return coefficients[key]
    raise KeyError(name)


def keys_of(family: Family, by: str) -> list[str]:
    """The groups that have one coefficient per expert: all tensors together (""), each block, or each tensor."""
    if by == "expert":
        return [""]
    return list(dict.fromkeys(block_of(name) for name in family.base)) if by == "block" else list(family.base)
