"""The frame of metrics: what predictions of validation text become.

A metric scores every token that was predicted; the sums over windows become one value per domain, with its standard
error. Proxies, merges of them and external models are measured by the same metrics, so studies compare. Files here
import torch inside functions only: planning reads their names and units. G models, W windows of T targets, V tokens in
the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


class Prediction:
    """What models predict of some windows. targets (..., T): the tokens that follow; counted (..., T): whether they are
    predicted, as tokens from V on are not, those of what is said to a model (engine/corpus/shards.py).

    logits() gives (..., T, V), nll() the targets' losses in nats (..., T); where a model has no faster way to these,
    they come from the logits. Both are asked for only if a metric needs them.
    """

    def __init__(
        self,
        targets: Tensor,
        logits: Callable[[], Tensor],
        nll: Callable[[], Tensor] | None = None,
        vocabulary: int | None = None,
    ) -> None:
        self.counted = targets >= 0 if vocabulary is None else targets < vocabulary
        self.targets = targets if vocabulary is None else targets % vocabulary
        self._logits, self._nll = logits, nll

    @cached_property
    def logits(self) -> Tensor:
        return self._logits().float()

    @cached_property
    def nll(self) -> Tensor:
        if self._nll is not None:
            return self._nll()
        from torch.nn.functional import cross_entropy

        losses = cross_entropy(self.logits.flatten(0, -2), self.targets.flatten(), reduction="none")
        return losses.view(self.targets.shape)


@dataclass(frozen=True)
class Text:
    """The windows that were predicted: how many targets count in each, and the bytes these stand for, (W,) each."""

    tokens: np.ndarray
    bytes: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[Text]) -> Text:
        return cls(np.concatenate([one.tokens for one in parts]), np.concatenate([one.bytes for one in parts]))


@dataclass(frozen=True)
class Metric:
    """name: in study files; label: of a domain's value, with `{domain}`; score: of every target, (..., T);
    value: of the scores' sums over windows (G, W) -> (G,), and standard errors (G,)."""

    name: str
    label: str
    unit: str
    higher_is_better: bool
    score: Callable[[Prediction], Tensor]
    value: Callable[[np.ndarray, Text], tuple[np.ndarray, np.ndarray]]

    @property
    def title(self) -> str:
        """The name as pages show it."""
        return self.name.replace("_", " ").capitalize()


def ratio(sums: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ratio of means over windows and its standard error (delta method): sums (G, W), sizes (W,) -> (G,) each."""
    total, windows = sizes.sum(), len(sizes)
    values = sums.sum(1) / total
    residuals = sums - values[:, None] * sizes  # (G, W), sum to 0 over windows
    return values, np.sqrt(windows / (windows - 1) * (residuals**2).sum(1)) / total


def window_scores(metrics: Sequence[Metric], prediction: Prediction) -> np.ndarray:
    """The scores' sums over each window, (metrics, ...) in float64."""
    import torch

    with torch.no_grad():
        counted = prediction.counted
        return np.stack([(metric.score(prediction).double() * counted).sum(-1).cpu().numpy() for metric in metrics])


def values_of(metrics: Sequence[Metric], sums: Sequence[np.ndarray], texts: Sequence[Text]) -> tuple[np.ndarray, ...]:
    """What models measure, from the sums (metrics, G, W) and the text of each domain.

    Values and standard errors (G, M), in the order of engine.metrics.names_of.
    """
    columns = [
        metric.value(of_domain[place], text)
        for place, metric in enumerate(metrics)
        for of_domain, text in zip(sums, texts, strict=True)
    ]
    values, errors = zip(*columns, strict=True)
    return np.stack(values, 1), np.stack(errors, 1)
