"""Small neural networks, one per metric, all trained together by hand-written passes in numpy.

One hidden layer of tanh units on shares and log shares; Adam (arXiv:1412.6980) on minibatches with a falling rate and
a little weight decay. Every metric has its own weights and its own minibatches, so metrics stay apart. No torch: at
this size its overhead dominates, and the page must predict without it. The subclass defines the outputs and their
loss: a histogram, a distribution, a score. A first fit on three quarters
of the runs measures the noise on the last quarter: a network's own residuals are far too small.
R runs, N points, D domains, M metrics, B minibatch, P = 2 D features, H hidden units, O outputs.
"""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from engine.surrogates.base import Surrogate, centre_and_spread
from engine.surrogates.ridge import scaled

HIDDEN, STEPS, BATCH = 32, 700, 96
RATE, DECAY = 1.5e-2, 0.1
BETAS, TINY = (0.9, 0.98), 1e-8
BLOCK = 8192  # points at once


@dataclass(kw_only=True)
class Network(Surrogate):
    """weights (R, D) of the runs, for the features' scale; centre, spread (M,) of their losses; first (M, P + 1, H),
    second (M, H + 1, O): the layers, biases last.
    """

    slow = True
    outputs: ClassVar[int] = 1

    weights: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    @abstractmethod
    def gradient(cls, outputs: np.ndarray, targets: np.ndarray, progress: float) -> np.ndarray:
        """(M, B, O) of the loss by the outputs (M, B, O); targets (M, B) are losses standardised."""

    @abstractmethod
    def reading(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the mean function (M, N), standardised, from outputs (M, N, O)."""

    @classmethod
    def _learn(cls, weights, losses, seed):
        centre, spread = centre_and_spread(losses)
        features, targets = scaled(weights, weights).astype(np.float32), (losses - centre) / spread
        fixed = {"weights": weights, "centre": centre, "spread": spread}

        def trained(targets: np.ndarray, noise: np.ndarray) -> Self:
            first, second = cls._train(features, targets, seed)
            return cls(noise=noise, first=first, second=second, **fixed)

        held = held_out(losses)
        trial = trained(np.where(held, np.nan, targets), spread**2)
        missed = np.where(held, losses - trial.mean(weights), np.nan)
        noise = np.maximum(np.nanmean(missed**2, axis=0), (1e-6 * spread) ** 2)
        return trained(targets, noise)

    @classmethod
    def _train(cls, features: np.ndarray, targets: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The layers, for features (R, P) and targets (R, M)."""
        metrics, rng = targets.shape[1], np.random.default_rng(seed)
        rows = [np.flatnonzero(~np.isnan(column)) for column in targets.T]
        inputs = features.shape[1]
        shared = rng.normal(size=(inputs + 1, HIDDEN)) / np.sqrt(inputs)
        layers = [np.tile(shared, (metrics, 1, 1)), np.zeros((metrics, HIDDEN + 1, cls.outputs))]
        layers = [layer.astype(np.float32) for layer in layers]
        filled, moments = np.nan_to_num(targets).T.astype(np.float32), [(0.0, 0.0)] * 2
        for step in range(1, STEPS + 1):
            drawn = rng.random(min(BATCH, len(features)))  # the same for all metrics, so that none depends on another
            batch = np.stack([own[(drawn * len(own)).astype(int)] for own in rows])
            hidden, outputs = forward(features[batch], layers)
            progress = step / STEPS
            wanted = cls.gradient(outputs, np.take_along_axis(filled, batch, axis=1), progress)
            slopes = backward(features[batch], hidden, layers, wanted.astype(np.float32) / batch.shape[1])
            rate = RATE * min(1.0, 20 * progress) * (1 - progress) + 1e-5
            for place, slope in enumerate(slopes):
                moments[place] = adam(layers[place], slope, moments[place], step, rate)
        return tuple(layers)

    @cached_property
    def _layers(self) -> list[np.ndarray]:
        return [self.first, self.second]

    def _forward(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (M, N, O) and hidden units (M, N, H + 1) at weights (N, D)."""
        features = scaled(np.asarray(weights, float), self.weights).astype(self.first.dtype)
        hidden, outputs = forward(np.broadcast_to(features, (len(self.first), *features.shape)), self._layers)
        return outputs.astype(float), hidden.astype(float)

    def mean(self, weights):
        weights = np.asarray(weights, float)
        blocks = [weights[start : start + BLOCK] for start in range(0, max(1, len(weights)), BLOCK)]
        means = [self.reading(self._forward(block)[0])[0].T for block in blocks]
        return self.centre + self.spread * np.concatenate(means)

    def moments(self, weights):
        mean, variance = self.reading(self._forward(weights)[0])
        return self.centre + self.spread * mean.T, variance.T * self.spread**2

    def covariance(self, weights):
        """Errors of two points correlate by the cosine of their hidden units."""
        outputs, hidden = self._forward(weights)
        variance = self.reading(outputs)[1] * self.spread[:, None] ** 2
        unit = hidden / np.linalg.norm(hidden, axis=2, keepdims=True) * np.sqrt(variance)[:, :, None]
        return unit @ np.swapaxes(unit, 1, 2)


def held_out(losses: np.ndarray) -> np.ndarray:
    """(R, M) bool: every fourth of the runs that have a metric, at least one: a first fit without them measures the
    noise.
    """
    order = np.cumsum(~np.isnan(losses), axis=0)
    return ~np.isnan(losses) & (order % np.minimum(4, order[-1]) == 0)


def forward(features: np.ndarray, layers: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Hidden units (M, B, H + 1), the last one constant, and outputs (M, B, O); features (M, B, P)."""
    hidden = np.tanh(features @ layers[0][:, :-1] + layers[0][:, -1:])
    outputs = hidden @ layers[1][:, :-1] + layers[1][:, -1:]
    return np.concatenate([hidden, np.ones_like(hidden[:, :, :1])], axis=2), outputs


def backward(features, hidden, layers, wanted) -> list[np.ndarray]:
    """Gradients of both layers; wanted (M, B, O): of the loss by the outputs."""
    inward = (wanted @ np.swapaxes(layers[1][:, :-1], 1, 2)) * (1 - hidden[:, :, :-1] ** 2)
    first = [np.swapaxes(features, 1, 2) @ inward, inward.sum(axis=1, keepdims=True)]
    return [np.concatenate(first, axis=1), np.swapaxes(hidden, 1, 2) @ wanted]


def adam(layer: np.ndarray, slope: np.ndarray, moments: tuple, step: int, rate: float) -> tuple:
    """One step of Adam with decoupled weight decay, in place; returns the moments."""
    first = BETAS[0] * moments[0] + (1 - BETAS[0]) * slope
    second = BETAS[1] * moments[1] + (1 - BETAS[1]) * slope**2
    scale = np.sqrt(second / (1 - BETAS[1] ** step)) + TINY
    layer -= rate * (first / (1 - BETAS[0] ** step) / scale + DECAY * layer)
    return first.astype(np.float32), second.astype(np.float32)
